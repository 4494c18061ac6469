"""Files that are written whole or not at all, and their names."""

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path


def printable(name: str) -> str:
    """A file's or folder's name as text, even if its bytes are not valid text."""
    return name.encode(errors="replace").decode()


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yields a temporary name to write to, renamed to `path` if nothing fails."""
    writer = f"{os.getpid()}-{threading.get_ident()}"  # two may write the same file
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
    """Writes the value as JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")
