"""Evaluate a checkpoint: its numbers, a report with pictures, a model card.

  python -m emotion_jax.evaluate --checkpoint runs/first
  python -m emotion_jax.evaluate --checkpoint pretrained --data fer2013=fer2013.csv
  python -m emotion_jax.evaluate --checkpoint runs/fer5 --data fer2013=fer2013.csv
  python -m emotion_jax.evaluate --checkpoint runs/fer5 --split val --tta --out report

The training loop uses the same `Evaluator`, so it reports the same numbers. All are
after the temperature that was fitted on `val` and is stored in the checkpoint.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from emotion_jax import bucket, cli, data, files, logs, pretrained
from emotion_jax.data.pipeline import concatenate
from emotion_jax.data.sections import (
    options_of,
    options_of_any,
    options_of_val,
    same_file,
    trained_on,
)
from emotion_jax.data.splits import default_split, make_split
from emotion_jax.data.splits import splits as all_splits
from emotion_jax.data.table import Split
from emotion_jax.errors import Mistake
from emotion_jax.evaluator import Restored, restore
from emotion_jax.report import tables
from emotion_jax.scores import Numbers
from emotion_jax.views import Outputs

KINDS = ("*.html", "*.json", "*.md", "*.png")  # of the files that this writes


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the faces of a source are, and how to read them."""

    source: str
    path: str
    options: Mapping[str, Any]
    split: str | None  # None: the file's default


def load_splits(
    restored: Restored, wanted: Sequence[str], split: str | None, trained: bool = False
) -> list[Split]:
    """The faces to evaluate on: what --data names, else the run's own sources.

    The run's own sources keep the run's options: a synthetic set must be drawn the same
    way for its test faces to be unseen.

    Args:
      trained: use the labels that the run was trained on, not the original ones.
    """
    there = places(restored, wanted, split, trained)
    splits = [load_split(restored, place, trained) for place in there]
    if trained and all(s.labels == "original" for s in splits):
        raise Mistake(
            "--labels trained: the run was trained on the original labels of this data"
        )
    return splits


def places(
    restored: Restored, wanted: Sequence[str], split: str | None, trained: bool = False
) -> list[Place]:
    """Where the faces of `load_splits` are; reads no file."""
    own, found = restored.meta.config["data"]["sources"], []
    for source, path, options in data.parse_sources(wanted or own):
        section, name = own.get(source, {}), split or (None if wanted else "test")
        if source in own and (not path or same_file(path, section.get("path", ""))):
            path = section.get("path", "")
            options = options_of(section, trained) | options
            second = section.get("val")
            if second and "val" in (name or "").split("+"):
                check_second(name, path, second, named=bool(wanted))
                path, name, options = second, "all", options_of_val(section)
        else:
            options = options_of_any(section) | options
        found.append(Place(source, path, options, name))
    return found


def load_split(restored: Restored, place: Place, trained: bool = False) -> Split:
    """The faces of one place, for this network; says how many it was trained on."""
    side = restored.meta.side
    raw = data.load(place.source, place.path, side, **place.options)
    name = place.split or default_split(raw)
    split = make_split(raw, name, restored.tasks, side, trained=trained)
    section = restored.meta.config["data"]["sources"].get(place.source)
    if section is None:
        return split
    seen = trained_on(raw, section, side)
    split = dataclasses.replace(split, trained_on=int(seen[split.rows].sum()))
    if split.trained_on:
        test = all_splits(raw).get("test", seen)
        other = "; split test has others" if (test & ~seen).any() else ""
        logs.say(
            f"{restored.title} was trained on {split.trained_on:,} of these "
            f"{len(split):,} faces{other}"
        )
    return split


def check_second(split: str, path: str, second: str, named: bool) -> None:
    """Raises unless `val` can mean the second file that the run validated on.

    Args:
      named: whether --data names the first file, whose `val` rows were trained on.
    """
    if split != "val":
        raise Mistake(
            f"--split {split}: the run trained on the val rows of {path} too, and "
            f"validated on {second}: take one split at a time"
        )
    if named:
        raise Mistake(
            f"the run trained on the val rows of {path} too, and validated on "
            f"{second}: leave --data out, or take --split test"
        )


def numbers_of(restored: Restored, split: Split, tta: bool) -> tuple[Outputs, Numbers]:
    """The plain outputs, and all numbers; those of averaged views end in @tta."""
    evaluator, image = restored.evaluator, split.faces["image"]
    outputs = evaluator.run(restored.variables, image)
    found = evaluator.report(outputs, split)
    if tta:
        augmented = evaluator.run_tta(restored.variables, image)
        numbers = evaluator.report(augmented, split)
        found |= {f"{k}@tta": v for k, v in numbers.items() if "@" not in k}
    return outputs, found | evaluator.details(outputs, split)


def record(split: Split, found: Numbers) -> dict:
    """The numbers and what they were measured on, flat, as in metrics.json."""
    where = {"data": tables.source(split), "split": split.name, "labels": split.labels}
    return where | found


def write(
    restored: Restored, split: Split, outputs: Outputs, found: Numbers, out: Path
):
    """Writes metrics.json, the pictures, the report and the card to a folder."""
    from emotion_jax.report import card, evaluation, sheet

    out.mkdir(parents=True, exist_ok=True)
    files.write_json(out / "metrics.json", record(split, found))
    temperature = restored.meta.temperature
    sheet.draw(out / "faces.png", split, outputs, restored.tasks, temperature)
    files.write_text(out / "model_card.md", card.card(restored, [(split, found)]))
    page = evaluation.page(out, restored, split, outputs, found)
    files.write_text(out / "report.html", page)


def finish(workdir: Path, config: ConfigDict) -> None:
    """Writes a finished run's report on its own `val`, unless it exists or is unwanted.

    The report depends only on the workdir and the data, so if the run was killed just
    before it, the next start writes it. Of several processes only the first does this:
    with a bucket, the others have no copy of the workdir, or an old one.
    """
    if jax.process_index() != 0:
        return
    if (workdir / "report.html").exists() or not config.eval.get("report", True):
        return
    restored = restore(str(workdir), devices=jax.local_devices())
    split = concatenate(load_splits(restored, [], "val"))
    outputs, found = numbers_of(restored, split, tta=False)
    folder = workdir / "eval" / "val"
    write(restored, split, outputs, found, folder)
    for name in ("model_card.md", "report.html"):
        (folder / name).replace(workdir / name)
    where = bucket.origin(workdir)
    logs.say(f"written to {where}: report.html, model_card.md, eval/val/")


def main(args: list[str]) -> None:
    """The evaluation binary."""
    parser = cli.Parser("python -m emotion_jax.evaluate", __doc__)
    add = parser.add_argument
    add("--checkpoint", required=True, metavar="X", help=cli.CHECKPOINT)
    add("--data", **cli.SOURCES, help="default: the run's own sources")
    add("--split", help="default: test where the data has splits, otherwise all")
    add("--labels", default="original", choices=["original", "trained"])
    add("--tta", action="store_true", help="also average over views: mirrored, moved")
    add(
        "--out",
        type=bucket.place,
        metavar="DIR",
        help="default: WORKDIR/eval/SOURCE-SPLIT/; of pretrained: evaluation/",
    )
    flags = parser.parse(args)

    if flags.out:
        cli.check_folder("--out", flags.out)
    restored = restore(flags.checkpoint)
    splits = load_splits(restored, flags.data, flags.split, flags.labels == "trained")
    outs = [f"{split.source}-{split.name}" for split in splits]
    if pretrained.name_of(restored.folder):  # there is no workdir to write to
        flags.out = flags.out or Path("evaluation")
    if flags.out and len(splits) == 1:
        outs = [""]
    root = flags.out or bucket.origin(restored.folder.parents[1]) / "eval"
    for name in outs:
        cli.check_folder("--out", root / name, KINDS)
    for split, name in zip(splits, outs, strict=True):
        outputs, found = numbers_of(restored, split, flags.tta)
        out = root / name
        with bucket.filled(out) as folder:
            write(restored, split, outputs, found, folder)
        print(f"\n{tables.describe(split)}\n\n{tables.numbers(found, restored.tasks)}")
        print(f"\nwritten to {out}: report.html, model_card.md, metrics.json, pictures")


if __name__ == "__main__":
    cli.main(main)
