"""Mixes two faces whose labels are classes: (image, other) -> (mixed, own share)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from emotion_jax.data.geometry import Image
from emotion_jax.data.photometry import anywhere, offsets

Mixed = tuple[Image, Float[Array, ""]]


def mixup(key: PRNGKeyArray, image: Image, other: Image, alpha: float = 0.2) -> Mixed:
    """A weighted mean, with weight from Beta(alpha, alpha) (Zhang et al. 2018)."""
    share = jax.random.beta(key, alpha, alpha)
    return share * image + (1 - share) * other, share


def cutmix(key: PRNGKeyArray, image: Image, other: Image, alpha: float = 1.0) -> Mixed:
    """Pastes a box of the other face; the share is what remains (Yun et al. 2019)."""
    side = image.shape[0]
    keys = jax.random.split(key)
    half = jnp.sqrt(1 - jax.random.beta(keys[0], alpha, alpha)) * side / 2
    dx, dy = offsets(side, anywhere(keys[1], side))
    inside = (jnp.abs(dx) <= half) & (jnp.abs(dy) <= half)
    return jnp.where(inside[..., None], other, image), 1 - inside.mean()


MIXING = {"mixup": mixup, "cutmix": cutmix}
