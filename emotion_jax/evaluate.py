"""Evaluate a checkpoint: its numbers, a report with pictures, a model card.

  python -m emotion_jax.evaluate --checkpoint runs/first
  python -m emotion_jax.evaluate --checkpoint pretrained --data fer2013=fer2013.csv
  python -m emotion_jax.evaluate --checkpoint runs/fer5 --data fer2013=fer2013.csv
  python -m emotion_jax.evaluate --checkpoint runs/fer5 --split val --tta --out report
  python -m emotion_jax.evaluate --checkpoint runs/fer5 --against runs/fer7

The training loop uses the same `Evaluator`, so it reports the same numbers. All are
after the temperature that was fitted on `val` and is stored in the checkpoint.
A class that the data lacks is ruled out, so data of one class is refused.
--against measures a second network on the same faces, among the classes that both know,
and tells whether chance in the choice of faces may explain the difference.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path

import jax
from ml_collections import ConfigDict

from emotion_jax import bucket, checkpoint, cli, data, files, logs
from emotion_jax.data.sections import Place, places, trained_on
from emotion_jax.data.splits import default_split, make_split
from emotion_jax.data.splits import splits as all_splits
from emotion_jax.data.table import Split, concatenate
from emotion_jax.errors import Mistake
from emotion_jax.evaluator import Restored, restore
from emotion_jax.report import comparison, tables
from emotion_jax.report.answers import choices, ruled_out
from emotion_jax.report.comparison import Answered
from emotion_jax.scores import Numbers
from emotion_jax.views import Outputs

WRITTEN = ("report.html", "model_card.md", "metrics.json", "pictures", "compare.json")
KINDS = ("*.html", "*.json", "*.md", "*.png")  # of the files that this writes


def load_splits(
    restored: Restored, wanted: Sequence[str], split: str | None, trained: bool = False
) -> list[Split]:
    """The faces to evaluate on: what --data names, else the run's own sources.

    The run's own sources keep the run's options: a synthetic set must be drawn the same
    way for its test faces to be unseen.

    Args:
      trained: use the labels that the run was trained on, not the original ones.
    """
    own = restored.meta.config["data"]["sources"]
    there = places(own, wanted, split, trained)
    splits = [load_split(restored, place, trained) for place in there]
    if trained and all(s.labels == "original" for s in splits):
        voted = {o.get("labels", "") for o in own.values()} - {"", "original"}
        if wanted and voted:
            raise Mistake(
                "--labels trained: the run's votes belong to its own file: leave "
                "--data out"
            )
        raise Mistake(
            "--labels trained: the run was trained on the original labels of this data"
        )
    return splits


def load_split(restored: Restored, place: Place, trained: bool = False) -> Split:
    """The faces of one place, for this network; says how many it was trained on."""
    side = restored.meta.side
    raw = data.load(place.source, place.path, side, **place.options)
    name = place.split or default_split(raw)
    part = "all" if place.whole else name
    split = make_split(raw, part, restored.tasks, side, trained=trained)
    split = dataclasses.replace(split, name=name)
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


def check_choices(restored: Restored, splits: Iterable[Split | None]) -> None:
    """Raises if all answers would be right, as there is one class to choose from."""
    for split, (name, task) in product(filter(None, splits), restored.tasks.items()):
        if len(there := choices(name, task, split)) == 1:
            raise Mistake(
                f"{restored.title} knows one class of {tables.source(split)}, "
                f"{there[0]}, so no answer could be wrong: name data of at least two, "
                "or look at what predict says of these faces"
            )


def answers_of(restored: Restored, split: Split, tta: bool) -> dict[str, Outputs]:
    """The plain outputs under "", and those of averaged views under "@tta"."""
    evaluator, image = restored.evaluator, split.faces["image"]
    found = {"": evaluator.run(restored.variables, image)}
    return found | (
        {"@tta": evaluator.run_tta(restored.variables, image)} if tta else {}
    )


def numbers_of(restored: Restored, split: Split, tta: bool) -> tuple[Outputs, Numbers]:
    """The plain outputs, and all numbers; those of averaged views end in @tta."""
    answers = answers_of(restored, split, tta)
    return answers[""], measure(restored, split, answers)


def measure(
    restored: Restored, split: Split, answers: Mapping[str, Outputs]
) -> Numbers:
    """All numbers of these answers."""
    evaluator, outputs = restored.evaluator, answers[""]
    found = evaluator.report(outputs, split)
    if "@tta" in answers:
        numbers = evaluator.report(answers["@tta"], split)
        found |= {f"{k}@tta": v for k, v in numbers.items() if "@" not in k}
    return found | evaluator.details(outputs, split)


def load_rivals(
    restored: Restored, other: Restored, splits: Sequence[Split], there: Sequence[Place]
) -> list[Split | None]:
    """The same faces for another network, None where they have no label it reads.

    Args:
      splits: the faces as `restored` takes them.
      there: where they are.
    """
    tasks, found = comparison.shared(restored, other), []
    for split, place in zip(splits, there, strict=True):
        known = any(split.faces["known"][name].any() for name in tasks)
        trained = split.labels != "original"
        found.append(load_split(other, place, trained) if known else None)
    if not any(found):
        raise Mistake(
            f"{restored.title} and {other.title} both read {' and '.join(tasks)}, of "
            "which no face here has a label"
        )
    check_choices(other, found)
    return found


def compare(
    one: tuple[Restored, Split],
    two: tuple[Restored, Split],
    answers: dict[str, Outputs],
) -> dict:
    """How two networks differ on the same faces, flat, as in compare.json.

    Args:
      answers: those of the first network.
    """
    others = answers_of(*two, "@tta" in answers)
    names = {"checkpoint": one[0].title, "against": two[0].title}
    found: Numbers = {}
    for suffix, outputs in answers.items():
        mine, theirs = Answered(*one, outputs), Answered(*two, others[suffix])
        found |= comparison.suffixed(comparison.compare(mine, theirs), suffix)
    return names | record(one[1], found)


def record(split: Split, found: Numbers) -> dict:
    """The numbers and what they were measured on, flat, as in metrics.json."""
    where = {"data": tables.source(split), "split": split.name, "labels": split.labels}
    return where | found


def write(
    restored: Restored,
    split: Split,
    outputs: Outputs,
    found: Numbers,
    out: Path,
    compared: Mapping = {},
):
    """Writes metrics.json, the pictures, the report and the card to a folder.

    Args:
      compared: what compare.json holds, if anything.
    """
    from emotion_jax.report import card, evaluation, sheet

    out.mkdir(parents=True, exist_ok=True)
    files.write_json(out / "metrics.json", record(split, found))
    (out / "compare.json").unlink(missing_ok=True)  # an earlier evaluation's
    if compared:
        files.write_json(out / "compare.json", compared)
    temperature = restored.meta.temperature
    sheet.draw(out / "faces.png", split, outputs, restored.tasks, temperature)
    files.write_text(out / "model_card.md", card.card(restored, [(split, found)]))
    page = evaluation.page(out, restored, split, outputs, found, compared)
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
    labels = "trained: those of FER+ that the run learnt from; default: original"
    add("--labels", default="original", choices=["original", "trained"], help=labels)
    add("--against", metavar="Y", help="another network, to compare on the same faces")
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
    if flags.against:
        other = restore(flags.against, "--against")
        comparison.shared(restored, other)  # raises before any file is read
    wanted = flags.data, flags.split, flags.labels == "trained"
    splits = load_splits(restored, *wanted)
    check_choices(restored, splits)
    rivals = [None] * len(splits)
    if flags.against:
        there = places(restored.meta.config["data"]["sources"], *wanted)
        rivals = load_rivals(restored, other, splits, there)
    outs = [f"{split.source}-{split.name}" for split in splits]
    workdir = checkpoint.workdir_of(restored.folder)
    if not workdir:
        flags.out = flags.out or Path("evaluation")
    if flags.out and len(splits) == 1:
        outs = [""]
    root = flags.out or bucket.origin(workdir) / "eval"
    for name in outs:
        cli.check_folder("--out", root / name, KINDS)
    for split, rival, name in zip(splits, rivals, outs, strict=True):
        answers = answers_of(restored, split, flags.tta)
        found, compared = measure(restored, split, answers), {}
        if rival:
            compared = compare((restored, split), (other, rival), answers)
        out = root / name
        with bucket.filled(out) as folder:
            write(restored, split, answers[""], found, folder, compared)
        head = "\n".join([tables.describe(split), *ruled_out(restored.tasks, split)])
        print(f"\n{head}\n\n{tables.numbers(found, restored.tasks)}")
        if compared:
            print(f"\n{comparison.text(compared, split)}")
        written = ", ".join(WRITTEN[: None if compared else -1])
        print(f"\nwritten to {out}: {written}")


if __name__ == "__main__":
    cli.main(main)
