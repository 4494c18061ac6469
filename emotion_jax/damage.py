"""Damaged checkpoints: how they are recognised, told and set aside."""

import contextlib
import hashlib
from pathlib import Path

from emotion_jax import bucket, files, logs, processes
from emotion_jax.errors import Stopped, first_line

# What TensorStore says where files may be whole, though they cannot be read now.
NOT_NOW = (
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
)
NOT_THERE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
DIGEST = "digest"  # the file in a step's folder with that of its state and meta


def seal(folder: Path) -> None:
    """Writes the digest of a step that has been written."""
    files.write_text(folder / DIGEST, digest(folder))


def digest(folder: Path) -> str:
    """A hash of all bytes of a step's state and meta, and of their files' names."""
    found = hashlib.blake2b(digest_size=16)
    paths = sorted(p for part in ("state", "meta") for p in folder.glob(f"{part}/**/*"))
    for path in filter(Path.is_file, paths):
        found.update(str(path.relative_to(folder)).encode())
        with path.open("rb") as file:
            found.update(hashlib.file_digest(file, "blake2b").digest())
    return found.hexdigest()


def check_digest(folder: Path) -> None:
    """Raises if a step's bytes have changed; without a digest nobody can tell."""
    with contextlib.suppress(FileNotFoundError):
        if (folder / DIGEST).read_text() != digest(folder):
            raise ValueError("its bytes have changed since they were written")


def diagnose(folder: Path, error: Exception) -> str:
    """What is wrong with a step's files, by the error that reading them raised.

    Raises:
      Stopped: the error says nothing about the files, but that memory, a disk or a
        permission is missing: they must neither be set aside nor passed over.
    """
    if processes.out_of_memory(error):
        raise error
    told = first_line(error, 120)
    failed = isinstance(error, OSError) and error.errno is not None
    if (
        isinstance(error, MemoryError)
        or (failed and not isinstance(error, NOT_THERE))
        or any(status in told for status in NOT_NOW)
    ):
        raise Stopped(
            f"could not read {bucket.origin(folder)} ({told}); it was left as it is"
        ) from error
    if isinstance(error, AttributeError | LookupError | TypeError):  # Orbax's own code
        return "it does not hold what a checkpoint holds"
    return told


def set_aside(folder: Path, problem: str) -> None:
    """Reports a checkpoint that cannot be read, and renames it out of the way."""
    aside = folder.with_name(f"{folder.name}.damaged")
    number = 1
    while aside.exists():
        number += 1
        aside = folder.with_name(f"{folder.name}.damaged{number}")
    told = bucket.origin(folder)
    logs.say(f"{told} is damaged ({problem}); set aside as {aside.name}")
    folder.rename(aside)
