"""Files that are there whole or not at all."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

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
