"""Folders in a bucket: worked on in a local copy, whose files are then sent whole.

An object store can neither append to a file nor rename one. So where a folder is named
by a URL that fsspec knows, as gs://bucket/runs/first, a run works in a temporary
folder: it fetches what is there, and sends what is new at each checkpoint. First goes
the log, then a checkpoint's files, then Orbax's mark that they are complete, and only
then is deleted what the run no longer keeps. So at whatever moment a run is killed, the
bucket holds whole checkpoints, and a log that is no shorter than they are.
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
MARK = "_CHECKPOINT_METADATA"  # Orbax writes it last, and so does a copy
OUTAGES = {  # by name, as whoever raises them need not be installed
    *("ConnectionError", "TimeoutError", "gaierror"),  # Python's; requests' first, too
    *("Timeout", "ChunkedEncodingError", "RetryError"),  # requests
    *("ClientConnectionError", "ClientPayloadError"),  # aiohttp
    *("TransportError", "RefreshError"),  # google.auth
    *("HTTPClientError", "ConnectionClosedError"),  # botocore
}


class Url(str):
    """A folder in a bucket, joined to a name as a Path is."""

    def __truediv__(self, name: str) -> "Url":
        return Url(f"{self.rstrip('/')}/{name}") if name else self


def place(name: str | Path) -> Path | Url:
    """The folder that a flag names, on this machine or in a bucket."""
    if not name:  # as of a shell's variable that is not set
        raise Mistake("a folder's name is empty")
    return Url(name) if "://" in str(name) else Path(os.path.expanduser(name))


class Folder:
    """A folder on this machine: nothing to fetch or to send."""

    shared = True  # by all processes of a run

    def __init__(self, path: Path):
        self.path = path

    def publish(self) -> None:
        """Sends what is new."""

    def __enter__(self) -> "Folder":
        processes.check_shared(self.path)
        return self

    def __exit__(self, *exception) -> None:
        self.publish()


class Copy(Folder):
    """A bucket's folder and its local copy, of each process its own."""

    shared = False

    def __init__(self, url: Url, flag: str):
        self.url, self.flag = url, flag
        self.store, self.root = connect(url, flag)
        self.path = Path(tempfile.mkdtemp(prefix="emotion_jax_"))
        self.sent: dict[str, tuple | None] = {}  # what is there, as it was here
        COPIES[self.path] = url
        atexit.register(shutil.rmtree, self.path, ignore_errors=True)

    def __enter__(self) -> "Copy":
        check(self.flag, self.url)
        self.fetch()
        return self

    def __exit__(self, kind, error, trace) -> None:
        """However a run ends, what it has done is sent."""
        self.publish()
        shutil.rmtree(self.path, ignore_errors=True)
        if isinstance(error, Mistake | Stopped):  # its reader knows only the URL
            error.args = (str(error).replace(str(self.path), self.url),)

    def fetch(self, only: str = "") -> None:
        """Brings a run's records and its whole checkpoints, or one step's alone."""
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
        """Sends what is new and deletes what went, so that no moment is a bad one."""
        import jax  # whoever only reads flags need not pay for it

        if jax.process_index() != 0:
            return
        files = [file for file in self.path.rglob("[!.]*") if file.is_file()]
        now = {str(f.relative_to(self.path)): stamp(f) for f in files}
        gone = self.sent.keys() - now.keys()
        with told(f"could not write to {self.url}", Stopped):
            self.drop(gone & {"done.json"})  # it trains on
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
        """A stored file's name in this folder."""
        return path.removeprefix(self.root).lstrip("/")

    def paths(self, names: Iterable[str]) -> list[str]:
        """Where the store has these files."""
        return [f"{self.root}/{name}" for name in names]


COPIES: dict[Path, Url] = {}  # of this process


def step(name: str) -> str:
    """The step that a file belongs to, or nothing."""
    match = re.match(r"checkpoints/(\d+)/", name)
    return match[1] if match else ""


def rank(name: str) -> int:
    """In which turn a file is sent: what says that others are whole comes after."""
    if name == "done.json":
        return 2
    return int(bool(step(name)) and name.count("/") == 2 and name.endswith(MARK))


def stamp(file: Path) -> tuple[int, int]:
    """What changes when a file does."""
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def folder(where: str | Path, flag: str) -> Folder:
    """A run's folder, to work in."""
    found = place(where)
    return Copy(found, flag) if isinstance(found, Url) else Folder(found)


@contextlib.contextmanager
def filled(out: Path | Url, flag: str = "--out") -> Iterator[Path]:
    """A local folder to write to, sent to the bucket once all of it is written."""
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
    """A copy of a workdir, or of one step in it, until this process ends."""
    match = re.fullmatch(r"(.+)/checkpoints/(\d+)/*", url)
    copy = Copy(Url(match[1] if match else url.rstrip("/")), flag)
    copy.fetch(only=match[2] if match else "")
    return copy.path / "checkpoints" / match[2] if match else copy.path


def origin(path: Path) -> Path | Url:
    """Where a folder was fetched from; if from nowhere, the folder."""
    for copy, url in COPIES.items():
        if path.is_relative_to(copy):
            return url / str(path.relative_to(copy)).removeprefix(".")
    return path


def connect(url: Url, flag: str) -> tuple[Any, str]:
    """The file system that a URL names, and the folder in it."""
    import fsspec  # Orbax and TFDS bring it

    with told(f"{flag} {url} cannot be reached", Mistake):
        store, root = fsspec.url_to_fs(str(url))
        return store, root.rstrip("/")


def check(flag: str, url: Url) -> None:
    """Raises unless files can be written there."""
    store, root = connect(url, flag)
    mine = f"{root}/.writable-{uuid.uuid4().hex}"  # others check it, too
    with told(f"cannot write to {flag} {url}", Mistake):
        store.pipe_file(mine, b"")
        store.rm_file(mine)


@contextlib.contextmanager
def told(what: str, kind: type[Exception]) -> Iterator[None]:
    """A sentence for whatever a file system raises; each has errors of its own."""
    try:
        yield
    except FileNotFoundError as error:
        raise kind(f"{what}: there is no such bucket") from error
    except ImportError as error:  # of gcsfs, where the extra gcs is not installed
        raise Mistake(f"{what}: {error}") from error
    except Exception as error:
        kind = Stopped if passes(error) else kind
        raise kind(f"{what}: {first_line(error)}") from error


def passes(error: Exception) -> bool:
    """Whether a store, or the way to it, is out of order: later it may be in order."""
    names = {kind.__name__ for kind in type(error).__mro__}
    answer = getattr(error, "response", None)  # of requests
    told = getattr(error, "status", None) or getattr(error, "code", None)
    told = str(told or getattr(answer, "status_code", None))
    status = int(told) if told.isdigit() else 0
    return bool(names & OUTAGES) or status >= 500 or status in (408, 429)
