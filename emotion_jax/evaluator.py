"""Evaluates a network, in the training loop and in the evaluation binary alike.

An Evaluator computes outputs and their numbers, Validation those of a run on its own
`val`; Restored is a checkpoint that is ready for it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import UInt8

from emotion_jax import checkpoint, pretrained, registry, sharding, views
from emotion_jax.data.table import Split, concatenate
from emotion_jax.errors import Mistake
from emotion_jax.intervals import intervals
from emotion_jax.meta import Meta
from emotion_jax.models import make_network
from emotion_jax.plan import Patience, Plan
from emotion_jax.scores import Numbers, fit_temperature, ranks
from emotion_jax.step import make_eval_step
from emotion_jax.tasks import Task, make_tasks, offset
from emotion_jax.tasks.task import Seen
from emotion_jax.views import Outputs


class Evaluator:
    """Computes a network's outputs and their numbers: in float32, every face once."""

    def __init__(
        self,
        tasks: Mapping[str, Task],
        model: Mapping,
        mesh: Mesh,
        batch_size: int = 512,
        temperature: Mapping[str, float] = {},
    ):
        self.tasks, self.mesh = tasks, mesh
        self.temperature = {**dict.fromkeys(tasks, 1.0), **temperature}
        self.batch_size = -(-batch_size // mesh.size) * mesh.size
        self.network = make_network(tasks, **{**model, "dtype": "float32"})
        self.eval_step = make_eval_step(self.network, mesh)

    def run(self, variables: dict, image: UInt8[np.ndarray, "n h w 1"]) -> Outputs:
        """Each task's output for every face: logits, or points in pixels."""
        batches, size = [], self.batch_size_for(len(image))
        for start in range(0, max(len(image), 1), size):  # no face has outputs, too
            batch = image[start : start + size]
            padding = [(0, size - len(batch))] + [(0, 0)] * 3
            batch = sharding.place(np.pad(batch, padding), sharding.split(self.mesh))
            batches.append(self.eval_step(variables, batch))
        outputs = jax.tree.map(lambda *x: np.concatenate(x), *jax.device_get(batches))
        return {name: output[: len(image)] for name, output in outputs.items()}

    def batch_size_for(self, count: int) -> int:
        """One of few sizes for this many faces, as each is compiled."""
        size = self.mesh.size
        while size < min(count, self.batch_size):
            size *= 2
        return min(size, self.batch_size)

    def run_tta(self, variables: dict, image: UInt8[np.ndarray, "n h w 1"]) -> Outputs:
        """Like `run`, but averaged over views of each face (views.py)."""
        off = offset.learnt(self.tasks, variables["params"], image.shape[2])
        return views.average(partial(self.run, variables), self.tasks, image, off)

    def report(
        self, outputs: Outputs, split: Split, temperature: Mapping[str, float] = {}
    ) -> Numbers:
        """Every number that training logs, by `task/name`."""
        found, temperature = {}, {**self.temperature, **temperature}
        for name, task in self.tasks.items():
            seen = Seen.of(name, outputs[name], split, temperature[name])
            numbers = task.report(seen)
            found |= {f"{name}/{key}": value for key, value in numbers.items()}
        return found

    def details(self, outputs: Outputs, split: Split) -> Numbers:
        """Further numbers, and intervals for the headline ones; takes seconds."""
        found, person = {}, split.extra.get("person")
        for name, task in self.tasks.items():
            seen = Seen.of(name, outputs[name], split, self.temperature[name])
            labelled = seen.known.reshape(len(split), -1).any(-1)
            measure = partial(task.headlines, seen)
            mine = task.details(seen)
            mine |= intervals(measure, np.flatnonzero(labelled), person)
            found |= {f"{name}/{key}": value for key, value in mine.items()}
        return found

    def fit_temperature(self, outputs: Outputs, split: Split) -> dict[str, float]:
        """Each class task's, fitted on its faces in this split."""
        found = {}
        for name, task in self.tasks.items():
            if task.kind == "classes":
                answers = task.answers(Seen.of(name, outputs[name], split))
                found[name] = fit_temperature(*answers)
        return found


class Validation:
    """The training loop's evaluations, on the `val` rows of all sources.

    With `patience`, the run ends once its best score on `val` is as old as that. With
    `report`, `evaluate.finish` is called then.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        val: Mapping[str, Split],
        plan: Plan,
        *,
        every: int | str,
        patience: int | str = 0,
        report: bool = True,
    ):
        self.evaluator, self.split = evaluator, concatenate(list(val.values()))
        self.every, self.last = plan.every(every, "eval.every"), plan.total
        self.patience = Patience(plan.to_steps(patience, "eval.patience"))

    def due(self, step: int) -> bool:
        """Whether to evaluate: at its cadence, and at the end of the run."""
        return step % self.every == 0 or step == self.last

    def numbers(self, variables: dict) -> tuple[Numbers, dict[str, float]]:
        """Numbers on `val` after the temperatures fitted there, and these.

        So calibration looks a little better here than elsewhere; @raw is before it.
        """
        outputs = self.evaluator.run(variables, self.split.faces["image"])
        temperature = self.evaluator.fit_temperature(outputs, self.split)
        return self.evaluator.report(outputs, self.split, temperature), temperature

    def check_headline(self, key: str) -> None:
        """Raises unless this number will be available to choose the best step by."""
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
    """A checkpoint that is ready to evaluate, on this machine's devices."""

    folder: Path
    meta: Meta
    tasks: dict[str, Task]
    variables: dict
    evaluator: Evaluator

    @property
    def title(self) -> str:
        """The network's name: that of one that ships, or its run and step."""
        if name := pretrained.name_of(self.folder):
            return name
        workdir = checkpoint.workdir_of(self.folder)
        step = f"step {self.folder.name}"
        return f"{workdir.name}, {step}" if workdir else step


def restore(
    name: str, flag: str = "--checkpoint", devices: Sequence[jax.Device] | None = None
) -> Restored:
    """The checkpoint of this name, with its own config; on all devices by default."""
    mesh = sharding.make_mesh(devices)
    folder, meta, variables = checkpoint.read(name, mesh, flag)
    config = meta.config
    tasks = make_tasks(config["tasks"])
    evaluator = Evaluator(tasks, config["model"], mesh, temperature=meta.temperature)
    return Restored(folder, meta, tasks, variables, evaluator)
