"""A run's folder: what is in it before the first step and after the last.

config.json and env.json say what ran; metrics.jsonl and the TensorBoard events what
happened; checkpoints/ holds what was learnt; done.json says that the run finished;
report.html and model_card.md describe the result.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from emotion_jax import sharding
from emotion_jax.cli import check_folder
from emotion_jax.errors import FULL, Mistake
from emotion_jax.files import write_json
from emotion_jax.logs import environment
from emotion_jax.schedules import knows_no_end
from emotion_jax.step import TrainState

# Fields that change neither the parameters nor what a log line means.
MAY_CHANGE = (
    *("stop_at", "log.", "eval.", "checkpoint.every", "checkpoint.keep"),
    *("debug", "profile.", "fsdp"),
)
LENGTH = ("train.steps", "train.epochs")  # nor these, if the schedule knows no end
ENDS = (*LENGTH, "eval.patience")  # what decides when a run is done


def to_dict(config: ConfigDict) -> dict:
    """The config as plain JSON values, the same before and after a round trip."""
    return json.loads(json.dumps(config.to_dict()))


def flatten(section: Mapping, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every field with its full name."""
    for key, value in section.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def different(before: Mapping, now: Mapping) -> list[str]:
    """The names of fields that were added, removed or changed."""
    names = sorted(before.keys() | now.keys())
    return [name for name in names if before.get(name) != now.get(name)]


def check_same(directory: Path, config: ConfigDict) -> bool:
    """Whether the workdir was made for a run that ends when this config's does.

    Raises:
      Mistake: it was made with another config; names what differs.
    """
    path = directory / "config.json"
    if not os.path.exists(path):  # unlike Path's, it never raises
        return False
    try:
        before = dict(flatten(json.loads(path.read_text())))
    except (ValueError, AttributeError, OSError):
        raise Mistake(f"{path} is damaged; take another workdir") from None
    now = dict(flatten(to_dict(config)))
    schedule = to_dict(config).get("optim", {}).get("schedule", {})
    may_change = MAY_CHANGE + LENGTH * knows_no_end(**schedule)
    differ = [
        f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
        for name in different(before, now)
        if not name.startswith(may_change)
    ]
    if differ:
        raise Mistake(
            f"{directory} was made with another config: {'; '.join(differ)}. "
            "Take another --workdir, or the config as it was"
        )
    return not set(ENDS) & set(different(before, now))


def is_done(directory: Path, config: ConfigDict) -> bool:
    """Whether the run has finished; raises if the workdir is another run's."""
    same_end = check_same(directory, config)
    if same_end and os.path.exists(directory / "done.json"):
        return True
    check_folder("--workdir", directory)
    check_folder("--workdir", directory / "checkpoints")
    return False


def open_workdir(directory: Path, config: ConfigDict) -> None:
    """Makes the folder and records what runs in it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if jax.process_index() == 0:
            for name in ("done.json", "report.html"):  # the run is to train longer
                (directory / name).unlink(missing_ok=True)
            write_json(directory / "config.json", to_dict(config))
            write_json(directory / "env.json", environment())
            (directory / "metrics.jsonl").open("a").close()
    except OSError as error:
        if error.errno in FULL:
            raise
        raise Mistake(
            f"cannot write to --workdir {directory}: {error.strerror}"
        ) from None


def sha256(params: Mapping) -> str:
    """The digest of all parameters: equal digests mean equal bits."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(params):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def close_workdir(directory: Path, state: TrainState, mesh: Mesh) -> None:
    """Records that the run has finished, with the digest of its parameters."""
    params = sharding.gather(state.params, mesh)
    if jax.process_index() == 0:
        done = {"step": int(state.step), "sha256": sha256(params)}
        write_json(directory / "done.json", done)
