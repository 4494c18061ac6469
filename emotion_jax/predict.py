"""Predict emotion and keypoints of the faces in photos, folders of photos, and CSVs.

  python -m emotion_jax.predict --checkpoint pretrained photo.jpg
  python -m emotion_jax.predict --checkpoint runs/fer5 --checkpoint runs/points photos
  python -m emotion_jax.predict --checkpoint runs/points test.csv --submission IdL.csv

writes predictions.csv (one row per face, points in pixels of the photo), the same as
predictions.json, and the photos with the predictions drawn in, or a sheet of a CSV's
first faces. Photos are PNG, JPEG or WebP of up to 50 million pixels, turned as their
EXIF says; a folder is searched with all its subfolders, except for what an earlier run
drew. A CSV holds one face per row: `pixels` or `Image`, and perhaps `ImageId`; other
columns are ignored. Inputs that fail, including photos without a face, are listed at
the end, with exit code 2; all others are still processed.
"""

import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from emotion_jax import cli, logs
from emotion_jax.errors import Mistake
from emotion_jax.inference import Model, Predictions, combine
from emotion_jax.photo import detect, inputs
from emotion_jax.photo.inputs import DRAWN, LIST, Crop, Search
from emotion_jax.report import pictures, predictions
from emotion_jax.report.page import count

TOLD = 10  # seconds between lines on the console
TABLE, KAGGLE = "predictions.csv", "submission.csv"
WRITTEN = (TABLE, LIST, KAGGLE)


def load(checkpoints: Sequence[str]) -> list[Model]:
    """One network, or specialists for different tasks."""
    models, owner = [Model(name, "--checkpoint") for name in checkpoints], {}
    for model, name in zip(models, checkpoints, strict=True):
        for task in model.restored.tasks:
            if task in owner:
                raise Mistake(
                    f"--checkpoint {owner[task]} and {name} both give {task}: "
                    "name one network, or one for each task"
                )
            owner[task] = name
    return models


def progress():
    """A function that says now and then how many inputs have been read."""
    last = time.monotonic()

    def tell(done: int) -> None:
        nonlocal last
        if time.monotonic() - last > TOLD:
            last = time.monotonic()
            logs.say(f"{done:,} inputs read")

    return tell


def failure(bad: dict[str, str], done: int) -> Mistake:
    """One sentence about all inputs that failed."""
    told = [f"{name} ({why.removesuffix('.')})" for name, why in bad.items()]
    more = f" and {len(told) - 10} more" if len(told) > 10 else ""
    rest = "; the others are done" if done else ""
    return Mistake(f"no prediction for {', '.join(told[:10])}{more}{rest}")


def check_out(out: Path, given: Sequence[str]) -> None:
    """Raises if something is in the way, or if an input would be written over."""
    home = Path(os.path.realpath(out))
    for name in filter(None, given):
        where = Path(os.path.realpath(name))
        written = where.name in WRITTEN and where.parent == home
        if written or home / DRAWN in (where, *where.parents):
            raise Mistake(f"{name} would be written over; choose another --out")
    cli.check_folder("--out", out, ("*.csv", "*.json"))
    cli.check_folder("--out", out / DRAWN, ("*.jpg", "*.png"))
    is_ours = (out / LIST).exists() or not any(out.glob(f"{DRAWN}/*"))
    if not is_ours:
        raise Mistake(
            f"--out {out} has a folder {DRAWN} already, which no earlier run made; "
            "choose another --out"
        )


def clear(out: Path) -> None:
    """Removes what an earlier run wrote, so that the results of two runs never mix."""
    try:
        drawn = json.loads((out / LIST).read_text())["pictures"]
        drawn = [Path(name).name for name in drawn]
    except (OSError, ValueError, KeyError, TypeError):
        drawn = []  # there was no earlier run, or it did not finish
    for name in drawn:
        (out / DRAWN / name).unlink(missing_ok=True)
    for name in WRITTEN:
        (out / name).unlink(missing_ok=True)


def write(out: Path, crops: Sequence[Crop], found: Predictions, about: dict) -> None:
    """Writes tables and pictures, in place of an earlier run's files."""
    names = pictures.names_of(crops)
    about = about | {"pictures": list(names.values())}
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=out) as new:
        new = Path(new)
        predictions.write_json(new / LIST, crops, found, about)
        predictions.write_csv(new / TABLE, crops, found)
        (new / DRAWN).mkdir()
        pictures.draw(new / DRAWN, names, crops, found)
        clear(out)
        (out / DRAWN).mkdir(exist_ok=True)
        for name in (LIST, TABLE, *(f"{DRAWN}/{drawn}" for drawn in names.values())):
            (new / name).replace(out / name)


def parse(args: list[str]):
    """The binary's flags."""
    parser = cli.Parser("python -m emotion_jax.predict", __doc__)
    add = parser.add_argument
    add("inputs", nargs="+", metavar="PHOTO_OR_FOLDER_OR_CSV")
    add(
        "--checkpoint",
        action="append",
        required=True,
        metavar="X",
        help=f"{cli.CHECKPOINT}; twice for two specialists",
    )
    add(
        "--faces",
        default="",
        metavar="detect|whole|x,y,w,h",
        help="where the faces are; a box as --faces=-5,0,90,90; "
        "default: detect in photos, whole in a CSV",
    )
    add("--tta", action="store_true", help="average over views: mirrored, moved")
    add(
        "--out",
        type=cli.here,
        default=Path("predictions"),
        metavar="DIR",
        help="default: predictions",
    )
    add("--submission", metavar="CSV", help="Kaggle's IdLookupTable.csv")
    return parser.parse(args)


def main(args: list[str]) -> None:
    """The binary."""
    flags = parse(args)
    search = Search.parse(flags.faces)
    photos = any(not name.lower().endswith(".csv") for name in flags.inputs)
    if search.how == "detect" or photos and not search.how:
        try:
            detect.check()
        except Mistake as mistake:
            raise Mistake(
                f"{mistake}; --faces whole takes each photo as one face"
            ) from None
    check_out(flags.out, [*flags.inputs, flags.submission or ""])
    models = load(flags.checkpoint)
    points = [n for m in models for n in m.restored.meta.names.get("keypoints", ())]
    lookup = (
        predictions.read_lookup(flags.submission, points) if flags.submission else None
    )

    sides = sorted({model.side for model in models})
    crops, bad = inputs.read(flags.inputs, search, sides, progress())
    if not crops:
        raise failure(bad, 0)
    asked = lookup.rows_of(crops, bad) if lookup else None
    found = combine(models, crops, flags.tta)
    about = {"checkpoints": flags.checkpoint, "not_done": bad}
    write(flags.out, crops, found, about)
    if lookup:
        lookup.write(flags.out / KAGGLE, asked, crops, found)
    files = [TABLE, LIST, *([KAGGLE] if lookup else []), f"{DRAWN}/"]
    faces = count(len(crops), "face", "faces")
    print(f"{faces}; written to {flags.out}: {', '.join(files)}")
    if bad:
        raise failure(bad, len(crops))


if __name__ == "__main__":
    cli.main(main)
