"""Tasks of points: where in the image each of them is."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from emotion_jax import losses, registry, scores
from emotion_jax.errors import Mistake
from emotion_jax.tasks.task import Seen, Task

FRAME = 96  # errors of points are in pixels of a frame of this side


@dataclasses.dataclass(frozen=True, kw_only=True)
class Points(Task):
    """Where in the image each point is; the head gives x and y, or heat maps.

    Attributes:
      loss: one of POINT_LOSSES, or "heatmap", which needs the head "heatmap".
      delta_px: beyond it an error counts linearly; also the width of the heat map's
        target. In pixels of the 96-pixel frame.
      learn_offset: the labels may all be shifted to one side: learn by how much, from
        mirrored faces (offset.py).
      ruler: two of its points, whose true distance on a face is the unit of relative
        errors; none if empty.
    """

    head: str = "flat"
    loss: str = "smooth_l1"
    delta_px: float = 2.0
    learn_offset: bool = False

    kind: ClassVar[str] = "points"
    headline: ClassVar[str] = "rmse_px"
    ruler: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        super().__post_init__()
        if self.delta_px <= 0:
            raise Mistake(f"{self.where}.delta_px is {self.delta_px}, must be above 0")
        known = (*losses.POINT_LOSSES, "heatmap")
        if self.loss not in known:
            raise registry.unknown(f"{self.where}.loss", self.loss, known)
        if self.loss == "heatmap" and self.head != "heatmap":
            raise Mistake(
                f"{self.where}.loss is 'heatmap', which needs the head 'heatmap', "
                f"got {self.head!r}"
            )

    @property
    def unit(self) -> str:
        """What relative errors are divided by: the ruler."""
        return f"distance from {' to '.join(self.ruler)}".replace("_", " ")

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

    def report(self, seen: Seen) -> scores.Numbers:
        """Every number of a regression of points, in pixels of the 96-pixel frame."""
        error, ruler_px = self.errors(seen)
        return scores.points(error, seen.known, ruler_px, self.names)

    def errors(
        self, seen: Seen
    ) -> tuple[Float[np.ndarray, "n p 2"], Float[np.ndarray, " n"]]:
        """Errors, and the ruler's true length on each face, NaN where unknown."""
        scale = FRAME / seen.side
        error = (seen.output - seen.label).astype(np.float64) * scale
        if not self.ruler:
            return error, np.full(len(error), np.nan)
        ends = [self.names.index(name) for name in self.ruler]
        span = seen.label[:, ends[0]] - seen.label[:, ends[1]]
        ruler_px = np.linalg.norm(span, axis=-1) * scale
        return error, np.where(seen.known[:, ends].all(-1), ruler_px, np.nan)


def as_points(output: Float[Array, "b p ..."], side: int) -> Float[Array, "b p 2"]:
    """Points in pixels, also from the heat maps that their head gives in training."""
    return output if output.ndim == 3 else losses.soft_argmax(output, side)
