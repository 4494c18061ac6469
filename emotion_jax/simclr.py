"""Self-supervision: a trunk learns from faces without their labels (Chen et al. 2020).

With `--config.model.simclr={}` a step sees each face of its batch twice, as two
augmentations. The trunk learns that both are the same face, by telling it from all
others in the batch. Labels train only the heads, which probe what the trunk has learnt;
as always, the checkpoint is chosen by their numbers on `val`. Then another run starts
from it: `--config.init_from=runs/simclr`. Faces whose class the heads do not know are
left out, as in all training, so seven classes bring more faces than five; and
`clip_norm` applies to all gradients, including the heads'.
"""

import dataclasses
from collections.abc import Iterable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emotion_jax.data.mixing import MIXING
from emotion_jax.errors import Mistake

MOST, LEAST = 16_384, 1e-3  # width, as in trunks; temperature, for finite losses
SAME = {"policy", "alternating_flip"}  # the same in both views of a face


@dataclasses.dataclass(frozen=True)
class SimCLR:
    """How two views of a face are compared.

    Attributes:
      width: of the vectors that the projector makes from each view's features.
      temperature: what their cosines are divided by; a lower one tells apart faces that
        are more alike.
    """

    width: int = 128
    temperature: float = 0.2

    def __post_init__(self):
        if not 1 <= self.width <= MOST or self.temperature < LEAST:
            raise Mistake(
                f"config.model.simclr wants a width of 1 to {MOST} and a temperature "
                f"of at least {LEAST}, got {self.width} and {self.temperature}"
            )

    def check(self, augment: Iterable[str], batch_size: int) -> None:
        """Raises unless a batch has two differing views of a face, and other faces."""
        names = set(augment)
        if mixing := sorted(names & MIXING.keys()):
            raise Mistake(
                f"config.augment.{mixing[0]} mixes faces, which config.model.simclr "
                "learns to tell apart"
            )
        if not names - SAME:
            raise Mistake(
                "config.model.simclr learns from two augmentations of a face: "
                "config.augment has none that differs between them"
            )
        if batch_size < 2:
            raise Mistake(
                "config.model.simclr tells the faces of a batch apart: "
                f"config.train.batch_size is {batch_size}, must be at least 2"
            )

    def loss_and_metrics(
        self, vectors: Float[Array, "b d"]
    ) -> tuple[Float[Array, ""], dict[str, tuple[Array, Array]]]:
        """NT-Xent (Chen et al. 2020, eq. 1), and how often a view finds its pair.

        Args:
          vectors: one per view, the two views of a face next to each other.
        """
        count = len(vectors)
        square = jnp.square(vectors).sum(1, keepdims=True)
        unit = vectors * jax.lax.rsqrt(jnp.maximum(square, 1e-12))
        # In full precision: a TPU's bfloat16 is as coarse as the differences.
        cosine = jnp.matmul(unit, unit.T, precision="highest")
        itself = jnp.eye(count, dtype=bool)
        logits = jnp.where(itself, -jnp.inf, cosine / self.temperature)
        other = jnp.arange(count) ^ 1
        log_p = jnp.take_along_axis(jax.nn.log_softmax(logits), other[:, None], 1)
        hit = logits.argmax(1) == other
        values = {"loss": -log_p[:, 0], "accuracy": hit.astype(jnp.float32)}
        metrics = {
            f"simclr/{k}": (v.sum(), jnp.float32(count)) for k, v in values.items()
        }
        return values["loss"].mean(), metrics


def in_pairs(one: dict, other: dict) -> dict:
    """Two views of a batch in one: a face's two are adjacent, and so on one device."""

    def pair(a: Array, b: Array) -> Array:
        return jnp.stack([a, b], 1).reshape(-1, *a.shape[1:])

    return jax.tree.map(pair, one, other)
