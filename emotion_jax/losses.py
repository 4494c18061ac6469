"""Losses for tasks to choose from: functions of arrays, one float32 value per label."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float


def focal(
    logits: Float[Array, "b k"], target: Float[Array, "b k"], gamma: float
) -> Float[Array, " b"]:
    """Cross-entropy, each class's term times (1 - p)^gamma (Lin et al. 2017, eq. 4).

    With gamma 0 it is the cross-entropy; targets may be any distribution.
    """
    log_p = jax.nn.log_softmax(logits)
    # expm1 keeps 1 - p above 0: at 0, its power would have no gradient.
    rest = jnp.maximum(-jnp.expm1(log_p), 1e-6) ** gamma if gamma else 1.0
    return -(target * rest * log_p).sum(-1)


def squared(error: Float[Array, "*n"], delta: float) -> Float[Array, "*n"]:
    """Half the squared error, in units of delta."""
    return optax.l2_loss(error / delta)


def smooth_l1(error: Float[Array, "*n"], delta: float) -> Float[Array, "*n"]:
    """`squared` up to delta, then linear (Huber 1964), in units of delta."""
    return optax.huber_loss(error / delta)


def wing(
    error: Float[Array, "*n"], delta: float, curvature: float = 0.2
) -> Float[Array, "*n"]:
    """A logarithm up to delta, then linear (Feng et al. 2018, eq. 5).

    Small errors weigh more than with any power. In units of delta; the paper's epsilon
    is `curvature` times delta: as there, 2 for a delta of 10.
    """
    size = jnp.abs(error / delta)
    offset = 1.0 - jnp.log1p(1.0 / curvature)
    return jnp.where(size < 1, jnp.log1p(size / curvature), size - offset)


POINT_LOSSES = {"squared": squared, "smooth_l1": smooth_l1, "wing": wing}


def grid(size: int, side: int) -> Float[np.ndarray, " s"]:
    """The centres of a heat map's `size` cells, in pixels of an image."""
    return ((np.arange(size) + 0.5) * side / size - 0.5).astype(np.float32)


def soft_argmax(heat: Float[Array, "b p h w"], side: int) -> Float[Array, "b p 2"]:
    """The mean position of each map's softmax, in pixels (Sun et al. 2018, eq. 2)."""
    share = jax.nn.softmax(heat.reshape(*heat.shape[:2], -1)).reshape(heat.shape)
    exact = partial(jnp.dot, precision="highest")  # or a TPU rounds to half a pixel
    x = exact(share.sum(2), grid(heat.shape[3], side))
    y = exact(share.sum(3), grid(heat.shape[2], side))
    return jnp.stack([x, y], -1)


def heatmap(
    heat: Float[Array, "b p h w"], label: Float[Array, "b p 2"], side: int, sigma: float
) -> Float[Array, "b p"]:
    """Cross-entropy of each map with a Gaussian of `sigma` pixels around the label."""

    def bump(centre, size: int):
        square = jnp.square((grid(size, side)[None, None] - centre[..., None]) / sigma)
        return jax.nn.softmax(-0.5 * square)

    x, y = bump(label[..., 0], heat.shape[3]), bump(label[..., 1], heat.shape[2])
    target = y[..., :, None] * x[..., None, :]
    log_share = jax.nn.log_softmax(heat.reshape(*heat.shape[:2], -1))
    return -(target.reshape(log_share.shape) * log_share).sum(-1)


def class_weights(
    kind: str | Sequence[float], counts: Float[np.ndarray, " k"], beta: float = 0.999
) -> Float[np.ndarray, " k"]:
    """The weight in the loss of a face of each class; 1 on average over the faces.

    Args:
      kind: "inverse" weighs by one over a class's count; "effective" by one over its
        effective number, (1 - beta^n) / (1 - beta) (Cui et al. 2019, eq. 6); or the
        weights themselves.
      counts: faces of each class; a class without any has weight 0.
    """
    if kind == "inverse":
        weights = 1 / np.maximum(counts, 1e-9)
    elif kind == "effective":
        weights = (1 - beta) / np.maximum(1 - beta**counts, 1e-9)
    else:
        weights = np.array(kind, float)
    weights = np.where(counts > 0, weights, 0.0)
    mean = (weights * counts).sum() / max(counts.sum(), 1)
    return (weights / max(mean, 1e-12)).astype(np.float32)


def uncertain(
    loss: Float[Array, ""], log_variance: Float[Array, ""]
) -> Float[Array, ""]:
    """A task's loss under a learnt noise (Kendall et al. 2018, eq. 10).

    At the optimum the variance is twice the loss, so tasks end up with equal weight.
    """
    return jnp.exp(-log_variance) * loss + 0.5 * log_variance
