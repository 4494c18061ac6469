"""Faces drawn by code: an emotion of graded strength, and fifteen exact keypoints."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from emotion_jax.compiler import compiler_options
from emotion_jax.data import anatomy, drawing, studio
from emotion_jax.data.table import FIVE, POINTS, Raw
from emotion_jax.errors import Mistake

SPLITS = {"train": 0.8, "val": 0.1, "test": 0.1}  # of the faces, by row
MOST = 1_000_000  # faces; these already fill 9 GB
CHUNK = 100  # faces drawn at once: one compilation, and buffers that fit the cache

RANGES = {
    "label": {"emotion": (0.0, 5.0), "intensity": (0.2, 1.0)},
    "who": anatomy.WHO | dict.fromkeys((*anatomy.CHANCES, "density"), (0.0, 1.0)),
    "gain": dict.fromkeys(anatomy.ACTIONS, (0.65, 1.1)),
    "idle": dict.fromkeys(anatomy.ACTIONS, (0.0, 0.07)),
    "pose": studio.POSE,
    "light": studio.LIGHT,
    "scene": studio.SCENE,
    "shadow": studio.SHADOW,
    "cover": studio.COVER,
}


def draw(key: jax.Array, side: int = 96) -> dict[str, jax.Array]:
    """One face: image uint8[side side 1], emotion, intensity, keypoints[15 2]."""
    chance_key, noise_key = jax.random.split(key)
    face = sample(chance_key, RANGES)
    emotion = jnp.int32(face["label"]["emotion"])
    intensity = face["label"]["intensity"]
    moves = anatomy.act(emotion, intensity, face["gain"], face["idle"])
    who, where = anatomy.person(face["who"]), studio.pose(face["pose"])
    where, points = studio.keep_inside(who, moves, where)

    pixel = 96 / side
    at = (jnp.arange(side, dtype=jnp.float32) + 0.5) * pixel - 0.5
    px, py = jnp.meshgrid(at, at)
    tone = studio.paint_scene(face["scene"], px, py)
    tone = drawing.render(who, moves, where, face["light"], tone, px, py, pixel)
    tone = studio.occlude(face["cover"], tone, px, py)
    tone = tone * studio.cast_shadow(face["shadow"], px, py)
    image = studio.photograph(noise_key, face["light"], tone)
    return {
        "image": image[..., None],
        "emotion": emotion,
        "intensity": intensity,
        "keypoints": (points + 0.5) / pixel - 0.5,
    }


def sample(key: jax.Array, tables) -> dict[str, anatomy.Numbers]:
    """Draws every name of every table uniformly: one call, for a fast compile."""
    ranges = [span for table in tables.values() for span in table.values()]
    low, high = np.array(ranges, np.float32).T
    values = iter(low + (high - low) * jax.random.uniform(key, (len(ranges),)))
    return {
        title: {name: next(values) for name in table} for title, table in tables.items()
    }


def draw_many(faces: int, seed: int) -> dict[str, np.ndarray]:
    """Faces 0 to `faces` - 1, in equal chunks; the last one's surplus is cut off."""
    key = jax.random.key(seed)

    def chunk(start: int) -> dict[str, np.ndarray]:
        return jax.device_get(drawer()(key, jnp.arange(start, start + CHUNK)))

    parts = [chunk(0)]  # compiles
    with ThreadPoolExecutor() as pool:  # a single chunk leaves CPU cores idle
        parts += pool.map(chunk, range(CHUNK, faces, CHUNK))
    return {
        name: np.concatenate([part[name] for part in parts])[:faces]
        for name in parts[0]
    }


@cache
def drawer() -> Callable[[jax.Array, jax.Array], dict[str, jax.Array]]:
    """The jitted function that draws the faces of given rows."""

    def draw_rows(key: jax.Array, rows: jax.Array) -> dict[str, jax.Array]:
        return jax.vmap(lambda row: draw(jax.random.fold_in(key, row)))(rows)

    return jax.jit(draw_rows, compiler_options=compiler_options(jax.default_backend()))


def read(path: str = "", faces: int = 8000, seed: int = 0) -> Raw:
    """The first `faces` faces of a seed; face i is the same however many are drawn."""
    if path:
        raise Mistake(f"synthetic is built in and takes no path, got {path!r}")
    if faces < 10:
        raise Mistake(f"synthetic needs at least 10 faces for its splits, got {faces}")
    if faces > MOST or not 0 <= seed < 2**31:
        raise Mistake(
            f"synthetic draws at most {MOST:,} faces, of a seed from 0 to 2^31 - 1; "
            f"got {faces} and {seed}"
        )
    drawn = draw_many(faces, seed)
    return Raw(
        source="synthetic",
        path="",
        image=drawn["image"],
        labels={
            "emotion": np.eye(len(FIVE), dtype=np.float32)[drawn["emotion"]],
            "keypoints": drawn["keypoints"],
        },
        known={
            "emotion": np.ones(faces, bool),
            "keypoints": np.ones((faces, len(POINTS)), bool),
        },
        names={"emotion": FIVE, "keypoints": POINTS},
        usage=splits(faces),
        extra={"intensity": drawn["intensity"]},
    )


def splits(faces: int) -> np.ndarray:
    """Each row's split: the first eight tenths train, then val, then test."""
    ends = np.round(np.cumsum(list(SPLITS.values())) * faces)
    return np.array(list(SPLITS))[np.searchsorted(ends, np.arange(faces), "right")]
