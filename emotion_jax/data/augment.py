"""Augmentation on the device, inside the step: functions of one example, vmapped.

Geometry is composed before it touches a pixel: each geometric augmentation gives a 3x3
matrix (homogeneous, about the image's centre), their product warps the image once and
moves whatever labels are points. Photometric ones map the image, in [0, 1].
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from emotion_jax import registry
from emotion_jax.tasks import Task, mirrored

Matrix = Float[Array, "3 3"]
Image = Float[Array, "h w 1"]


def affine(a=1.0, b=0.0, c=0.0, d=0.0, e=1.0, f=0.0) -> Matrix:
    """x' = a x + b y + c, y' = d x + e y + f."""
    rows = [[a, b, c], [d, e, f], [0.0, 0.0, 1.0]]
    return jnp.stack(
        [jnp.stack([jnp.asarray(v, jnp.float32) for v in r]) for r in rows]
    )


def flip(key: PRNGKeyArray, side: int, probability: float = 0.5) -> Matrix:
    """Mirror left and right."""
    flipped = jax.random.bernoulli(key, probability)
    return affine(a=jnp.where(flipped, -1.0, 1.0))


def rotate(key: PRNGKeyArray, side: int, degrees: float = 15.0) -> Matrix:
    """Turn by an angle uniform in +-degrees."""
    angle = jnp.deg2rad(jax.random.uniform(key, minval=-degrees, maxval=degrees))
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return affine(a=cos, b=-sin, d=sin, e=cos)


def zoom(key: PRNGKeyArray, side: int, low: float = 0.9, high: float = 1.1) -> Matrix:
    """Scale by a factor uniform in its logarithm; above 1 the face grows."""
    bounds = {"minval": jnp.log(low), "maxval": jnp.log(high)}
    factor = jnp.exp(jax.random.uniform(key, **bounds))
    return affine(a=factor, e=factor)


def translate(key: PRNGKeyArray, side: int, fraction: float = 0.1) -> Matrix:
    """Shift by up to a fraction of the side, each way."""
    shift = jax.random.uniform(key, (2,), minval=-fraction, maxval=fraction) * side
    return affine(c=shift[0], f=shift[1])


def brightness(key: PRNGKeyArray, image: Image, delta: float = 0.2) -> Image:
    """Add a constant uniform in +-delta of the full range."""
    return image + jax.random.uniform(key, minval=-delta, maxval=delta)


def contrast(
    key: PRNGKeyArray, image: Image, low: float = 0.7, high: float = 1.4
) -> Image:
    """Scale the differences from the image's mean."""
    factor = jax.random.uniform(key, minval=low, maxval=high)
    return (image - image.mean()) * factor + image.mean()


def erase(
    key: PRNGKeyArray,
    image: Image,
    probability: float = 0.5,
    low: float = 0.02,
    high: float = 0.2,
) -> Image:
    """Fill a rectangle of low..high of the area with noise (Zhong et al. 2017).

    A covered keypoint stays labelled: the network learns to infer it.
    """
    side = image.shape[0]
    keys = jax.random.split(key, 5)
    area = jax.random.uniform(keys[0], minval=low, maxval=high)
    aspect = jnp.exp(jax.random.uniform(keys[1], minval=-1.2, maxval=1.2))
    half = jnp.sqrt(area * jnp.stack([aspect, 1 / aspect])) * side / 2
    centre = jax.random.uniform(keys[2], (2,), maxval=side)
    inside = [jnp.abs(jnp.arange(side) - centre[i]) <= half[i] for i in (0, 1)]
    mask = inside[1][:, None] & inside[0][None, :]
    mask &= jax.random.bernoulli(keys[3], probability)
    noise = jax.random.uniform(keys[4], image.shape)
    return jnp.where(mask[..., None], noise, image)


# Applied in this order, whatever the order in the config.
GEOMETRY = {"flip": flip, "rotate": rotate, "zoom": zoom, "translate": translate}
PHOTOMETRY = {"brightness": brightness, "contrast": contrast, "erase": erase}
AUGMENTATIONS = GEOMETRY | PHOTOMETRY


def determinant(matrix: Matrix) -> Float[Array, ""]:
    """Of the linear part: negative where the map mirrors."""
    return matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]


def inverse(matrix: Matrix) -> Matrix:
    """In closed form: a batched LU would cost an accelerator more than the warp."""
    (a, b, c), (d, e, f) = matrix[0], matrix[1]
    rows = affine(e, -b, b * f - c * e, -d, a, c * d - a * f) / determinant(matrix)
    return rows.at[2].set(jnp.array([0.0, 0.0, 1.0]))


def centred(matrix: Matrix, side: int) -> Matrix:
    """The same map with the origin at pixel (0, 0) instead of the image's centre."""
    middle = (side - 1) / 2
    return affine(c=middle, f=middle) @ matrix @ affine(c=-middle, f=-middle)


def warp(image: Image, matrix: Matrix) -> Image:
    """The image moved by `matrix` (source to target), bilinear, edges repeated."""
    side = image.shape[0]
    (a, b, c), (d, e, f) = inverse(matrix)[:2]
    y, x = jnp.mgrid[:side, :side].astype(jnp.float32)
    source_x, source_y = a * x + b * y + c, d * x + e * y + f
    at = partial(jax.scipy.ndimage.map_coordinates, order=1, mode="nearest")
    return at(image[..., 0], [source_y, source_x])[..., None]


def move_points(
    points: Float[Array, "p 2"], matrix: Matrix, mirror: tuple[int, ...]
) -> Float[Array, "p 2"]:
    """Points under `matrix`; left and right trade names where it mirrors."""
    moved = points @ matrix[:2, :2].T + matrix[None, :2, 2]
    return jnp.where(determinant(matrix) < 0, moved[jnp.array(mirror)], moved)


@dataclasses.dataclass(frozen=True, eq=False)  # jit tells two of them by identity
class Augment:
    """The augmentation that a config's `augment` section describes."""

    geometry: Mapping[str, Callable]
    photometry: Mapping[str, Callable]
    tasks: Mapping[str, Task]

    def __call__(self, key: PRNGKeyArray, face: dict) -> dict:
        """One face, image float32[h w 1] in [0, 1], augmented."""
        image, labels, known = face["image"], dict(face["labels"]), dict(face["known"])
        side = image.shape[0]
        keys = dict(zip(AUGMENTATIONS, jax.random.split(key, len(AUGMENTATIONS))))
        if self.geometry:
            matrix = affine()
            for name, function in self.geometry.items():
                matrix = function(keys[name], side) @ matrix
            matrix = centred(matrix, side)
            image = warp(image, matrix)
            for name, task in self.tasks.items():
                if task.kind == "points":
                    mirror = mirrored(task.names)
                    swapped = known[name][jnp.array(mirror)]
                    labels[name] = move_points(labels[name], matrix, mirror)
                    mirrors = determinant(matrix) < 0
                    known[name] = jnp.where(mirrors, swapped, known[name])
        for name, function in self.photometry.items():
            image = jnp.clip(function(keys[name], image), 0.0, 1.0)
        return {"image": image, "labels": labels, "known": known}


def make_augment(tasks: Mapping[str, Task], sections: Mapping[str, Mapping]) -> Augment:
    """The config's augmentations, each bound to its section's fields."""
    for name, options in sections.items():
        function = registry.pick("augmentation", name, AUGMENTATIONS)
        registry.check_fields(f"config.augment.{name}", function, 2, options)
    geometry, photometry = (
        {n: partial(f, **sections[n]) for n, f in table.items() if n in sections}
        for table in (GEOMETRY, PHOTOMETRY)
    )
    return Augment(geometry, photometry, tasks)
