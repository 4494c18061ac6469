"""Laws of files: there whole or not at all, and locked by one process at a time."""

import errno
import fcntl
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emotion_jax import files


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "done.json"
    files.write_json(path, {"step": 1})
    with pytest.raises(TypeError):
        files.write_json(path, {"step": 2, "x": object()})
    assert json.loads(path.read_text()) == {"step": 1}
    files.write_json(path, {"step": 3})
    assert json.loads(path.read_text()) == {"step": 3}
    assert list(tmp_path.iterdir()) == [path]


def test_two_threads_may_write_the_same_name(tmp_path):
    path, barrier = tmp_path / "entry", threading.Barrier(2)

    def write(text):
        with files.whole(path) as partial:
            partial.write_text(text)
            barrier.wait()  # both are at it
            assert partial.read_text() == text

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, "ab"))
    assert path.read_text() in ("a", "b")
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_half_way_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "entry"
    files.write_text(path, "笑")
    with pytest.raises(OSError, match="full"), files.whole(path) as partial:
        partial.write_text("half")
        raise OSError("full")
    assert path.read_bytes() == "笑".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_has_one_lock_and_no_trace_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FREE_WITHIN_S", 0)
    with files.locked(tmp_path) as first, files.locked(tmp_path) as second:
        assert first and not second
        assert not list(tmp_path.iterdir())
    with files.locked(tmp_path) as again:
        assert again


def test_a_lock_ends_with_its_process_and_is_waited_for(tmp_path):
    code = (
        "import pathlib, sys, time; from emotion_jax import files\n"
        "with files.locked(pathlib.Path(sys.argv[1])) as free:\n"
        "    print(free, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    here = {"cwd": Path(files.__file__).parents[1]}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **here) as other:
        assert other.stdout.readline() == "True\n"
        threading.Timer(0.5, other.kill).start()
        with files.locked(tmp_path) as free:
            assert free and other.wait() < 0


def test_where_there_are_no_locks_everybody_is_free(tmp_path, monkeypatch):
    def unsupported(handle, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with files.locked(tmp_path) as free, files.locked(tmp_path / "none") as other:
        assert free and other
