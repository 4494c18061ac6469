"""Effects of light, camera and objects before the face: maps of one image in [0, 1].

None of them moves a keypoint. A covered keypoint keeps its label, so the network learns
to infer it.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from emotion_jax.data.geometry import Image, between, log_between


def brightness(key: PRNGKeyArray, image: Image, delta: float = 0.2) -> Image:
    """Add a constant uniform in +-delta of the full range."""
    return image + between(key, -delta, delta)


def contrast(
    key: PRNGKeyArray, image: Image, low: float = 0.7, high: float = 1.4
) -> Image:
    """Scale the differences from the image's mean."""
    return (image - image.mean()) * between(key, low, high) + image.mean()


def gamma(
    key: PRNGKeyArray, image: Image, low: float = 0.7, high: float = 1.4
) -> Image:
    """Raise to a power uniform in its logarithm; above 1 the shadows darken."""
    return jnp.maximum(image, 1e-6) ** log_between(key, low, high)


def stretch(key: PRNGKeyArray, image: Image, most: float = 1.0) -> Image:
    """Move up to `most` of the way to a darkest pixel of 0 and a brightest of 1."""
    low, high = image.min(), image.max()
    full = (image - low) / jnp.maximum(high - low, 1e-3)
    return image + (full - image) * between(key, 0.0, most)


def blur(key: PRNGKeyArray, image: Image, sigma: float = 1.0) -> Image:
    """Blur by a Gaussian of up to `sigma` pixels, edges repeated."""
    side = image.shape[0]
    radius = int(min(np.ceil(3 * sigma), side))
    width = between(key, 0.0, sigma)
    tap = jnp.square(jnp.arange(-radius, radius + 1) / jnp.maximum(width, 1e-3))
    tap = jax.nn.softmax(-0.5 * tap)
    for axis in (0, 1):
        pad = [(radius, radius) if a == axis else (0, 0) for a in range(3)]
        padded = jnp.pad(image, pad, mode="edge")
        parts = [
            jax.lax.slice_in_dim(padded, i, i + side, axis=axis)
            for i in range(len(tap))
        ]
        image = sum(w * part for w, part in zip(tap, parts))
    return image


def noise(key: PRNGKeyArray, image: Image, std: float = 0.05) -> Image:
    """Add normal noise of up to this standard deviation, independently per pixel."""
    keys = jax.random.split(key)
    return image + between(keys[0], 0.0, std) * jax.random.normal(keys[1], image.shape)


def erase(
    key: PRNGKeyArray, image: Image, low: float = 0.02, high: float = 0.2
) -> Image:
    """Fill a rectangle of low..high of the area with noise (Zhong et al. 2017).

    Centred on any pixel, so it may cross the edge, where the paper draws another box.
    """
    side = image.shape[0]
    keys = jax.random.split(key, 4)
    area = between(keys[0], low, high)
    aspect = jnp.exp(between(keys[1], -1.2, 1.2))
    half = jnp.sqrt(area * jnp.stack([aspect, 1 / aspect])) * side / 2
    dx, dy = offsets(side, anywhere(keys[2], side))
    inside = (jnp.abs(dx) <= half[0]) & (jnp.abs(dy) <= half[1])
    return jnp.where(inside[..., None], jax.random.uniform(keys[3], image.shape), image)


def anywhere(key: PRNGKeyArray, side: int, margin: float = 0.0) -> Float[Array, "2"]:
    """A point of the image, at least a share of its side from the edge.

    Pixels are numbered at their centres, so the image begins half a pixel before 0.
    """
    return between(key, margin * side, (1 - margin) * side, (2,)) - 0.5


def offsets(side: int, centre: Float[Array, "2"]) -> tuple[Array, Array]:
    """Each pixel's x and y relative to a centre, in pixels."""
    along = jnp.arange(side, dtype=jnp.float32)
    return (along - centre[0])[None, :], (along - centre[1])[:, None]


def square(key: PRNGKeyArray, side: int, area) -> Bool[Array, "h w"]:
    """A square centred on any pixel; it may cross the edge (DeVries & Taylor 2017)."""
    dx, dy = offsets(side, anywhere(key, side))
    return jnp.maximum(jnp.abs(dx), jnp.abs(dy)) <= jnp.sqrt(area) * side / 2


def circle(key: PRNGKeyArray, side: int, area) -> Bool[Array, "h w"]:
    """A disc centred on any pixel."""
    dx, dy = offsets(side, anywhere(key, side))
    return jnp.square(dx) + jnp.square(dy) <= area * side**2 / jnp.pi


def band(key: PRNGKeyArray, side: int, area) -> Bool[Array, "h w"]:
    """A strip across the image at any angle, like a scarf, glasses or a frame."""
    keys = jax.random.split(key)
    dx, dy = offsets(side, anywhere(keys[0], side, margin=0.25))
    angle = between(keys[1], 0.0, jnp.pi)
    return jnp.abs(jnp.cos(angle) * dx + jnp.sin(angle) * dy) <= area * side / 2


def checks(key: PRNGKeyArray, side: int, area) -> Bool[Array, "h w"]:
    """Small squares on a grid of pitch an eighth of the side (Chen et al. 2020)."""
    pitch = side / 8
    dx, dy = offsets(side, between(key, 0.0, pitch, (2,)))
    return jnp.maximum(dx % pitch, dy % pitch) < jnp.sqrt(area) * pitch


SHAPES = {"square": square, "circle": circle, "band": band, "checks": checks}


def cutout(
    key: PRNGKeyArray,
    image: Image,
    shape: str = "square",
    low: float = 0.05,
    high: float = 0.2,
) -> Image:
    """Cover about low..high of the area with the image's mean, in one of SHAPES."""
    keys = jax.random.split(key)
    covered = SHAPES[shape](keys[0], image.shape[0], between(keys[1], low, high))
    return jnp.where(covered[..., None], image.mean(), image)


# Applied in this order, whatever the order in the config.
PHOTOMETRY = {
    "brightness": brightness,
    "contrast": contrast,
    "gamma": gamma,
    "stretch": stretch,
    "blur": blur,
    "noise": noise,
    "erase": erase,
    "cutout": cutout,
}
