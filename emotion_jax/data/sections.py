"""A config's `data` section as splits: each source once for training, once for val."""

import dataclasses
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from ml_collections import ConfigDict

from emotion_jax import data
from emotion_jax.data import OWN_FIELDS
from emotion_jax.data.csv_table import SIDES
from emotion_jax.data.splits import DEDUPE, make_split, split_rows, splits
from emotion_jax.data.table import Raw, Split
from emotion_jax.errors import Mistake
from emotion_jax.registry import check_fields, check_type, unknown
from emotion_jax.tasks import Task

ANY_FILE = ("skip_bad",)  # reader options that are about every file of the source
TRAINED = ("votes", "labels", "drop_no_face")  # reader options that only training uses
PLACES = ("path", "val", "votes")  # where a source's files are: they may move


def options_of(section: Mapping, trained: bool = False) -> dict:
    """What a source's section passes to its reader, for training or for evaluation."""
    left_out = (*OWN_FIELDS, *(() if trained else TRAINED))
    return {k: v for k, v in section.items() if k not in left_out}


def options_of_any(section: Mapping) -> dict:
    """The same for a file that the section does not name."""
    return {k: v for k, v in section.items() if k in ANY_FILE}


def options_of_val(section: Mapping) -> dict:
    """The same for the source's `val` file, which may have other classes."""
    options = options_of(section) | {"classes": section.get("val_classes")}
    return {k: v for k, v in options.items() if k != "classes" or v}


def same_file(one: str, other: str) -> bool:
    """Whether two paths, as given in flags, are the same file."""
    real, same = (os.path.realpath(os.path.expanduser(p)) for p in (one, other))
    return real == same


def check_side(side: int) -> None:
    """Raises unless this size of faces is supported."""
    if side not in SIDES:
        raise Mistake(f"config.data.side is {side}, must be {SIDES[0]} to {SIDES[-1]}")


def load_train_and_val(
    tasks: Mapping[str, Task],
    *,
    side: int,
    sources: Mapping[str, Mapping],
    dedupe: bool | str = False,
) -> tuple[dict[str, Split], dict[str, Split]]:
    """Each source's training and validation splits, the latter with original labels.

    If a source has a separate validation file (`val`), that whole file validates, and
    the source trains on its own `val` rows too; its `test` rows always stay unseen.
    """
    check_side(side)
    if not sources:
        raise Mistake(f"config.data.sources names none of {', '.join(data.SOURCES)}")
    if dedupe not in DEDUPE:
        raise Mistake(f"config.data.dedupe is {dedupe!r}, must be True, False or near")
    raws = {}
    for name, section in sources.items():
        for field in OWN_FIELDS.keys() & section.keys():
            where = f"config.data.sources.{name}.{field}"
            check_type(where, section[field], OWN_FIELDS[field])
        options = options_of(section, trained=True)
        raws[name] = data.load(name, section.get("path", ""), side, **options)
    check_names(tasks, raws.values())
    train, val = {}, {}
    for name, raw in raws.items():
        section = sources[name]
        if second := section.get("val", ""):
            if same_file(second, section.get("path", "")):
                raise Mistake(
                    f"{name}: {second} is given both to train and to validate"
                )
            own = data.load(name, second, side, **options_of_val(section))
            whole = make_split(own, "all", tasks, side)
            unseen, own_val = own.hashes, dataclasses.replace(whole, name="val")
        else:
            unseen, own_val = None, make_split(raw, "val", tasks, side)
        split, seen_by = train_split(raw, section), {"trained": True, "unseen": unseen}
        train[name] = make_split(raw, split, tasks, side, dedupe, **seen_by)
        val[name] = own_val
    return train, val


def train_split(raw: Raw, section: Mapping) -> str:
    """What a source trains on of its file; its `val` too if a second file has that."""
    there = splits(raw).get("val", np.zeros(1, bool)).any()
    return "train+val" if section.get("val") and there else "train"


def trained_on(raw: Raw, section: Mapping, side: int) -> Bool[np.ndarray, " n"]:
    """Which faces of a file a run was trained on, in its own file or in a copy.

    They go by the hashes of their pixels. A face that the run held out does not count,
    though it may have trained on a twin: @notwins tells what that is worth. None counts
    if the run's own file is no longer there.

    Args:
      section: the run's own of this source.
    """
    none = np.zeros(len(raw.image), bool)
    path, second = section.get("path", ""), section.get("val")
    piped = Path(path).is_fifo()  # what came through it then is not there now
    if piped or second and same_file(raw.path, second):
        return none
    try:
        own = raw
        if not same_file(raw.path, path):
            own = data.load(raw.source, path, side, **options_of(section))
        rows = split_rows(own, train_split(own, section))
    except Mistake:
        return none
    held_out = np.delete(own.hashes, rows)
    return np.isin(raw.hashes, np.setdiff1d(own.hashes[rows], held_out))


def check_names(tasks: Mapping[str, Task], raws: Collection[Raw]) -> None:
    """Raises if a task learns a class or point that the sources of its labels lack."""
    for name, task in tasks.items():
        there = tuple(dict.fromkeys(n for raw in raws for n in raw.names.get(name, ())))
        for wanted in task.names if there else ():
            if wanted not in there:
                problem = str(unknown(f"name in {task.where}", wanted, there))
                if hasattr(task, "classes") and len(there) > 1:
                    problem += f'; to learn these: "--{task.where}.classes={there}"'
                raise Mistake(problem)


def check_labels(tasks: Mapping[str, Task], train: Mapping[str, Split]) -> None:
    """Raises if a task would learn nothing: it has neither labels nor teachers."""
    for name, task in tasks.items():
        labelled = any(split.faces["known"][name].any() for split in train.values())
        if not labelled and not task.all_teachers:
            raise Mistake(
                f"{task.where}: no source has a label for it, and it has no teachers; "
                "name another source, or leave the task out"
            )


def sources_of(given: Iterable[str]) -> dict[str, dict]:
    """A config's `data.sources` section, made from --data's values: SOURCE=PATH."""
    return {
        source: {"path": path} | extra
        for source, path, extra in data.parse_sources(given)
    }


def set_paths(config: ConfigDict, given: list[str], field: str) -> None:
    """Writes what --data (`field` is "path") or --val (`val`) names into the config."""
    check_fields("config.data", load_train_and_val, 1, config.data)
    sources = config.data.sources
    for source, path, extra in data.parse_sources(given):
        if source not in sources:
            raise Mistake(
                f"the config trains on {', '.join(sources)}, not on {source}: "
                "take another config, or leave the path out"
            )
        if field == "val" and not path:
            raise Mistake(f"--val {source} names no file: write --val {source}=PATH")
        with sources[source].unlocked():
            if field == "val":
                extra = {f"val_{option}": value for option, value in extra.items()}
            sources[source].update({field: path} | extra)


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the faces of a source are, and how to read them."""

    source: str
    path: str
    options: Mapping[str, Any]
    split: str | None  # None: the file's default
    whole: bool = False  # all of the file is that split, as --val made it


def places(
    own: Mapping[str, Mapping],
    wanted: Sequence[str],
    split: str | None,
    trained: bool = False,
) -> list[Place]:
    """Where the faces to evaluate a run on are; reads no file.

    Args:
      own: the run's sources.
      wanted: what --data names; its own sources if nothing.
      trained: with the labels that the run was trained on.
    """
    found = []
    for source, path, options in data.parse_sources(wanted or own):
        section, name = own.get(source, {}), split or (None if wanted else "test")
        if source in own and (not path or same_file(path, section.get("path", ""))):
            path = section.get("path", "")
            options = options_of(section, trained) | options
            second = section.get("val")
            if second and "val" in (name or "").split("+"):
                check_second(name, path, second, named=bool(wanted))
                options = options_of_val(section)
                found.append(Place(source, second, options, name, whole=True))
                continue
        else:
            options = options_of_any(section) | options
        found.append(Place(source, path, options, name))
    return found


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
