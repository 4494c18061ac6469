"""predict's inputs as face crops: photos, folders of them, CSVs of pixels."""

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from emotion_jax.data import csv_table
from emotion_jax.data.image import (
    SUFFIXES,
    UNREADABLE,
    gray,
    middle,
    read_photo,
    reason,
    resize,
)
from emotion_jax.errors import Mistake
from emotion_jax.files import printable
from emotion_jax.photo import crop, detect
from emotion_jax.photo.crop import Box

# What predict writes and does not read again: its pictures, in a folder beside a list.
DRAWN, LIST = "photos", "predictions.json"
# Also photos, but unreadable here: these are reported, while other files are skipped.
OTHERS = (".heic", ".heif", ".avif", ".gif", ".bmp", ".tif", ".tiff")


@dataclasses.dataclass(frozen=True)
class Crop:
    """One face, as the networks take it.

    Attributes:
      image: the photo's path, or PATH:ROW, or PATH:ImageId of a CSV that has them.
      sides: width and height of its image.
      box: where it is in that image.
      gray: its pixels, by the sides that networks take.
      row: its row in a CSV, from 1, else None.
      number: its ImageId, or else its row, in a CSV, else None.
      score: the detector's score, else None.
    """

    file: Path
    image: str
    sides: tuple[int, int]
    box: Box
    gray: dict[int, UInt8[np.ndarray, "side side 1"]]
    row: int | None = None
    number: str | None = None
    score: float | None = None


@dataclasses.dataclass(frozen=True)
class Search:
    """--faces: where the faces of an image are.

    Attributes:
      how: "detect", "whole", "box", or "" for the default: find faces in photos, take
        a CSV's images whole.
    """

    how: str = ""
    box: Box = (0, 0, 0, 0)

    @classmethod
    def parse(cls, text: str) -> "Search":
        """Parses the flag's value."""
        if text in ("", "detect", "whole"):
            return cls(text)
        if not re.fullmatch(r"-?\d{1,6},-?\d{1,6},0*[1-9]\d{0,5},0*[1-9]\d{0,5}", text):
            raise Mistake(
                "--faces is detect, whole, or a box x,y,width,height in whole pixels "
                f"of the photo; got {text!r}"
            )
        x, y, width, height = map(int, text.split(","))
        return cls("box", (x, y, width, height))

    def find(
        self, photo: UInt8[np.ndarray, "h w c"], usual: str
    ) -> list[tuple[Box, float | None]]:
        """Boxes and scores of the faces of a photo, gray or in color; perhaps none.

        Raises:
          ValueError: the box that is asked for is not in it.
        """
        how = self.how or usual
        height, width = photo.shape[:2]
        if how == "whole":
            return [(middle(width, height), None)]
        if how == "box":
            x, y, w, h = self.box
            if not (0 <= x + w / 2 <= width and 0 <= y + h / 2 <= height):
                place = ",".join(map(str, self.box))
                raise ValueError(f"--faces {place} is not in its {width} x {height}")
            if max(w, h) > 2 * max(width, height):
                raise ValueError(f"--faces {w} x {h} is too large for it")
            return [(self.box, None)]
        color = np.broadcast_to(photo, (height, width, 3))
        found = detect.find(np.ascontiguousarray(color))
        return [(crop.frame(face), face.score) for face in found]


def expand(paths: Sequence[str], bad: dict[str, str]) -> Iterator[Path]:
    """Every photo and CSV that the paths name, each once; `bad` collects the rest."""
    seen = set()
    if "" in paths:
        raise Mistake("the name of a photo, folder or CSV is empty")
    for path in map(Path, paths):
        try:
            files = photos_of(path) if path.is_dir() else [path]
            for file in files:
                if (real := os.path.realpath(file)) not in seen:
                    seen.add(real)
                    yield file
        except (OSError, ValueError) as error:
            bad[str(path)] = reason(error)


def photos_of(folder: Path) -> list[Path]:
    """The photos in a folder and below, by path, except those that predict drew."""
    list(folder.iterdir())  # raises, where rglob would skip it
    drawn = [file.parent / DRAWN for file in folder.rglob(LIST)]
    files = [
        file
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in SUFFIXES + OTHERS
        and not file.name.startswith(".")
        and file.is_file()
        and not set(drawn) & set(file.parents)
    ]
    if not files:
        raise ValueError(f"a folder without photos ({', '.join(SUFFIXES)})")
    return files


def read(
    paths: Sequence[str],
    search: Search,
    sides: Sequence[int],
    tell: Callable[[int], None],
) -> tuple[list[Crop], dict[str, str]]:
    """All faces, and why each of the other inputs has none.

    Args:
      sides: the sides of the faces that the networks take.
      tell: called with the number of photos done.
    """
    crops, bad = [], {}
    for done, file in enumerate(expand(paths, bad), 1):
        try:
            if file.suffix.lower() == ".csv":
                crops += read_rows(file, search, sides, bad)
            else:
                photo = read_photo(file)
                crops += some(cut_all(photo, file, search, sides, usual="detect"))
        except Mistake as error:
            bad[str(file)] = str(error).removeprefix(f"{file}").lstrip(":, ")
        except UNREADABLE as error:
            bad[str(file)] = reason(error)
        tell(done)
    return crops, bad


def read_rows(
    file: Path, search: Search, sides: Sequence[int], bad: dict[str, str]
) -> Iterator[Crop]:
    """The faces of a CSV whose column is FER2013's `pixels`, or else Kaggle's `Image`.

    All further columns but `ImageId` are ignored, so labels may be of any task.
    """
    with open(file, "rb") as opened:
        names = re.findall(rb"\w+", opened.readline(csv_table.MAX_HEADER))
    pixels = "Image" if b"Image" in names and b"pixels" not in names else "pixels"
    table = csv_table.read(str(file), pixels, (), ("ImageId",), further=True)
    rows = range(1, len(table.image) + 1)
    numbers = table.columns.get("ImageId", list(map(str, rows)))
    for row, number, image in zip(rows, numbers, table.image, strict=True):
        try:
            yield from some(cut_all(image, file, search, sides, "whole", row, number))
        except ValueError as error:
            bad[f"{file}:{number}"] = str(error)


def some(crops: list[Crop]) -> list[Crop]:
    """The faces of one image; raises if there is none."""
    if not crops:
        raise ValueError("no face found")
    return crops


def cut_all(
    photo: UInt8[np.ndarray, "h w c"],
    file: Path,
    search: Search,
    sides: Sequence[int],
    usual: str,
    row: int | None = None,
    number: str | None = None,
) -> list[Crop]:
    """The faces of one image, perhaps none."""
    crops, (height, width) = [], photo.shape[:2]
    light = photo if photo.shape[2] == 1 else gray(photo[None])[0]
    name = str(file) if number is None else f"{file}:{number}"
    for box, score in search.find(photo, usual):
        face = crop.cut(light, box)[None]
        small = {side: resize(face, side)[0] for side in sides}
        size = width, height
        crops.append(Crop(file, printable(name), size, box, small, row, number, score))
    return crops
