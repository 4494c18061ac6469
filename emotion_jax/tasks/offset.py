"""Labels that are all shifted to one side: learns by how much.

An annotator may put all points a little to the right, as the makers of the YouTube
Faces labels did. In a mirrored face such labels lie to the left, and a network
trained on both learns the middle. A point task's `learn_offset` makes the offset a
parameter: the labels of a turned or mirrored face are moved back to where the same
person would have put them, and the network learns the labels as they are.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emotion_jax.tasks.task import Task

UNIT = 24  # an offset is learnt in units of side / 24, and so at the rate of biases


def learners(tasks: Mapping[str, Task]) -> tuple[str, ...]:
    """The tasks that learn an offset."""
    return tuple(name for name, task in tasks.items() if task.learn_offset)


def parameter(name: str) -> str:
    """The name of a task's offset among the network's parameters."""
    return f"offset_{name}"


def keep(
    labels: dict,
    offset: Mapping[str, Float[Array, "2"]],
    turn: Float[Array, "b 2 2"],
    side: int,
) -> dict:
    """The labels of turned faces, shifted as far and to the same side as all others.

    In every original picture labels are off by o; the augmentation, whose linear part
    is `turn`, made that turn @ o, so (1 - turn) @ o is added.
    """
    rest, scale = jnp.eye(2)[None] - turn, side / UNIT
    return labels | {
        name: labels[name] + (jnp.dot(rest, o, precision="highest") * scale)[:, None]
        for name, o in offset.items()
    }


def learnt(
    tasks: Mapping[str, Task], params: Mapping, side: int
) -> dict[str, Float[np.ndarray, "2"]]:
    """The offset that each task with one has learnt: x and y in pixels of the image."""
    found = {name: params[parameter(name)] for name in learners(tasks)}
    return {
        name: np.asarray(value, np.float32) * np.float32(side / UNIT)
        for name, value in jax.device_get(found).items()
    }
