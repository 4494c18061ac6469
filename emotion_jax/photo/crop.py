"""Cuts faces out of photos as the training sets do.

A crop is a square whose side is SCALE times that of the detector's box and whose centre
is SHIFT of the box's side above the box's centre. This is how the frames of FER2013 and
of the keypoint set surround the boxes found in them: the medians of 244 faces of the
former are 1.134 and 0.079, of 250 faces of the latter 1.140 and 0.092, shown at 130 to
300 pixels on a background of their own gray. Sides and corners are whole pixels,
floor(v + 0.5); outside the photo its edge is repeated. The network takes the crop gray
and resized, like any face.
"""

import math

import numpy as np
from jaxtyping import UInt8

from emotion_jax.photo.detect import Found

SCALE, SHIFT = 1.14, 0.085

Box = tuple[int, int, int, int]  # x, y, width, height in pixels of the photo


def frame(face: Found) -> Box:
    """The square in which a training set would show this face."""
    x, y = face.corners.mean(axis=0)
    size = float((face.corners[1] - face.corners[0]).mean())
    side = max(1, math.floor(size * SCALE + 0.5))
    left, top = x - side / 2, y - size * SHIFT - side / 2
    return math.floor(left + 0.5), math.floor(top + 0.5), side, side


def cut(photo: UInt8[np.ndarray, "h w c"], box: Box) -> UInt8[np.ndarray, "b a c"]:
    """The photo inside a box, its edge repeated where the box extends beyond it."""
    x, y, width, height = box
    rows = np.arange(y, y + height).clip(0, photo.shape[0] - 1)
    columns = np.arange(x, x + width).clip(0, photo.shape[1] - 1)
    return photo[rows[:, None], columns]
