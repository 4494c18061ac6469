"""How much of the loss's gradient reaches each layer of a network."""

import re
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from emotion_jax.data.table import Faces
from emotion_jax.step import make_loss, normalise, stream
from emotion_jax.tasks import Task
from emotion_jax.trees import by_path


def make_gradient_norms(
    network, tasks: Mapping[str, Task]
) -> Callable[[dict, Faces], dict[str, float]]:
    """The function (variables, faces) -> the norm of the gradient at each kernel.

    Kernels are ordered from the image to the heads. As in a training step, BatchNorm
    uses the statistics of these faces. Not for a network with simclr, whose loss is of
    pairs of views.
    """
    gradient = jax.jit(jax.grad(make_loss(network, tasks), has_aux=True))

    def norms(variables: dict, faces: Faces) -> dict[str, float]:
        image = normalise(jnp.asarray(faces["image"]))
        still = jnp.tile(jnp.eye(2), (len(image), 1, 1))
        batch = {**faces, "image": image, "turn": still}
        params, stats = variables["params"], variables.get("batch_stats", {})
        found = by_path(gradient(params, stats, batch, stream(0, "dropout"))[0])
        kernels = [path for path in found if path.endswith("/kernel")]
        return {
            path.removesuffix("/kernel"): float(np.linalg.norm(found[path]))
            for path in sorted(kernels, key=depth)
        }

    return norms


def depth(path: str) -> tuple:
    """Sort key of a layer's name: the stem, the blocks by their numbers, the heads."""
    numbers = [int(number) for number in re.findall(r"\d+", path)]
    return "heads" in path, "stem" not in path, numbers, path
