"""CSV files of random faces, a face at another side, and equality of tables."""

import dataclasses

import numpy as np
from PIL import Image

from emotion_jax.data.keypoints import COORDINATES

USAGES = ("Training", "Training", "PublicTest")


def pixels(seed: int) -> str:
    return " ".join(map(str, np.random.default_rng(seed).integers(0, 256, 256)))


def fer_csv(path, emotions=(3, 0, 4, 1) * 10, usage=True, seed=0):
    """Random faces, so that the hash gives each split some."""
    lines = ["emotion,pixels,Usage" if usage else "emotion,pixels"]
    for i, emotion in enumerate(emotions):
        end = f",{USAGES[i % 3]}" if usage else ""
        lines.append(f"{emotion},{pixels(seed + i)}{end}")
    path.write_text("\n".join(lines))
    return path


def points_csv(path, people=None):
    """Every seventh coordinate is missing."""
    lines = [",".join([*COORDINATES, "Image", *(["person"] if people else [])])]
    for i in range(30):
        row = ["" if (i + j) % 7 == 0 else str((i + j) / 7) for j in range(30)]
        lines.append(",".join([*row, pixels(i), *([people[i % 4]] if people else [])]))
    path.write_text("\n".join(lines))
    return path


def resized(image, side):
    """A face as Pillow makes it smaller or larger."""
    photo = Image.fromarray(image[..., 0])
    return np.asarray(photo.resize((side, side), Image.Resampling.BILINEAR))


def assert_same(a, b):
    """Equal in every field but the path, bytes and types; not `prepared.same`."""
    for field in dataclasses.fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        x, y = (v if isinstance(v, dict) else {"": v} for v in (x, y))
        assert list(x) == list(y), field.name
        for name in x if field.name != "path" else ():
            left, right = np.asarray(x[name]), np.asarray(y[name])
            assert left.dtype == right.dtype and left.shape == right.shape
            assert left.tobytes() == right.tobytes(), (field.name, name)
