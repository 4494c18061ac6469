"""Evaluate a checkpoint: its numbers, a report with pictures, a model card.

  python -m emotion_jax.evaluate --checkpoint runs/first
  python -m emotion_jax.evaluate --checkpoint pretrained --data fer2013=fer2013.csv
  python -m emotion_jax.evaluate --checkpoint runs/fer5 --data fer2013=fer2013.csv
  python -m emotion_jax.evaluate --checkpoint runs/fer5 --split val --tta --out report

The training loop evaluates with the same `Evaluator`, so its numbers are these. All
are after the temperature that was fitted on `val` and lies in the checkpoint.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import UInt8

from emotion_jax import (
    bucket,
    checkpoint,
    cli,
    data,
    files,
    logs,
    pretrained,
    registry,
    sharding,
    views,
)
from emotion_jax.data.pipeline import concatenate
from emotion_jax.data.prepare import default_split, prepare
from emotion_jax.data.sections import options_of, options_of_val, same_file
from emotion_jax.data.table import Split
from emotion_jax.errors import Mistake
from emotion_jax.models import make_network
from emotion_jax.plan import Plan
from emotion_jax.report import tables
from emotion_jax.report.intervals import intervals
from emotion_jax.scores import Numbers, fit_temperature, ranks
from emotion_jax.step import make_eval_step
from emotion_jax.tasks import Task, make_tasks, offset
from emotion_jax.views import Outputs

KINDS = ("*.html", "*.json", "*.md", "*.png")  # of the files that it writes


class Evaluator:
    """A network's outputs and their numbers: float32, every face once."""

    def __init__(
        self,
        tasks: Mapping[str, Task],
        model: Mapping,
        mesh: Mesh,
        batch_size: int = 512,
        temperature: float = 1.0,
    ):
        self.tasks, self.mesh, self.temperature = tasks, mesh, temperature
        self.batch_size = -(-batch_size // mesh.size) * mesh.size
        self.network = make_network(tasks, **{**model, "dtype": "float32"})
        self.eval_step = make_eval_step(self.network, mesh)

    def run(self, variables: dict, image: UInt8[np.ndarray, "n h w 1"]) -> Outputs:
        """Each task's output for every face: logits, or points in pixels."""
        batches, size = [], self.enough(len(image))
        for start in range(0, len(image), size):
            batch = image[start : start + size]
            padding = [(0, size - len(batch))] + [(0, 0)] * 3
            batch = sharding.place(np.pad(batch, padding), sharding.split(self.mesh))
            batches.append(self.eval_step(variables, batch))
        outputs = jax.tree.map(lambda *x: np.concatenate(x), *jax.device_get(batches))
        return {name: output[: len(image)] for name, output in outputs.items()}

    def enough(self, count: int) -> int:
        """The batch for this many faces: of few sizes, as each is compiled."""
        size = self.mesh.size
        while size < min(count, self.batch_size):
            size *= 2
        return min(size, self.batch_size)

    def run_tta(self, variables: dict, image: UInt8[np.ndarray, "n h w 1"]) -> Outputs:
        """As `run`, averaged over views of each face (views.py)."""
        off = offset.learnt(self.tasks, variables["params"], image.shape[2])
        return views.average(partial(self.run, variables), self.tasks, image, off)

    def report(
        self, outputs: Outputs, split: Split, temperature: float | None = None
    ) -> Numbers:
        """Every number that training logs, by `task/name`."""
        found, temperature = {}, temperature or self.temperature
        for name, task in self.tasks.items():
            numbers = task.report(*arguments(name, outputs, split), temperature)
            found |= {f"{name}/{key}": value for key, value in numbers.items()}
        return found

    def details(self, outputs: Outputs, split: Split) -> Numbers:
        """Further numbers, and the intervals of the headline ones: takes seconds."""
        found, person = {}, split.extra.get("person")
        for name, task in self.tasks.items():

            def numbers(rows, name=name, task=task) -> Numbers:
                args = arguments(name, outputs, split, rows)
                return task.report(*args, self.temperature)

            known = split.faces["known"][name].reshape(len(split), -1).any(-1)
            args = *arguments(name, outputs, split), self.temperature
            mine = task.details(*args)
            mine |= intervals(numbers, np.flatnonzero(known), person)
            found |= {f"{name}/{key}": value for key, value in mine.items()}
        return found

    def fit_temperature(self, outputs: Outputs, split: Split) -> float:
        """One for all tasks of classes, by their faces in this split; 1 without any."""
        answers = []
        for name, task in self.tasks.items():
            if task.kind == "classes":
                output, label, known, _, classes, _ = arguments(name, outputs, split)
                answers.append(task.answers(output, label, known, classes))
        return fit_temperature(answers)


def arguments(
    name: str, outputs: Outputs, split: Split, rows: np.ndarray | slice = slice(None)
) -> tuple:
    """What a task's report takes, for all rows or some."""
    faces = split.faces
    return (
        outputs[name][rows],
        faces["labels"][name][rows],
        faces["known"][name][rows],
        faces["image"].shape[2],
        split.classes,
        {key: column[rows] for key, column in split.extra.items()},
    )


class Validation:
    """The training loop's evaluations, on the `val` rows of all sources.

    With `report`, a run that has come to its end is `finish`ed.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        val: Mapping[str, Split],
        plan: Plan,
        *,
        every: int | str,
        report: bool = True,
    ):
        self.evaluator, self.split = evaluator, concatenate(list(val.values()))
        self.every, self.last = plan.every(every), plan.total

    def due(self, step: int) -> bool:
        """At its cadence, and at the end of the run."""
        return step % self.every == 0 or step == self.last

    def numbers(self, variables: dict) -> tuple[Numbers, float]:
        """Every number of these variables on `val`, after the temperature fitted there.

        So its calibration is a little better here than elsewhere; @raw is before.
        """
        outputs = self.evaluator.run(variables, self.split.faces["image"])
        temperature = self.evaluator.fit_temperature(outputs, self.split)
        return self.evaluator.report(outputs, self.split, temperature), temperature

    def check_headline(self, key: str) -> None:
        """Raises unless this number will be there to choose the best step by."""
        tasks, faces = self.evaluator.tasks, self.split.faces
        labels = {name: faces["labels"][name] for name in tasks}
        outputs = {
            name: labels[name] if task.kind == "points" else np.log(labels[name] + 1e-9)
            for name, task in tasks.items()
        }
        found = self.evaluator.report(outputs, self.split)
        found = {key: value for key, value in found.items() if ranks(key)}
        if key not in found:
            raise registry.unknown("number in config.checkpoint.best", key, found)
        if found[key] is None:
            raise Mistake(f"config.checkpoint.best is {key}, but val has no such label")


@dataclasses.dataclass(frozen=True)
class Restored:
    """A checkpoint made ready to evaluate, on this machine's devices."""

    folder: Path
    meta: checkpoint.Meta
    tasks: dict[str, Task]
    variables: dict
    evaluator: Evaluator

    @property
    def title(self) -> str:
        """Which network it is: one that ships, or a run and its step."""
        run, step = self.folder.parents[1].name, self.folder.name
        return pretrained.name_of(self.folder) or f"{run}, step {step}"


def restore(
    name: str, flag: str = "--checkpoint", devices: Sequence[jax.Device] | None = None
) -> Restored:
    """The network that X names, with the config that it carries; on all devices."""
    mesh = sharding.make_mesh(devices)
    folder, meta, variables = checkpoint.read(name, mesh, flag)
    config = meta.config
    tasks = make_tasks(config["tasks"])
    evaluator = Evaluator(tasks, config["model"], mesh, temperature=meta.temperature)
    return Restored(folder, meta, tasks, variables, evaluator)


def load_splits(
    restored: Restored, wanted: Sequence[str], split: str | None, trained: bool = False
) -> list[Split]:
    """The faces to evaluate on: what --data names, else the run's own sources.

    The run's own sources keep the run's options: a synthetic set must be drawn alike
    for its test faces to be unseen.

    Args:
      trained: against the labels that the run was trained on, not the original ones.
    """
    own, splits = restored.meta.config["data"]["sources"], []
    for source, path, options in data.parse_sources(wanted or own):
        section, name = own.get(source, {}), split
        if source in own and (not path or same_file(path, section.get("path", ""))):
            path = section.get("path", "")
            options = options_of(section, trained) | options
            if "val" in (name or "").split("+") and (second := section.get("val")):
                if name != "val":
                    raise Mistake(
                        f"--split {name}: the run trained on the val rows of {path} "
                        f"too, and validated on {second}: take one split at a time"
                    )
                if wanted:
                    raise Mistake(
                        f"the run trained on the val rows of {path} too, and validated "
                        f"on {second}: leave --data out, or take --split test"
                    )
                path, name, options = second, "all", options_of_val(section)
        raw = data.load(source, path, restored.meta.side, **options)
        name = name or (default_split(raw) if wanted else "test")
        splits.append(
            prepare(raw, name, restored.tasks, restored.meta.side, trained=trained)
        )
    if trained and all(s.labels == "original" for s in splits):
        raise Mistake(
            "--labels trained: the run was trained on the original labels of this data"
        )
    return splits


def numbers_of(restored: Restored, split: Split, tta: bool) -> tuple[Outputs, Numbers]:
    """The plain outputs, and all numbers; those with augmentation end in @tta."""
    evaluator, image = restored.evaluator, split.faces["image"]
    outputs = evaluator.run(restored.variables, image)
    found = evaluator.report(outputs, split)
    if tta:
        augmented = evaluator.run_tta(restored.variables, image)
        numbers = evaluator.report(augmented, split)
        found |= {f"{k}@tta": v for k, v in numbers.items() if "@" not in k}
    return outputs, found | evaluator.details(outputs, split)


def record(split: Split, found: Numbers) -> dict:
    """The numbers with what they are on, flat, as metrics.json has them."""
    where = {"data": tables.source(split), "split": split.name, "labels": split.labels}
    return where | found


def write(
    restored: Restored, split: Split, outputs: Outputs, found: Numbers, out: Path
):
    """metrics.json, the pictures, the report and the card, in a folder for them."""
    from emotion_jax.report import card, evaluation, sheet

    out.mkdir(parents=True, exist_ok=True)
    files.write_json(out / "metrics.json", record(split, found))
    temperature = restored.evaluator.temperature
    sheet.draw(out / "faces.png", split, outputs, restored.tasks, temperature)
    files.write_text(out / "model_card.md", card.card(restored, [(split, found)]))
    page = evaluation.page(out, restored, split, outputs, found)
    files.write_text(out / "report.html", page)


def finish(workdir: Path) -> None:
    """The report of a finished run on its own `val`, unless it is there or unwanted.

    It depends on the workdir and the data alone, so a run that was killed just before
    is finished by its next start. Of several processes the first does it by itself: in
    a bucket the others hold no such workdir, or an old one.
    """
    if jax.process_index() != 0:
        return
    config = json.loads((workdir / "config.json").read_text())
    if (workdir / "report.html").exists() or not config["eval"].get("report", True):
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
