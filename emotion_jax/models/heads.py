"""Heads: from a trunk's features to a task's output, in float32."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from emotion_jax.losses import soft_argmax


class Head(nn.Module):
    """What every head returns: logits of classes, or points in pixels of the image.

    A point starts at the image's centre and is learnt in units of a quarter side, so
    that the same learning rate suits points and classes.
    """

    kind: str
    names: tuple[str, ...]

    def output(
        self, features: Float[Array, "b c"], side: int
    ) -> Float[Array, "b k"] | Float[Array, "b p 2"]:
        values = len(self.names) * (2 if self.kind == "points" else 1)
        dense = nn.Dense(values, kernel_init=nn.initializers.zeros, name="output")
        result = dense(features.astype(jnp.float32))
        if self.kind == "classes":
            return result
        points = result.reshape(-1, len(self.names), 2)
        return (side - 1) / 2 + points * (side / 4)


class Pooled(Head):
    """Global average pool and a linear layer: what is in the image, not where."""

    @nn.compact
    def __call__(self, features: Float[Array, "b h w c"], side: int, train: bool):
        return self.output(features.astype(jnp.float32).mean((1, 2)), side)


class Flat(Head):
    """A linear layer on every position: keeps where things are."""

    @nn.compact
    def __call__(self, features: Float[Array, "b h w c"], side: int, train: bool):
        return self.output(features.reshape(features.shape[0], -1), side)


class HeatMap(Head):
    """Transposed convolutions to a quarter of the side, and one map per point.

    Xiao et al. 2018 (Simple Baselines), 2; the points are each map's soft-argmax. In
    training it returns the maps themselves, for the loss.
    """

    width: int = 64

    @nn.compact
    def __call__(self, features: Float[Array, "b h w c"], side: int, train: bool):
        x = features.astype(jnp.float32)
        while x.shape[1] * 4 < side:
            x = nn.ConvTranspose(self.width, (4, 4), (2, 2), name=f"up{x.shape[1]}")(x)
            x = nn.relu(nn.LayerNorm(name=f"norm{x.shape[1]}")(x))
        zeros = nn.initializers.zeros
        x = nn.Conv(len(self.names), (1, 1), kernel_init=zeros, name="output")(x)
        heat = jnp.moveaxis(x, -1, 1)
        return heat if train else soft_argmax(heat, side)


class Projector(nn.Module):
    """Two layers from a view's mean feature to the vector that views are compared by.

    What these layers discard stays in the features (Chen et al. 2020, 4.2).
    """

    width: int

    @nn.compact
    def __call__(self, features: Float[Array, "b h w c"]) -> Float[Array, "b d"]:
        x = features.astype(jnp.float32).mean((1, 2))
        x = nn.relu(nn.Dense(x.shape[-1], name="hidden")(x))
        return nn.Dense(self.width, name="output")(x)
