"""Faces from any source: SOURCES reads them, splits.py fits them to a model."""

import dataclasses
import inspect
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from emotion_jax.data import cache, fer2013, folder, keypoints, synthetic
from emotion_jax.data.table import Raw
from emotion_jax.errors import Mistake
from emotion_jax.registry import check_fields, pick

SOURCES = {
    "synthetic": synthetic.read,
    "fer2013": fer2013.read,
    "keypoints": keypoints.read,
    "folder": folder.read,
}
# A source's own fields in a config; the rest are its reader's options, of which
# `classes` is about the file at `path`.
OWN_FIELDS = {"path": str, "val": str, "val_classes": int | None}
DRAWN = ("synthetic",)  # by code, on a device: pixels are the same but for rounding


def load(source: str, path: str = "", side: int | None = None, /, **options) -> Raw:
    """Reads a source, from the cache if the same code read the same bytes before.

    For a folder: if its files have the same names, sizes and dates.

    Args:
      side: the model's side, for readers that resample; other readers keep their own.
    """
    read = pick("source in SOURCE=PATH", source, SOURCES)
    path = os.path.expanduser(path)
    takes = inspect.signature(read).parameters
    section, given = f"config.data.sources.{source}", 1 + ("side" in takes)
    check_fields(section, read, given, options, OWN_FIELDS)
    if not path and takes["path"].default is inspect.Parameter.empty:
        raise Mistake(f"{source} needs a file: --data {source}=PATH")
    if "votes" in options:
        options["votes"] = os.path.expanduser(options["votes"])
    if side and "side" in takes:
        options["side"] = side
    if not path and source not in DRAWN:  # a prepared set: nothing to parse
        return read(path, **options)
    try:
        files = [path, options.get("votes"), *code(read)]
        contents = [cache.identity(file) for file in files if file]
    except (OSError, TypeError):  # a pipe, or a reader from a notebook
        return read(path, **options)
    key = (source, sorted(options.items()), contents)
    raw = cache.cached(key, lambda: read(path, **options))
    return dataclasses.replace(raw, path=path)


def code(read: Callable[..., Raw]) -> list[str]:
    """The files of a reader's code: its own module, and all of ours that it may use."""
    ours = sorted(Path(__file__).parent.glob("*.py"))
    return [inspect.getfile(inspect.getmodule(read)), *map(str, ours)]


def parse_source(text: str) -> tuple[str, str, dict]:
    """The name, path and options in `fer2013=PATH`, `fer2013:5=PATH` or `synthetic`."""
    name, _, path = text.partition("=")
    name, colon, classes = name.partition(":")
    pick("source in SOURCE=PATH", name, SOURCES)
    if not colon:
        return name, path, {}
    if name != "fer2013" or classes not in ("5", "7"):
        raise Mistake(
            f"{text!r}: only fer2013 takes a number of classes, fer2013:5=PATH "
            "or fer2013:7=PATH"
        )
    return name, path, {"classes": int(classes)}


def parse_sources(given: Iterable[str]) -> list[tuple[str, str, dict]]:
    """Calls parse_source for each; a source may be named only once."""
    found = [parse_source(text) for text in given]
    names = [name for name, _, _ in found]
    for name in names:
        if names.count(name) > 1:
            raise Mistake(f"{name} is named {names.count(name)} times; name one file")
    return found
