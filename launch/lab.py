"""Recipes trained side by side and measured on `val`: each run is one small file.

A recipe is a config with some fields set. A run is one training of it from one seed, in
this process: the faces are read once for all recipes, and a recipe is compiled once for
all its seeds. Its file is written whole or not at all, and named after everything that
determines its result, so nothing is lost, nothing is run twice, and several processes
may share a folder.
"""

import dataclasses
import functools
import hashlib
import json
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from clu import parameter_overview
from ml_collections import ConfigDict

from emotion_jax import data, files, logs, sharding
from emotion_jax.config import load_config
from emotion_jax.data import cache
from emotion_jax.data.sections import (
    TRAINED,
    load_train_and_val,
    options_of_val,
    set_paths,
)
from emotion_jax.data.splits import HELD_OUT
from emotion_jax.errors import Mistake
from emotion_jax.evaluator import Evaluator, Validation
from emotion_jax.registry import build
from emotion_jax.report import tables
from emotion_jax.scores import lower_is_better
from emotion_jax.tasks import make_tasks
from emotion_jax.trial import Run, Trial
from emotion_jax.workdir import MAY_CHANGE, different, flatten, to_dict

Recipe = Mapping[str, object]  # fields by their names: {"model.width": 64}

MEASURED = ("accuracy", "macro_f1", "ece", "nll", "rmse_px", "nme")
POINTS = 60  # in a stored curve
FILES = (".path", ".val", ".votes", ".teachers", "init_from")  # fields that name files
# What is measured, and on which faces, must be the same for all recipes.
FIXED = ("seed", "stop_at", "checkpoint.best", "eval.", "tasks.emotion.classes")


@dataclasses.dataclass(frozen=True)
class Lab:
    """Where recipes of one config are trained and their runs are kept.

    Attributes:
      overrides: the config's fields as set on the command line.
      data: SOURCE=PATH; `val`: the same for validation files.
      out: the folder of the runs.
      also: what else to measure for each run, by name.
      purpose: names these measurements; runs with other measurements are other runs.
    """

    file: str
    overrides: Sequence[str]
    data: Sequence[str]
    val: Sequence[str]
    out: Path
    also: Callable[["Bench", Run], dict] = lambda bench, run: {}
    purpose: str = ""
    lock: threading.RLock = dataclasses.field(default_factory=threading.RLock)
    loaded: dict = dataclasses.field(default_factory=dict)

    def config(self, recipe: Recipe) -> ConfigDict:
        """The recipe's config, complete."""
        with self.lock:  # loading executes the config's file
            base = load_config(self.file, self.overrides)
            config = load_config(self.file, [*self.overrides, *flags_of(recipe)])
        check_recipe(base, config)
        set_paths(config, self.data, "path")
        set_paths(config, self.val, "val")
        return config

    def faces(self, config: ConfigDict) -> tuple[dict, dict]:
        """A config's training and validation splits, read once for all recipes."""
        key = json.dumps(to_dict(config)["data"]) + json.dumps(to_dict(config)["tasks"])
        with self.lock:
            if key not in self.loaded:
                check_unseen(config)
                tasks = make_tasks(config.tasks)
                self.loaded[key] = build(config, "data", load_train_and_val, tasks)
            return self.loaded[key]

    def bench(self, recipe: Recipe, number: int = 0) -> "Bench":
        """The recipe on one of the devices, chosen by number in rotation."""
        devices = jax.local_devices()
        mesh = sharding.make_mesh([devices[number % len(devices)]])
        return Bench(self, dict(recipe), self.config(recipe), mesh)

    def runs(self) -> dict[str, list[dict]]:
        """The runs of this config's recipes by key, in the order of their seeds."""
        found: dict[str, list[dict]] = {}
        for path in sorted((self.out / "runs").glob(f"{self.key}-*.json")):
            run = json.loads(path.read_text())
            found.setdefault(path.stem.split("-")[1], []).append(run)
        return {
            k: sorted(runs, key=lambda run: run["seed"]) for k, runs in found.items()
        }

    @functools.cached_property
    def key(self) -> str:
        """Identifies the base config and the purpose, within which recipes compare."""
        return digest([self.bench({}).key, self.purpose])

    @functools.cached_property
    def environment(self) -> dict:
        """The environment in which the runs are made."""
        return logs.environment()


@dataclasses.dataclass(frozen=True)
class Bench:
    """A recipe on its device. Nothing is compiled until its first new run."""

    lab: Lab
    recipe: dict
    config: ConfigDict
    mesh: jax.sharding.Mesh

    @functools.cached_property
    def key(self) -> str:
        """Identifies everything that determines a run's result except its seed."""
        fields = dict(flatten(to_dict(self.config)))
        decides = {
            name: contents(value) if name.endswith(FILES) else value
            for name, value in fields.items()
            if not name.startswith(MAY_CHANGE)
        }
        return digest(decides)

    @functools.cached_property
    def trial(self) -> Trial:
        """The compiled training."""
        return Trial(self.config, self.lab.faces(self.config)[0], self.mesh)

    @functools.cached_property
    def validation(self) -> Validation:
        """The compiled evaluation, the same as the training loop's."""
        evaluator = Evaluator(self.trial.tasks, self.config.model, self.mesh)
        val = self.lab.faces(self.config)[1]
        return build(self.config, "eval", Validation, evaluator, val, self.trial.plan)

    def check(self) -> None:
        """Raises if anything is wrong with the config or the data."""
        self.validation.check_headline(self.config.checkpoint.best)

    def run(self, seed: int) -> dict:
        """The run from this seed: the stored one, or else made now."""
        name = f"{self.lab.key}-{self.key}-{seed}.json"
        path = self.lab.out / "runs" / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_json(path, self.make(seed))
        return json.loads(path.read_text())

    def make(self, seed: int) -> dict:
        """Trains, and measures the result on `val`."""
        begin, best = time.perf_counter(), self.config.checkpoint.best
        check, splits = self.validation, self.lab.faces(self.config)
        run = self.trial.run(seed)
        found = {"recipe": self.recipe, "seed": seed}
        found |= {"metric": best, "value": None}
        if np.isfinite(run.loss).all():
            numbers, _ = check.numbers(run.variables)
            found["value"] = numbers[best]
            found["numbers"] = {
                name: number
                for name, number in numbers.items()
                if name.partition("/")[2] in MEASURED and number is not None
            }
            found |= self.lab.also(self, run)
        found["loss"] = thinned(run.loss)
        found["steps"] = len(run.loss)
        found["seconds"] = round(time.perf_counter() - begin, 2)
        count = parameter_overview.count_parameters(run.variables["params"])
        found["parameters"] = int(count)
        where = self.lab.environment
        found["hardware"] = self.mesh.devices.flat[0].device_kind
        found |= {"commit": where["commit"], "jax": where["packages"]["jax"]}
        return found | {"data": tables.used(*splits)}


def contents(named: str | Sequence[str]) -> object:
    """The identity of the contents that a field of paths or checkpoints names."""
    return identity(named) if isinstance(named, str) else list(map(identity, named))


@functools.cache
def identity(path: str) -> object:
    """A path's identity; a run's is its checkpoints', as evaluation may add files."""
    place = Path(os.path.expanduser(path))
    if (place / "checkpoints").is_dir():
        place /= "checkpoints"
    try:
        return cache.identity(str(place))
    except OSError:  # shipped weights, none, or a missing file that is reported later
        return path


def digest(value: object) -> str:
    """A short name for any JSON value."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def check_recipe(base: ConfigDict, config: ConfigDict) -> None:
    """Raises if a recipe changes a field that must be the same for all recipes."""
    fields = (dict(flatten(to_dict(each))) for each in (base, config))
    for field in different(*fields):
        of_faces = field.startswith("data.sources")
        if field.startswith(FIXED) or of_faces and not field.endswith(TRAINED):
            raise Mistake(
                f"a recipe sets {field}, which changes what is measured: give it to "
                f"all of them, --config.{field}=..."
            )


def check_unseen(config: ConfigDict) -> None:
    """Raises if a file used for choosing recipes contains faces of a test set."""
    for name, section in config.data.sources.items():
        second = section.get("val", "")
        if not second:
            continue
        options = options_of_val(section)
        usage = data.load(name, second, config.data.side, **options).usage
        if usage is not None and (held := HELD_OUT & set(usage.tolist())):
            raise Mistake(
                f"{name}={second} holds rows of {', '.join(sorted(held))}: recipes "
                "are chosen on val, and a test split is for what was chosen; leave "
                "--val out"
            )


def flags_of(recipe: Recipe) -> list[str]:
    """The recipe as flags of `python -m emotion_jax.train`."""
    return [f"--config.{field}={value}" for field, value in recipe.items()]


def thinned(curve: np.ndarray) -> list[float | None]:
    """The means of equal parts of a curve, few enough to store."""
    parts = np.array_split(curve.astype(np.float64), min(len(curve), POINTS))
    means = [float(part.mean()) for part in parts]
    return [round(mean, 5) if math.isfinite(mean) else None for mean in means]


def better(metric: str) -> Callable:
    """`min` or `max`, whichever gives the better value of this metric."""
    return min if lower_is_better(metric) else max
