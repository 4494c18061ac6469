"""The pictures of a prediction: photos with its answers drawn in, sheets of CSVs."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from emotion_jax.data.image import read_photo
from emotion_jax.inference import Predictions
from emotion_jax.photo.inputs import Crop
from emotion_jax.report import annotate, mosaic
from emotion_jax.report.answers import by_task

LONGEST = 50  # characters of a picture's name, as a disk allows 255 bytes


def names_of(crops: Sequence[Crop]) -> dict[Path, str]:
    """The file name of each input's picture."""
    names, taken = {}, set()
    for crop in crops:
        if crop.file not in names:
            suffix = ".jpg" if crop.number is None else ".png"
            names[crop.file] = free_name(crop.file.stem[:LONGEST], taken) + suffix
    return names


def draw(
    out: Path, names: Mapping[Path, str], crops: Sequence[Crop], found: Predictions
) -> None:
    """Draws each photo with its faces, and a sheet of the first faces of each CSV.

    Args:
      names: of the pictures, by the input's file.
    """
    for file, faces in itertools.groupby(range(len(crops)), lambda i: crops[i].file):
        faces = list(faces)
        if crops[faces[0]].number is None:
            draw_photo(out / names[file], crops, found, faces)
        else:
            draw_sheet(out / names[file], crops, found, faces[: mosaic.MOST])


def free_name(name: str, taken: set[str]) -> str:
    """The name, with a number if it is taken already; adds it to `taken`."""
    numbered = (f"{name}-{k}" for k in itertools.count(2))
    free = next(n for n in itertools.chain([name], numbered) if n.lower() not in taken)
    taken.add(free.lower())
    return free


def draw_photo(
    path: Path, crops: Sequence[Crop], found: Predictions, faces: Sequence[int]
) -> None:
    """Draws the photo of these faces, annotated."""
    points, names = points_of(found, faces)
    marks = [
        annotate.Mark(crops[i].box, "\n".join(said(found, i)), mine)
        for i, mine in zip(faces, points, strict=True)
    ]
    annotate.draw(path, read_photo(crops[faces[0]].file), marks, names)


def draw_sheet(
    path: Path, crops: Sequence[Crop], found: Predictions, faces: Sequence[int]
) -> None:
    """Draws these faces side by side, as the networks saw them."""
    side = max(crops[0].gray)
    images = np.stack([crops[i].gray[side] for i in faces])
    options = {"columns": mosaic.even(len(faces)), "tile": 132}  # as wide as a caption
    points, names = points_of(found, faces)
    if names:
        box = np.array([crops[i].box for i in faces], np.float32)[:, None]
        points = (points - box[..., :2] + 0.5) * (side / box[..., 2:]) - 0.5
        known = np.ones(points.shape[:2], bool)
        options |= {"names": names, "points": points, "known": known}
    captions = ["\n".join(said(found, i, 9)) for i in faces]
    mosaic.draw(path, images, captions, **options)


def points_of(
    found: Predictions, faces: Sequence[int]
) -> tuple[Float32[np.ndarray, "n p 2"], tuple[str, ...]]:
    """The points of all tasks on these faces, and their names."""
    tasks = found.of_kind("points").values()
    none = np.zeros((len(faces), 0, 2), np.float32)
    points = np.concatenate([none, *(t.values[list(faces)] for t in tasks)], axis=1)
    return points, tuple(name for task in tasks for name in task.names)


def said(found: Predictions, i: int, most: int = 20) -> list[str]:
    """Each class task's most probable class, in `most` letters, and its probability."""
    return by_task(
        {
            name: f"{mosaic.short(answer.top[i], most)} {answer.values[i].max():.0%}"
            for name, answer in found.of_kind("classes").items()
        }
    )
