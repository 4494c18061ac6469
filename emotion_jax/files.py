"""Files written whole or not at all, their names, locks on folders, the cache's."""

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

FREE_WITHIN_S = 3  # a lock, if its process was killed just now


def printable(name: str) -> str:
    """A file's or folder's name as text, even if its bytes are not valid text."""
    return name.encode(errors="replace").decode()


def cache_folder() -> Path | None:
    """The private cache, if it can be made and nobody else can write into it."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    name = os.environ.get("EMOTION_JAX_CACHE", f"{home}/emotion_jax")
    if not name:
        return None
    found = Path(os.path.expanduser(name))
    with contextlib.suppress(OSError):
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = found.stat()
        if status.st_uid == os.getuid() and not status.st_mode & 0o022:
            return found
    return None


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


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Locks a folder; yields False if somebody else on this machine has locked it.

    The lock is on the folder itself, so nothing is written, and the kernel frees it
    however the process ends. Where there are no locks, this yields True.
    """
    with contextlib.ExitStack() as held:
        free = True
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            held.callback(os.close, handle)
            free = take(handle)
        yield free


def take(handle: int) -> bool:
    """Whether the lock on an open folder could be had."""
    import fcntl  # not on Windows

    until = time.monotonic() + FREE_WITHIN_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > until:
                return False
        time.sleep(0.1)
