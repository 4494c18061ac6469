"""Keypoints: where a face's fifteen points are."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from emotion_jax import losses, registry, scores
from emotion_jax.data.table import POINTS
from emotion_jax.errors import Mistake
from emotion_jax.tasks.task import Task

FRAME = 96  # keypoint errors are in pixels of a frame of this side


@dataclasses.dataclass(frozen=True)
class Keypoints(Task):
    """Where a face's fifteen points are.

    Attributes:
      loss: one of POINT_LOSSES, or "heatmap", which needs the head "heatmap".
      delta_px: beyond it an error counts linearly; also the width of the heat map's
        target. In pixels of the 96-pixel frame.
      learn_offset: the labels may all be shifted to one side: learn by how much, from
        mirrored faces (offset.py).
    """

    head: str = "flat"
    loss: str = "smooth_l1"
    delta_px: float = 2.0
    learn_offset: bool = False

    section: ClassVar[str] = "keypoints"
    kind: ClassVar[str] = "points"
    headline: ClassVar[str] = "rmse_px"
    names: ClassVar[tuple[str, ...]] = POINTS

    def __post_init__(self):
        super().__post_init__()
        if self.delta_px <= 0:
            raise Mistake(
                f"config.tasks.keypoints.delta_px is {self.delta_px}, must be above 0"
            )
        known = (*losses.POINT_LOSSES, "heatmap")
        if self.loss not in known:
            raise registry.unknown("config.tasks.keypoints.loss", self.loss, known)
        if self.loss == "heatmap" and self.head != "heatmap":
            raise Mistake(
                "config.tasks.keypoints.loss is 'heatmap', which needs the head "
                f"'heatmap', got {self.head!r}"
            )

    def loss_of(
        self,
        output: Float[Array, "b p ..."],
        label: Float[Array, "b p 2"],
        known: Bool[Array, "b p"],
        side: int,
    ) -> tuple[Float[Array, "b p"], Bool[Array, "b p"]]:
        """The loss of x and y together, per point; and which values count."""
        if self.loss == "heatmap":
            sigma = self.delta_px * side / FRAME
            return losses.heatmap(output, label, side, sigma), known
        error = (as_points(output, side) - label) * (FRAME / side)
        value = losses.POINT_LOSSES[self.loss](error, self.delta_px)
        return value.sum(-1), known

    def lesson(
        self, output: Float[Array, "b p ..."], answer: Float[Array, "b p 2"], side: int
    ) -> Float[Array, "b p"]:
        """The loss against the teacher's points, all of them."""
        known = jnp.ones(answer.shape[:2], bool)
        return self.loss_of(output, answer, known, side)[0]

    def metrics(self, output, label, known, side: int) -> dict[str, tuple]:
        """(per-example values, mask) of what the step logs besides the loss."""
        error = (as_points(output, side) - label) * (FRAME / side)
        return {"square_px": (jnp.square(error).mean(-1), known)}

    def report(
        self,
        output: Float[np.ndarray, "n p 2"],
        label: Float[np.ndarray, "n p 2"],
        known: Bool[np.ndarray, "n p"],
        side: int,
        classes: tuple[str, ...],
        extra: Mapping[str, np.ndarray],
        temperature: float = 1.0,
    ) -> scores.Numbers:
        """Every number of a regression of points, in pixels of the 96-pixel frame."""
        error, eye_px = self.errors(output, label, known, side)
        return scores.points(error, known, eye_px, self.names)

    def errors(
        self,
        output: Float[np.ndarray, "n p 2"],
        label: Float[np.ndarray, "n p 2"],
        known: Bool[np.ndarray, "n p"],
        side: int,
    ) -> tuple[Float[np.ndarray, "n p 2"], Float[np.ndarray, " n"]]:
        """Errors, and the distance between the true eye centres, NaN where unknown."""
        error = (output - label).astype(np.float64) * (FRAME / side)
        eyes = [self.names.index(f"{eye}_eye_center") for eye in ("left", "right")]
        span = label[:, eyes[0]] - label[:, eyes[1]]
        eye_px = np.linalg.norm(span, axis=-1) * (FRAME / side)
        return error, np.where(known[:, eyes].all(-1), eye_px, np.nan)


def as_points(output: Float[Array, "b p ..."], side: int) -> Float[Array, "b p 2"]:
    """Points in pixels, also from the heat maps that their head gives in training."""
    return output if output.ndim == 3 else losses.soft_argmax(output, side)
