"""How much of the loss's gradient reaches each layer of a network."""

import re
from collections.abc import Callable, Mapping

import jax
import numpy as np

from emotion_jax.data.table import Faces
from emotion_jax.step import normalise, standardise, stream
from emotion_jax.tasks import Task, losses_and_metrics
from emotion_jax.warm_start import by_path


def make_gradient_norms(
    network, tasks: Mapping[str, Task]
) -> Callable[[dict, Faces], dict[str, float]]:
    """A function of variables and faces: the norm of the gradient at each kernel.

    Kernels come from the image to the heads. As in a training step, BatchNorm takes the
    statistics of these faces. The loss is the tasks', from which a trunk that learns by
    simclr gets nothing.
    """

    def loss(params, stats, faces):
        image = standardise(normalise(faces["image"]))
        outputs, _ = network.apply(
            {"params": params, "batch_stats": stats},
            image,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": stream(0, "dropout")},
        )
        labels, known = faces["labels"], faces["known"]
        return losses_and_metrics(tasks, outputs, labels, known, image.shape[1])[0]

    gradient = jax.jit(jax.grad(loss))

    def norms(variables: dict, faces: Faces) -> dict[str, float]:
        stats = variables.get("batch_stats", {})
        found = by_path(gradient(variables["params"], stats, dict(faces)))
        kernels = [path for path in found if path.endswith("/kernel")]
        return {
            path.removesuffix("/kernel"): float(np.linalg.norm(found[path]))
            for path in sorted(kernels, key=depth)
        }

    return norms


def depth(path: str) -> tuple:
    """Sorts layers by their names: the stem, the blocks by their numbers, the heads."""
    numbers = [int(number) for number in re.findall(r"\d+", path)]
    return "heads" in path, "stem" not in path, numbers, path
