"""Parsed tables kept between runs, so that a second start need not parse again.

They are stored, beside compiled programs (compiler.py), in $EMOTION_JAX_CACHE (empty:
no cache), else $XDG_CACHE_HOME/emotion_jax, else ~/.cache/emotion_jax. The cache may be
deleted at any time and never fails a run: whatever cannot be read is built again,
whatever cannot be written is not kept.
"""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable

import numpy as np

from emotion_jax.data.table import Raw
from emotion_jax.files import cache_folder, whole

MAX_BYTES = 2_000_000_000
DICTS = ("labels", "known", "names", "extra", "trained")


def cached(key_parts: tuple, build: Callable[[], Raw]) -> Raw:
    """What `build` returned when it was last called for these parts.

    The parts must determine everything in the table except its path; see `identity`.
    """
    home = cache_folder()
    if home is None:
        return build()
    key = hashlib.blake2b(repr(key_parts).encode(), digest_size=16)
    entry = home / f"table-{key.hexdigest()}.npz"
    raw = _load(entry)
    if raw is None:
        raw = build()
        if raw.left_out:  # report them again next time, or read them then
            return raw
        with contextlib.suppress(OSError):
            _save(entry, raw)
            _prune(home)
    return raw


def identity(path: str) -> str | list[tuple[str, int, int]]:
    """Identifies a file or folder's content; OSError for a pipe or a missing path."""
    if os.path.isdir(path):
        return listing(path)
    if not os.path.isfile(path):  # a pipe can only be read once
        raise FileNotFoundError(path)
    return content(path)


def content(path: str) -> str:
    """A hash of the file's bytes alone; its name and date do not matter."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def listing(path: str) -> list[tuple[str, int, int]]:
    """A folder's files by name, size and date: reading them all would be as slow.

    At most three levels down, as no reader looks deeper; so neither a cycle of links
    nor a whole disk is walked through.
    """
    root = pathlib.Path(path)
    levels = [root.glob(depth) for depth in ("*", "*/*", "*/*/*")]
    files = sorted(file for level in levels for file in level if file.is_file())
    found = [(file, file.stat()) for file in files]
    return [(str(f.relative_to(root)), s.st_size, s.st_mtime_ns) for f, s in found]


def _load(entry: pathlib.Path) -> Raw | None:
    try:
        with open(entry, "rb") as file, np.load(file, allow_pickle=False) as npz:
            arrays = {name: npz[name] for name in npz.files}  # checks each CRC
        os.utime(entry)  # the least recently used are deleted first
        return _unpack(arrays)
    except Exception:  # whatever is wrong with it, it can be rebuilt
        return None


def _save(entry: pathlib.Path, raw: Raw) -> None:
    """Writes all or nothing: another process never sees half an entry."""
    with whole(entry) as partial, partial.open("wb") as file:
        np.savez(file, **pack(raw))


def _prune(folder: pathlib.Path) -> None:
    entries = [(path.stat(), path) for path in folder.glob("*table-*")]
    total = sum(status.st_size for status, _ in entries)
    for status, path in sorted(entries, key=lambda entry: entry[0].st_mtime):
        if total > MAX_BYTES:
            path.unlink(missing_ok=True)
            total -= status.st_size


def pack(raw: Raw) -> dict[str, np.ndarray]:
    """Everything a table holds, as named arrays."""
    fields = {f.name: getattr(raw, f.name) for f in dataclasses.fields(raw)}
    packed = {}
    for name, value in fields.items():
        if name in DICTS:
            packed |= {f"{name}/{key}": np.asarray(part) for key, part in value.items()}
        elif value is not None:
            packed[name] = np.asarray(value)
    return packed


def _unpack(arrays: dict[str, np.ndarray]) -> Raw:
    fields = {name: {} for name in DICTS}
    for name, array in arrays.items():
        group, _, key = name.partition("/")
        if key:
            fields[group][key] = array
        else:
            fields[group] = array
    fields["names"] = {k: tuple(v.tolist()) for k, v in fields["names"].items()}
    for name in ("source", "path", "trained_as"):
        fields[name] = str(fields[name])
    fields["left_out"] = int(fields["left_out"])
    return Raw(**fields)
