"""Folders in a bucket: a run works in a local copy, and uploads whole files.

An object store can neither append to a file nor rename one. So if a folder is named by
a URL that fsspec knows, such as gs://bucket/runs/first, the run works in a temporary
folder: it downloads what the bucket holds, and uploads what is new at each checkpoint.
The log goes first, then a checkpoint's files, then Orbax's mark that they are complete;
only then are the files deleted that the run no longer keeps. So whenever a run is
killed, the bucket holds whole checkpoints, and a log that reaches at least as far.
"""

import atexit
import contextlib
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from emotion_jax import processes
from emotion_jax.errors import Mistake, Stopped, first_line

RECORDS = ("config.json", "env.json", "metrics.jsonl", "done.json", "report.html")
MARK = "_CHECKPOINT_METADATA"  # Orbax writes it last, and so does `Copy`
OUTAGES = {  # by name, as the packages that raise them may not be installed
    *("ConnectionError", "TimeoutError", "gaierror"),  # Python; the first also requests
    *("Timeout", "ChunkedEncodingError", "RetryError"),  # requests
    *("ClientConnectionError", "ClientPayloadError"),  # aiohttp
    *("TransportError", "RefreshError"),  # google.auth
    *("HTTPClientError", "ConnectionClosedError"),  # botocore
}


class Url(str):
    """A folder in a bucket; `/` joins a name to it, as with a Path."""

    def __truediv__(self, name: str) -> "Url":
        return Url(f"{self.rstrip('/')}/{name}") if name else self


def place(name: str | Path) -> Path | Url:
    """The folder that a flag names, on this machine or in a bucket."""
    if not name:  # for example from an unset shell variable
        raise Mistake("a folder's name is empty")
    return Url(name) if "://" in str(name) else Path(os.path.expanduser(name))


class Folder:
    """A folder on this machine: nothing to fetch or to send."""

    shared = True  # all processes of a run use the same one

    def __init__(self, path: Path):
        self.path = path

    def publish(self) -> None:
        """Uploads what is new: here, nothing."""

    def __enter__(self) -> "Folder":
        processes.check_shared(self.path)
        return self

    def __exit__(self, *exception) -> None:
        self.publish()


class Copy(Folder):
    """A bucket's folder and a local copy of it; each process has its own copy."""

    shared = False

    def __init__(self, url: Url, flag: str):
        self.url, self.flag = url, flag
        self.store, self.root = connect(url, flag)
        self.path = Path(tempfile.mkdtemp(prefix="emotion_jax_"))
        self.sent: dict[str, tuple | None] = {}  # what is in the bucket, by local stamp
        COPIES[self.path] = url
        atexit.register(shutil.rmtree, self.path, ignore_errors=True)

    def __enter__(self) -> "Copy":
        check(self.flag, self.url)
        self.fetch()
        return self

    def __exit__(self, kind, error, trace) -> None:
        """Uploads what the run has done, however it ends."""
        self.publish()
        shutil.rmtree(self.path, ignore_errors=True)
        if isinstance(error, Mistake | Stopped):  # the user knows only the URL
            error.args = (str(error).replace(str(self.path), self.url),)

    def fetch(self, only: str = "") -> None:
        """Downloads a run's records and its whole checkpoints, or only one step's."""
        with told(f"{self.flag} {self.url} cannot be read", Mistake):
            self.store.invalidate_cache()
            there = [self.name(path) for path in self.store.find(self.root)]
            whole = {step(n) for n in there if n == f"checkpoints/{step(n)}/{MARK}"}
            wanted = [n for n in there if n in RECORDS or step(n) in whole]
            wanted = [name for name in wanted if ".." not in name.split("/")]
            if only:
                wanted = [name for name in wanted if step(name) == only]
            for name in wanted:
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            if wanted:
                local = [str(self.path / name) for name in wanted]
                self.store.get(self.paths(wanted), local)
        half = {name: None for name in there if step(name) and step(name) not in whole}
        self.sent = half | {name: stamp(self.path / name) for name in wanted}

    def publish(self) -> None:
        """Uploads new files and deletes old ones; a kill at any moment is harmless."""
        import jax  # slow, and not needed just to read flags

        if jax.process_index() != 0:
            return
        files = [file for file in self.path.rglob("[!.]*") if file.is_file()]
        now = {str(f.relative_to(self.path)): stamp(f) for f in files}
        gone = self.sent.keys() - now.keys()
        with told(f"could not write to {self.url}", Stopped):
            self.drop(gone & {"done.json"})  # the run trains on
            for turn in range(3):
                new = [n for n in now if self.sent.get(n) != now[n] and rank(n) == turn]
                if new:
                    local = [str(self.path / name) for name in new]
                    self.store.put(local, self.paths(new))
            for turn in (1, 0):
                self.drop(name for name in gone if rank(name) == turn)
        self.sent = now

    def drop(self, names: Iterable[str]) -> None:
        """Deletes these files in the bucket."""
        for path in self.paths(names):
            with contextlib.suppress(FileNotFoundError):
                self.store.rm_file(path)

    def name(self, path: str) -> str:
        """A stored file's name relative to this folder."""
        return path.removeprefix(self.root).lstrip("/")

    def paths(self, names: Iterable[str]) -> list[str]:
        """These files' paths in the store."""
        return [f"{self.root}/{name}" for name in names]


COPIES: dict[Path, Url] = {}  # this process's copies, and what they are copies of


def step(name: str) -> str:
    """The step that a file belongs to, or an empty string."""
    match = re.match(r"checkpoints/(\d+)/", name)
    return match[1] if match else ""


def rank(name: str) -> int:
    """A file's turn to be sent: marks that other files are complete come later."""
    if name == "done.json":
        return 2
    return int(bool(step(name)) and name.count("/") == 2 and name.endswith(MARK))


def stamp(file: Path) -> tuple[int, int]:
    """A file's size and time of change, which tell whether it has changed."""
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def folder(where: str | Path, flag: str) -> Folder:
    """The folder that a run works in."""
    found = place(where)
    return Copy(found, flag) if isinstance(found, Url) else Folder(found)


@contextlib.contextmanager
def filled(out: Path | Url, flag: str = "--out") -> Iterator[Path]:
    """Yields a local folder to write to; for a bucket, uploads it once complete."""
    if not isinstance(out, Url):
        yield out
        return
    copy = Copy(out, flag)
    try:
        yield copy.path
        copy.publish()
    finally:
        shutil.rmtree(copy.path, ignore_errors=True)


def fetched(url: str, flag: str) -> Path:
    """A local copy of a workdir or of one step in it, kept until this process ends."""
    match = re.fullmatch(r"(.+)/checkpoints/(\d+)/*", url)
    copy = Copy(Url(match[1] if match else url.rstrip("/")), flag)
    copy.fetch(only=match[2] if match else "")
    return copy.path / "checkpoints" / match[2] if match else copy.path


def origin(path: Path) -> Path | Url:
    """Where a folder was fetched from; if it was not fetched, the folder itself."""
    for copy, url in COPIES.items():
        if path.is_relative_to(copy):
            return url / str(path.relative_to(copy)).removeprefix(".")
    return path


def connect(url: Url, flag: str) -> tuple[Any, str]:
    """The file system that a URL names, and the folder in it."""
    import fsspec  # installed with Orbax and TFDS

    with told(f"{flag} {url} cannot be reached", Mistake):
        store, root = fsspec.url_to_fs(str(url))
        return store, root.rstrip("/")


def check(flag: str, url: Url) -> None:
    """Raises unless files can be written there."""
    store, root = connect(url, flag)
    mine = f"{root}/.writable-{uuid.uuid4().hex}"  # other processes check, too
    with told(f"cannot write to {flag} {url}", Mistake):
        store.pipe_file(mine, b"")
        store.rm_file(mine)


@contextlib.contextmanager
def told(what: str, kind: type[Exception]) -> Iterator[None]:
    """Turns whatever a file system raises into a sentence; each has its own errors."""
    try:
        yield
    except FileNotFoundError as error:
        raise kind(f"{what}: there is no such bucket") from error
    except ImportError as error:  # of gcsfs, if the extra gcs is not installed
        raise Mistake(f"{what}: {error}") from error
    except Exception as error:
        kind = Stopped if passes(error) else kind
        raise kind(f"{what}: {first_line(error)}") from error


def passes(error: Exception) -> bool:
    """Whether the error may pass: the store, or the way to it, is down for now."""
    names = {kind.__name__ for kind in type(error).__mro__}
    answer = getattr(error, "response", None)  # as requests has it
    told = getattr(error, "status", None) or getattr(error, "code", None)
    told = str(told or getattr(answer, "status_code", None))
    status = int(told) if told.isdigit() else 0
    return bool(names & OUTAGES) or status >= 500 or status in (408, 429)
