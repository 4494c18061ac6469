"""Where pixels and points go: each geometric augmentation draws a 3x3 matrix.

Matrices are homogeneous, about the image's centre, from source to target. They are
composed before any pixel moves: one warp moves the image, the same matrix its points.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

Matrix = Float[Array, "3 3"]
Image = Float[Array, "h w 1"]


def affine(a=1.0, b=0.0, c=0.0, d=0.0, e=1.0, f=0.0) -> Matrix:
    """x' = a x + b y + c, y' = d x + e y + f."""
    return jnp.array([[a, b, c], [d, e, f], [0.0, 0.0, 1.0]], jnp.float32)


def between(key: PRNGKeyArray, low: ArrayLike, high: ArrayLike, shape=()) -> Array:
    """Uniform between `low` and `high`."""
    return jax.random.uniform(key, shape, minval=low, maxval=high)


def log_between(key: PRNGKeyArray, low: float, high: float) -> Float[Array, ""]:
    """Uniform in the logarithm: doubling is as likely as halving."""
    return jnp.exp(between(key, jnp.log(low), jnp.log(high)))


def flip(key: PRNGKeyArray, face: dict) -> Matrix:
    """Mirror left and right, half of the time by default."""
    return affine(a=-1.0)


def alternating_flip(key: PRNGKeyArray, face: dict) -> Matrix:
    """Mirror each face in every other epoch, so that two epochs show both sides.

    A random flip shows the same side in both epochs half of the time (Jordan 2024,
    airbench, 3.6). Which side comes first depends on the row, not on the seed.
    """
    first = jax.random.bernoulli(jax.random.fold_in(jax.random.key(0), face["row"]))
    flipped = (first + jnp.floor(face["epoch"])) % 2 == 1
    return affine(a=jnp.where(flipped, -1.0, 1.0))


def flip_vertical(key: PRNGKeyArray, face: dict) -> Matrix:
    """Mirror top and bottom, as the course does, though no photo looks like that."""
    return affine(e=-1.0)


def rotate(key: PRNGKeyArray, face: dict, degrees: float = 15.0) -> Matrix:
    """Turn by an angle uniform in +-degrees."""
    angle = jnp.deg2rad(between(key, -degrees, degrees))
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return affine(a=cos, b=-sin, d=sin, e=cos)


def shear(key: PRNGKeyArray, face: dict, degrees: float = 10.0) -> Matrix:
    """Slant vertical lines by an angle uniform in +-degrees."""
    return affine(b=jnp.tan(jnp.deg2rad(between(key, -degrees, degrees))))


def zoom(key: PRNGKeyArray, face: dict, low: float = 0.9, high: float = 1.1) -> Matrix:
    """Scale by a factor uniform in its logarithm; above 1 the face grows."""
    factor = log_between(key, low, high)
    return affine(a=factor, e=factor)


def zoom_in(key: PRNGKeyArray, face: dict, high: float = 1.2) -> Matrix:
    """Zoom that only enlarges."""
    return zoom(key, face, 1.0, high)


def zoom_out(key: PRNGKeyArray, face: dict, low: float = 0.8) -> Matrix:
    """Zoom that only shrinks; the edge pixels are repeated around the image."""
    return zoom(key, face, low, 1.0)


def crop(
    key: PRNGKeyArray,
    face: dict,
    low: float = 0.6,
    high: float = 1.0,
    aspect: float = 1.2,
) -> Matrix:
    """Cut out a box of low..high of the area and enlarge it (Szegedy et al. 2015, 6).

    Its width over its height is within 1 / aspect .. aspect. It stays inside the image,
    so a large box is trimmed to fit.
    """
    keys = jax.random.split(key, 3)
    ratio = jnp.sqrt(log_between(keys[0], 1 / aspect, aspect))
    length = jnp.sqrt(between(keys[1], low, high))
    box = jnp.minimum(jnp.stack([length * ratio, length / ratio]), 1.0)
    free = face["image"].shape[0] * (1.0 - box) / 2
    centre = free * between(keys[2], -1.0, 1.0, (2,))
    scale = 1.0 / box
    return affine(
        a=scale[0], c=-scale[0] * centre[0], e=scale[1], f=-scale[1] * centre[1]
    )


def translate(key: PRNGKeyArray, face: dict, fraction: float = 0.1) -> Matrix:
    """Shift by up to a fraction of the side in each direction."""
    shift = between(key, -fraction, fraction, (2,)) * face["image"].shape[0]
    return affine(c=shift[0], f=shift[1])


# Applied in this order, whatever the order in the config.
GEOMETRY = {
    "flip": flip,
    "alternating_flip": alternating_flip,
    "flip_vertical": flip_vertical,
    "rotate": rotate,
    "shear": shear,
    "zoom": zoom,
    "zoom_in": zoom_in,
    "zoom_out": zoom_out,
    "crop": crop,
    "translate": translate,
}


def determinant(matrix: Matrix) -> Float[Array, ""]:
    """The determinant of the linear part: negative where the map mirrors."""
    return matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]


def centred(matrix: Matrix, side: int) -> Matrix:
    """The same map with the origin at pixel (0, 0) instead of the image's centre."""
    middle = (side - 1) / 2
    back = compose(affine(c=middle, f=middle), matrix)
    return compose(back, affine(c=-middle, f=-middle))


def compose(then: Matrix, first: Matrix) -> Matrix:
    """`first`, then `then`; in full float32, which is not a TPU's default."""
    return jnp.dot(then, first, precision="highest")


def warp(image: Image, matrix: Matrix) -> Image:
    """The image moved by `matrix` (source to target), bilinear, edges repeated."""
    return jax.lax.platform_dependent(
        image, matrix, tpu=warp_by_products, default=warp_by_lookups
    )


def sources(matrix: Matrix, side: int) -> tuple[Array, Array]:
    """Where each pixel comes from: x and y in the source, [h w] each.

    In closed form: on an accelerator a batched LU costs more than the warp.
    """
    (a, b, c), (d, e, f) = matrix[:2]
    rows = jnp.array([[e, -b, b * f - c * e], [-d, a, c * d - a * f]])
    (a, b, c), (d, e, f) = rows / determinant(matrix)
    y, x = jnp.mgrid[:side, :side].astype(jnp.float32)
    return a * x + b * y + c, d * x + e * y + f


def warp_by_lookups(image: Image, matrix: Matrix) -> Image:
    """Warps by interpolating each pixel from its four neighbours in the source."""
    x, y = sources(matrix, image.shape[0])
    at = partial(jax.scipy.ndimage.map_coordinates, order=1, mode="nearest")
    return at(image[..., 0], [y, x])[..., None]


def warp_by_products(image: Image, matrix: Matrix) -> Image:
    """The same as two sums, over all rows and all columns, with mostly zero weights.

    A TPU looks up pixels one by one, but multiplies matrices at almost no cost.
    (Compiled for v5e, 48x48 faces: 0.2 MB each, where lookups take 106 MB.)
    """
    side = image.shape[0]
    x, y = sources(matrix, side)

    def weights(place: Float[Array, "h w"]) -> Float[Array, "hw side"]:
        place = jnp.clip(place, 0, side - 1).reshape(-1, 1)
        return jnp.maximum(1 - jnp.abs(place - jnp.arange(side)[None]), 0)

    columns = jnp.dot(weights(y), image[..., 0], precision="highest")
    return (columns * weights(x)).sum(-1).reshape(side, side, 1)


def move_points(
    points: Float[Array, "p 2"], matrix: Matrix, mirror: tuple[int, ...]
) -> Float[Array, "p 2"]:
    """Points moved by `matrix`; left and right swap names where it mirrors."""
    turned = jnp.dot(points, matrix[:2, :2].T, precision="highest")
    moved = turned + matrix[None, :2, 2]
    return jnp.where(determinant(matrix) < 0, moved[jnp.array(mirror)], moved)
