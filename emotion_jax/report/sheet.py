"""A sheet of faces with the network's predictions."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emotion_jax.data.table import Split
from emotion_jax.report import mosaic
from emotion_jax.report.answers import by_task, captions
from emotion_jax.report.tables import describe
from emotion_jax.scores import softmax
from emotion_jax.tasks import Task
from emotion_jax.tasks.task import Seen

ROWS = 4


def draw(
    path: Path,
    split: Split,
    outputs: Mapping,
    tasks: Mapping[str, Task],
    temperature: Mapping[str, float] = {},
) -> None:
    """Draws evenly spaced faces of a split: true points, predicted points, classes."""
    some = mosaic.evenly(np.arange(len(split)), ROWS * mosaic.COLUMNS)
    classes, points, crosses = {}, [], []
    for name, task in tasks.items():
        degrees = temperature.get(name, 1.0)
        seen = Seen.of(name, outputs[name], split, degrees).take(some)
        if task.kind == "points":
            points.append((task.names, seen.label, seen.known))
            crosses.append(seen.output)
        else:
            classes[name] = said(task, seen)
    marks = mosaic.marks(points)
    if points:
        marks["crosses"] = np.concatenate(crosses, axis=1)
    legend = ": dots are labels, crosses predictions" if points else ""
    of_faces = [dict(zip(classes, lines)) for lines in zip(*classes.values())]
    mosaic.draw(
        path,
        split.faces["image"][some],
        ["\n".join(by_task(face)) for face in of_faces] or [""] * len(some),
        heading=describe(split) + legend,
        columns=mosaic.even(len(some)),
        tile=160 if len(classes) < 2 else 200,  # as wide as a caption
        **marks,
    )


def said(task: Task, seen: Seen) -> list[str]:
    """What the network says of each face, also of those without a label."""
    known = seen.known
    seen = dataclasses.replace(seen, known=np.ones(len(known), bool))
    logits, truth = task.answers(seen)
    shares = softmax(logits / seen.temperature)
    return captions(task.names, shares, np.where(known, truth, -1))
