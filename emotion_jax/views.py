"""Test-time augmentation: the mean answer to ten views of a face."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, UInt8

from emotion_jax.scores import softmax
from emotion_jax.tasks import Task, mirrored

MOVES = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))  # pixels to the right and down
Outputs = dict[str, Float[np.ndarray, "n ..."]]


def average(
    run: Callable[[UInt8[np.ndarray, "n h w 1"]], Outputs],
    tasks: Mapping[str, Task],
    image: UInt8[np.ndarray, "n h w 1"],
    offset: Mapping[str, Float[np.ndarray, "2"]] = {},
) -> Outputs:
    """The mean output of `run` for the faces, for moves by a pixel, and all mirrored.

    The logits are those of the mean distribution.

    Args:
      offset: by how many pixels, x and y, the network's points are off the faces.
    """
    total: Outputs = {}
    for move in MOVES:
        view = moved(image, *move)
        for mirror in (False, True):
            seen = np.ascontiguousarray(view[:, :, ::-1] if mirror else view)
            for name, output in run(seen).items():
                if tasks[name].kind == "classes":
                    output = softmax(output)
                else:
                    if mirror:
                        output = turned(output, tasks[name], image.shape[2])
                        output[..., 0] += 2 * offset.get(name, (0, 0))[0]
                    output = output - np.float32(move)
                total[name] = total.get(name, 0) + output / (2 * len(MOVES))
    classes = {name for name in total if tasks[name].kind == "classes"}
    return total | {name: np.log(total[name] + 1e-30) for name in classes}


def moved(
    image: UInt8[np.ndarray, "n h w 1"], x: int, y: int
) -> UInt8[np.ndarray, "n h w 1"]:
    """The images moved right and down, by a pixel at most, with edges repeated."""
    height, width = image.shape[1:3]
    around = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    return around[:, 1 - y : 1 - y + height, 1 - x : 1 - x + width]


def turned(
    points: Float[np.ndarray, "n p 2"], task: Task, side: int
) -> Float[np.ndarray, "n p 2"]:
    """Points of a mirrored image, mapped back to the image itself."""
    back = points[:, list(mirrored(task.names))]
    back[..., 0] = side - 1 - back[..., 0]
    return back
