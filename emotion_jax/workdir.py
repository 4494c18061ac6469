"""A run's folder: what is in it before the first step and after the last.

config.json and env.json say what ran, and on which faces; metrics.jsonl and the
TensorBoard events what happened; checkpoints/ holds what was learnt; done.json says
that the run finished; report.html and model_card.md describe the result.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from emotion_jax import logs, processes, sharding
from emotion_jax.checkpoint import step_folders
from emotion_jax.cli import check_folder
from emotion_jax.data import DRAWN
from emotion_jax.data.sections import PLACES
from emotion_jax.data.table import Split
from emotion_jax.errors import FULL, Mistake
from emotion_jax.files import locked, write_json
from emotion_jax.schedules import knows_no_end
from emotion_jax.step import TrainState

# Fields that change neither the parameters nor what a log line means.
MAY_CHANGE = (
    *("stop_at", "log.", "eval.", "checkpoint.every", "checkpoint.keep"),
    *("debug", "profile.", "fsdp"),
)
LENGTH = ("train.steps", "train.epochs")  # nor these, if the schedule knows no end
ENDS = (*LENGTH, "eval.patience")  # what decides when a run is done
# Nor these, if it is known which faces the files held (env.json).
MOVES = re.compile(rf"data\.sources\.[^.]+\.({'|'.join(PLACES)})")


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


def check_same(directory: Path, config: ConfigDict) -> dict[str, str]:
    """What differs from the config that the workdir was made with: a clause by field.

    Raises:
      Mistake: it was made for another run; names what differs.
    """
    path = directory / "config.json"
    if not os.path.exists(path):  # unlike Path's, it never raises
        there = directory / "checkpoints"
        if os.path.isdir(there) and step_folders(there):
            raise Mistake(
                f"{directory} has checkpoints, but no longer the config.json that says "
                "of what: put it back, or take another workdir"
            )
        return {}
    try:
        before = dict(flatten(json.loads(path.read_text())))
    except (ValueError, AttributeError, OSError):
        raise Mistake(f"{path} is damaged; take another workdir") from None
    now = dict(flatten(to_dict(config)))
    schedule = to_dict(config).get("optim", {}).get("schedule", {})
    may_change = MAY_CHANGE + (LENGTH if knows_no_end(**schedule) else ())
    may_move = bool(recorded_faces(directory))
    clauses = {
        name: f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
        for name in different(before, now)
    }
    differ = [
        name
        for name in clauses
        if not name.startswith(may_change) and not (may_move and MOVES.fullmatch(name))
    ]
    if differ:
        longer = f". To train longer: another one with --config.init_from={directory}"
        raise Mistake(
            f"{directory} was made with another config: "
            f"{'; '.join(clauses[name] for name in differ)}. "
            "Take another --workdir, or the config as it was"
            f"{longer if set(LENGTH) & set(differ) else ''}"
        )
    return clauses


def is_done(directory: Path, config: ConfigDict) -> bool:
    """Whether the run has finished; raises if the workdir is another run's."""
    changes = check_same(directory, config)
    there = [os.path.exists(directory / name) for name in ("config.json", "done.json")]
    if all(there) and not changes.keys() & set(ENDS):
        for name, clause in changes.items():
            if MOVES.fullmatch(name):
                logs.say(f"{clause}: it is not read, as the run is done")
        return True
    check_folder("--workdir", directory)
    check_folder("--workdir", directory / "checkpoints")
    return False


def faces_of(train: Mapping[str, Split], val: Mapping[str, Split]) -> dict[str, str]:
    """How many faces a run trains and validates on, and their digest, by source.

    Drawn faces have no digest: the config says which they are, and another kind of
    device rounds their pixels differently.
    """
    found = {}
    for use, splits in (("training", train), ("validation", val)):
        for source, split in splits.items():
            digest = "" if source in DRAWN else f" (sha256 {sha256(split.faces)})"
            found[f"{use} faces of {source}"] = f"{len(split):,}{digest}"
    return found


def recorded_faces(directory: Path) -> dict[str, str]:
    """What `faces_of` gave when the run began; {} if that is not known."""
    try:
        return {**json.loads((directory / "env.json").read_text())["data"]}
    except (ValueError, KeyError, TypeError, OSError):
        return {}


def check_faces(directory: Path, now: Mapping[str, str]) -> None:
    """Raises unless the run goes on with the faces that it began with."""
    before = recorded_faces(directory)
    for name in different(before, now) if before else ():
        was, found = (str(by.get(name, 0)).split(" ")[0] for by in (before, now))
        how = f"{was}, then {found}"
        if was == found:
            how = f"{was}, some of them with other pixels or labels"
        raise Mistake(
            f"the {name} are not those this run began with ({how}); take another "
            "--workdir, or the faces as they were"
        )


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Keeps other runs on this machine out; makes the folder, for as long as it fills.

    Raises:
      Mistake: another run is in it.
    """
    new = [f for f in (directory, *directory.parents) if not os.path.exists(f)]
    with written(directory):
        directory.mkdir(parents=True, exist_ok=True)
    first = jax.process_index() == 0
    with locked(directory) if first else contextlib.nullcontext(True) as free:
        if not processes.all_agree(free):
            raise Mistake(f"another process is training in {directory}")
        try:
            yield
        finally:
            for folder in new:  # it was a mistake to start
                with contextlib.suppress(OSError):  # it is not empty
                    folder.rmdir()


def open_workdir(directory: Path, config: ConfigDict, faces: Mapping = {}) -> None:
    """Makes the folder and records what runs in it, and on which faces (faces_of)."""
    with written(directory):
        directory.mkdir(parents=True, exist_ok=True)
        if jax.process_index() == 0:
            for name in ("done.json", "report.html"):  # the run is to train longer
                (directory / name).unlink(missing_ok=True)
            write_json(directory / "config.json", to_dict(config))
            write_json(directory / "env.json", logs.environment() | {"data": faces})
            (directory / "metrics.jsonl").open("a").close()


@contextlib.contextmanager
def written(directory: Path) -> Iterator[None]:
    """Turns errors of the file system into a Mistake, but for a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise
        raise Mistake(
            f"cannot write to --workdir {directory}: {error.strerror}"
        ) from None


def sha256(arrays: Mapping) -> str:
    """The digest of all arrays, in order: equal digests mean equal bits."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(arrays):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def close_workdir(directory: Path, state: TrainState, mesh: Mesh) -> None:
    """Records that the run has finished, with the digest of its parameters."""
    params = sharding.gather(state.params, mesh)
    if jax.process_index() == 0:
        done = {"step": int(state.step), "sha256": sha256(params)}
        write_json(directory / "done.json", done)
