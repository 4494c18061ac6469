"""Files that are there whole or not at all, and their names."""

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path


def printable(name: str) -> str:
    """The name of a file or folder, which may be bytes that are no text."""
    return name.encode(errors="replace").decode()


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Another name to write to, which becomes `path` if all of it was written."""
    writer = f"{os.getpid()}-{threading.get_ident()}"  # two may write the same name
    partial = path.with_name(f".{writer}.{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes the file whole or not at all."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Likewise."""
    write_text(path, json.dumps(value, indent=2) + "\n")
