"""Keypoints: where a face's fifteen points are."""

import dataclasses
from typing import ClassVar

from emotion_jax.data.table import POINTS
from emotion_jax.tasks.points import Points


@dataclasses.dataclass(frozen=True)
class Keypoints(Points):
    """Where a face's fifteen points are."""

    section: ClassVar[str] = "keypoints"
    names: ClassVar[tuple[str, ...]] = POINTS
    ruler: ClassVar[tuple[str, ...]] = ("left_eye_center", "right_eye_center")
    unit: ClassVar[str] = "eye distance"
    expressive: ClassVar[bool] = True  # brows and mouth are among them
