"""Class folders of images: PATH/CLASS/*.png, or PATH/train/CLASS/*.png and the like.

PNG, JPEG and WebP of any size, color or gray; a photo's EXIF rotation is applied and
its middle square taken. The folders' names are the classes; the config's
`tasks.emotion.classes` says which of them, and in which order, the model learns.
"""

import errno
import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt64

from emotion_jax import logs
from emotion_jax.data import twins
from emotion_jax.data.image import (
    SUFFIXES,
    UNREADABLE,
    gray,
    middle,
    read_photo,
    reason,
    resize,
)
from emotion_jax.data.table import Raw
from emotion_jax.errors import Mistake
from emotion_jax.files import printable

SPLITS = {
    **{"train": "train", "training": "train"},
    **{"val": "val", "valid": "val", "validation": "val"},
    "test": "test",
}
SKIP = "--config.data.sources.folder.skip_bad=True"


def read(path: str, side: int = 96, skip_bad: bool = False) -> Raw:
    """Reads every image of a folder, in the order of their paths.

    Args:
      side: the side of the faces in the table, in pixels.
      skip_bad: leave out unreadable files and list them, instead of ending the run.
    """
    root = Path(path)
    files = find_files(root)
    faces, hashes, bad = [], [], []
    for file in files:
        try:
            square = read_gray(file)
        except UNREADABLE as error:
            bad.append((file, reason(error)))
            continue
        faces.append(resize(square, side))
        hashes.append(twins.hash_images(square))  # before resizing: splits use it
    if bad:
        tell_bad(root, bad, skip_bad, len(files))
    unread = {file for file, _ in bad}
    files = [file for file in files if file not in unread]
    names = sorted({file.parent.name for file in files})
    label = np.array([names.index(file.parent.name) for file in files])
    hashes = np.concatenate(hashes)
    places = [str(file.relative_to(root)) for file in files]
    return Raw(
        source="folder",
        path=path,
        image=np.concatenate(faces),
        labels={"emotion": np.eye(len(names), dtype=np.float32)[label]},
        known={"emotion": np.ones(len(files), bool)},
        names={"emotion": tuple(names)},
        usage=usage_of(root, files, hashes),
        extra={"file": np.array(list(map(printable, places)))},
        original_hashes=hashes,
        left_out=len(bad),
    )


def find_files(root: Path) -> list[Path]:
    """The images of all class folders, sorted by path."""
    if not os.path.isdir(root):
        there = "is a file" if os.path.exists(root) else "does not exist"
        raise Mistake(f"folder={root} {there}; expected a folder of class folders")
    try:
        for folder in (root, *visible(root, "*"), *visible(root, "*/*")):
            # glob skips these silently
            if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        shallow, deep = images(root, "*/*"), images(root, "*/*/*")
    except OSError as error:
        raise Mistake(f"folder={root} cannot be read: {error.strerror}") from None
    files = deep if split_folders(root, shallow, deep) else shallow
    if not files:
        raise Mistake(
            f"folder={root} holds no images; expected {root}/CLASS/NAME.png, or "
            f"{root}/train/CLASS/NAME.png ({', '.join(SUFFIXES)})"
        )
    return sorted(files)


def visible(root: Path, depth: str) -> list[Path]:
    """The matching paths that are not hidden, nor in a hidden folder below `root`."""
    found = [(path, path.relative_to(root).parts) for path in root.glob(depth)]
    return [path for path, parts in found if not any(p[0] == "." for p in parts)]


def images(root: Path, depth: str) -> list[Path]:
    """The images at this depth."""
    found = [f for f in visible(root, depth) if f.suffix.lower() in SUFFIXES]
    return [f for f in found if f.is_file()]


def split_folders(root: Path, shallow: list[Path], deep: list[Path]) -> bool:
    """Whether the first level names splits and the second classes.

    Folders without images do not count, such as the __MACOSX of a zip.

    Args:
      shallow: the images in folders of the first level.
      deep: those of the second.
    """
    direct, nested = (
        {f.relative_to(root).parts[0] for f in g} for g in (shallow, deep)
    )
    splits = {name for name in direct | nested if name.lower() in SPLITS}
    others = sorted((direct | nested) - splits)
    if not splits or others and not splits & nested:
        return False
    if others:
        raise Mistake(
            f"folder={root}: {sorted(splits)[0]} is a split of class folders, and "
            f"{others[0]} beside it holds images and is no split "
            f"({', '.join(SPLITS)}): rename it, or move it away"
        )
    return True


def read_gray(file: Path) -> UInt8[np.ndarray, "1 side side 1"]:
    """One image's middle square, in gray, rotated as its EXIF says."""
    photo = gray(read_photo(file)[None])
    x, y, width, height = middle(photo.shape[2], photo.shape[1])
    return photo[:, y : y + height, x : x + width]


def usage_of(
    root: Path, files: list[Path], hashes: UInt64[np.ndarray, " n"]
) -> np.ndarray | None:
    """Each file's split if the folders name splits, else None.

    Without a validation folder, a fixed tenth of the training faces, taken from those
    without twins, becomes `val`.
    """
    if len(files[0].relative_to(root).parts) < 3:
        return None
    usage = np.array([SPLITS[file.parts[-3].lower()] for file in files])
    if "val" not in usage:
        val = (usage == "train") & (hashes % 10 == 0) & twins.alone(hashes)
        usage = np.where(val, "val", usage)
    return usage


def tell_bad(root: Path, bad: list, skip_bad: bool, count: int) -> None:
    """Lists unreadable files; raises unless they may be skipped."""
    lines = [f"{file.relative_to(root)} ({why})" for file, why in bad]
    if not skip_bad or len(bad) == count:
        more = f" and {len(bad) - 10} more" if len(bad) > 10 else ""
        leave = f"; remove them, or train with {SKIP}, which leaves them out"
        raise Mistake(
            f"folder={root}: {len(bad)} of {count} images cannot be read: "
            f"{', '.join(lines[:10])}{more}{'' if skip_bad else leave}"
        )
    for line in lines:
        logs.say(f"folder={root}: left out {line}")
