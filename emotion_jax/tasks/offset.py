"""Labels that lie off the picture, all to one side: by how much is learnt.

Who labels points may put all of them a little to the right, as the makers of the
YouTube Faces labels did. In a mirrored face such labels lie to the left, and a network
that is taught both learns the middle. `learn_offset` of a task of points makes the
offset a parameter: the labels of a turned or mirrored face are moved back to where the
same hand would have put them, and the network learns the labels as they are.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emotion_jax.tasks.task import Task

UNIT = 24  # of a side: a parameter moves by so much of it as the rate is, as biases do


def learners(tasks: Mapping[str, Task]) -> tuple[str, ...]:
    """The tasks that learn an offset."""
    return tuple(name for name, task in tasks.items() if task.learn_offset)


def parameter(name: str) -> str:
    """What a task's is called among the network's."""
    return f"offset_{name}"


def keep(
    labels: dict,
    offset: Mapping[str, Float[Array, "2"]],
    turn: Float[Array, "b 2 2"],
    side: int,
) -> dict:
    """The labels of turned faces, off by as much and to the same side as all.

    They are off by o in every picture as it is; the augmentation, whose linear part is
    `turn`, made turn @ o of it, so (1 - turn) @ o is added.
    """
    rest, scale = jnp.eye(2)[None] - turn, side / UNIT
    return labels | {
        name: labels[name] + (jnp.dot(rest, o, precision="highest") * scale)[:, None]
        for name, o in offset.items()
    }


def learnt(
    tasks: Mapping[str, Task], params: Mapping, side: int
) -> dict[str, Float[np.ndarray, "2"]]:
    """What each task that learns one has learnt: x and y in pixels of the image."""
    found = {name: params[parameter(name)] for name in learners(tasks)}
    return {
        name: np.asarray(value, np.float32) * np.float32(side / UNIT)
        for name, value in jax.device_get(found).items()
    }
