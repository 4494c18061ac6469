"""Look at faces before training on them: one page, its pictures, its numbers.

  python -m emotion_jax.explore --data fer2013=fer2013.csv --out looked
  python -m emotion_jax.explore --data keypoints=training.csv --split train --out looked
  python -m emotion_jax.explore --data folder=faces --config configs/folder.py \\
      "--config.tasks.emotion.classes=('calm', 'tense')" --out looked

DIR must be new or empty, and is filled only at the end: with index.html, which opens
offline and loads nothing, its pictures as PNGs, and every number in explore.json.
"""

import os
import tempfile
from pathlib import Path

from ml_collections import ConfigDict

from emotion_jax import cli, data, files
from emotion_jax.config import check_config
from emotion_jax.data.augment import make_augment
from emotion_jax.data.sections import check_side, load_train_and_val, options_of
from emotion_jax.data.splits import make_split
from emotion_jax.data.table import Raw
from emotion_jax.errors import Mistake, Stopped
from emotion_jax.registry import check_fields, check_type
from emotion_jax.report import augmentations, cleaning, exploration
from emotion_jax.report.page import count
from emotion_jax.report.survey import choose, survey
from emotion_jax.tasks import make_tasks


def check_out(out: Path) -> None:
    """Raises unless a new folder can be made there, or an empty one filled."""
    cli.check_folder("--out", real(out))
    if out.exists() and any(out.iterdir()):
        raise Mistake(f"--out {out} is not empty; name a new folder")


def real(out: Path) -> Path:
    """The folder's real path: links are followed, and `.` gets its name."""
    return Path(os.path.realpath(out))


def check(config: ConfigDict) -> None:
    """Raises if something is wrong in the sections that are used here."""
    check_config(config)
    make_augment(make_tasks(config.tasks), config.augment)
    check_fields("config.data", load_train_and_val, 1, config.data)
    check_side(config.data.side)


def load(given: str, config: ConfigDict | None) -> Raw:
    """The faces that --data names, read as the config would, if there is one."""
    source, path, options = data.parse_source(given)
    if config is None:
        return data.load(source, path, **options)
    section = config.data.sources.get(source, {})
    check_type(f"config.data.sources.{source}.path", section.get("path", ""), str)
    path = path or section.get("path", "")
    options = options_of(section, trained=True) | options
    return data.load(source, path, config.data.side, **options)


def write(out: Path, raw: Raw, split: str, config: ConfigDict | None) -> dict:
    """Writes the folder, all of it or nothing; returns the numbers."""
    augmented = None
    if config is not None:
        tasks = make_tasks(config.tasks)
        augmented = make_split(raw, split, tasks, config.data.side, trained=True)
    chosen = choose(raw, split)
    found = survey(chosen, split)
    out = real(out)
    # An existing folder may be a mount or someone's current folder: do not replace it.
    near = out if out.exists() else out.parent
    near.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=near) as part:
        folder = Path(part) / "whole"
        folder.mkdir()
        if augmented is not None:
            path = folder / "augmentation.png"
            augmentations.draw_faces(path, augmented, tasks, config.augment.to_dict())
        page = exploration.page(folder, chosen, found)
        (folder / "index.html").write_text(page, encoding="utf-8")
        files.write_json(folder / "explore.json", found)
        if near != out:
            folder.replace(out)
        else:
            for file in sorted(folder.iterdir(), key=lambda f: f.suffix == ".html"):
                file.replace(out / file.name)
    return found


def main(args: list[str]) -> None:
    """The binary."""
    parser = cli.Parser("python -m emotion_jax.explore", __doc__)
    add = parser.add_argument
    add("--data", required=True, metavar="SOURCE[=PATH]", help="the faces")
    add("--split", default="all", help="or several, as train+val; default: all")
    add("--out", type=cli.here, required=True, metavar="DIR", help="new or empty")
    shown = "show its augmentation too"
    flags, config = parser.parse_with_config(args, shown, required=False)

    check_out(flags.out)
    if config is not None:
        check(config)
    raw = load(flags.data, config)
    try:
        found = write(flags.out, raw, flags.split, config)
    except OSError as error:
        raise Stopped(f"cannot write {flags.out}: {error.strerror}") from None
    faces = count(found["faces"], "face", "faces")
    print(f"{found['data']}, split {found['split']}, {faces}")
    if trained := exploration.trained(found):
        print(trained)
    for line in cleaning.headlines(found):
        print(f"- {line}")
    print(f"written to {flags.out}: index.html, explore.json and the pictures")


if __name__ == "__main__":
    cli.main(main)
