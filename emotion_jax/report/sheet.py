"""A sheet of faces with the network's predictions."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emotion_jax import files
from emotion_jax.data.table import Split
from emotion_jax.report import mosaic
from emotion_jax.scores import softmax
from emotion_jax.tasks import Task
from emotion_jax.tasks.task import Seen

ROWS, COLUMNS = 4, 8


def draw(
    path: Path,
    split: Split,
    outputs: Mapping,
    tasks: Mapping[str, Task],
    temperature: Mapping[str, float] = {},
) -> None:
    """Draws evenly spaced faces of a split: true points, predicted points, classes."""
    from matplotlib.figure import Figure  # import it only when drawing

    faces = split.faces
    rows = np.linspace(0, len(split) - 1, min(ROWS * COLUMNS, len(split))).astype(int)
    seen = {name: Seen.of(name, outputs[name], split) for name in tasks}
    figure = Figure(figsize=(COLUMNS * 1.5, ROWS * 1.75), layout="constrained")
    axes = figure.subplots(ROWS, COLUMNS).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, i in zip(axes, rows, strict=False):
        axis.imshow(faces["image"][i, :, :, 0], cmap="gray", vmin=0, vmax=255)
        axis.set(autoscale_on=False)  # a point may lie outside its image
        said, wrong = [], False
        for name, task in tasks.items():
            one = seen[name].take(np.array([i]))
            label, known = one.label[0], one.known[0]
            if task.kind == "points":
                axis.plot(*label[known].T, "o", color="#35c759", markersize=2.4)
                axis.plot(*one.output[0].T, "+", color="#ff3b30", markersize=3.6)
            else:
                one = dataclasses.replace(one, known=np.ones(1, bool))
                logits, _ = task.answers(one)
                shares = softmax(logits / temperature.get(name, 1.0))[0]
                guess = shares.argmax()
                said.append(f"{task.names[guess]} {shares[guess]:.0%}")
                if known and guess != label.argmax():
                    said.append(f"not {task.names[label.argmax()]}")
                    wrong = True
        color = "#c01c10" if wrong else "black"
        style = {"fontsize": 8, "color": color, "parse_math": False}
        axis.set_title("\n".join(said), pad=2, **style)
    title = f"{split.source}, split {split.name}: "
    if any(task.kind == "points" for task in tasks.values()):
        title += "green dots are labels, red crosses predictions"
    else:
        title += "what the network says, how sure it is, and where it is wrong"
    figure.suptitle(title, fontsize=9)
    with mosaic.any_script(), files.whole(path) as partial:
        figure.savefig(partial, dpi=120)
