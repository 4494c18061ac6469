import dataclasses
import os

import numpy as np
import pytest

from emotion_jax.data import cache
from emotion_jax.data.table import Raw

RAW = Raw(
    source="fer2013",
    path="fer.csv",
    image=np.arange(2 * 9, dtype=np.uint8).reshape(2, 3, 3, 1),
    labels={"emotion": np.eye(2, dtype=np.float32)},
    known={"emotion": np.array([True, False])},
    names={"emotion": ("anger", "happy")},
    usage=np.array(["Training", "PublicTest"]),
    extra={"intensity": np.array([0.5, 1.0])},
    trained={"emotion": np.full((2, 2), 0.5, np.float32)},
    trained_as="votes",
    original_hashes=np.arange(2, dtype=np.uint64),
)


class Builder:
    """Counts how often the table was built."""

    def __init__(self, raw=RAW):
        self.raw, self.calls = raw, 0

    def __call__(self):
        self.calls += 1
        return self.raw


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOTION_JAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def assert_same(a: Raw, b: Raw):
    for field in dataclasses.fields(Raw):
        x, y = getattr(a, field.name), getattr(b, field.name)
        assert type(x) is type(y), field.name
        if isinstance(x, dict):
            assert x.keys() == y.keys()
            pairs = [(x[k], y[k]) for k in x]
        else:
            pairs = [(x, y)]
        for left, right in pairs:
            np.testing.assert_array_equal(left, right)
            assert getattr(left, "dtype", None) == getattr(right, "dtype", None)


@pytest.mark.parametrize("usage", [RAW.usage, None])
def test_second_time_is_remembered_and_the_same(folder, usage):
    raw = dataclasses.replace(RAW, usage=usage)
    build = Builder(raw)
    for _ in range(3):
        assert_same(cache.cached(("fer2013", "abc"), build), raw)
    assert build.calls == 1
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(list(folder.iterdir())) == 1


def test_other_parts_are_built_anew(folder):
    build = Builder()
    cache.cached(("fer2013", [], "abc"), build)
    cache.cached(("fer2013", [("classes", 5)], "abc"), build)
    cache.cached(("fer2013", [], "abd"), build)
    cache.cached(("fer2013", [], "abc"), build)
    assert build.calls == 3


def test_damaged_entries_are_built_again(folder):
    build = Builder()
    cache.cached(("a",), build)
    (entry,) = folder.iterdir()
    whole = entry.read_bytes()
    assert len(whole) > 1000
    pixels = whole.index(RAW.image.tobytes())
    flipped = whole[: pixels + 3] + b"\xff" + whole[pixels + 4 :]
    damaged = [b"", whole[: len(whole) // 2], whole[:-1], flipped, b"x" * 5000]
    for calls, content in enumerate(damaged, 2):
        entry.write_bytes(content)
        assert_same(cache.cached(("a",), build), RAW)
        assert build.calls == calls
        assert_same(cache.cached(("a",), build), RAW)
        assert build.calls == calls


def test_pickles_are_never_loaded(folder):
    build = Builder()
    cache.cached(("a",), build)
    (entry,) = folder.iterdir()
    with open(entry, "wb") as file:
        np.savez(file, image=np.array([Builder()], dtype=object))
    assert_same(cache.cached(("a",), build), RAW)
    assert build.calls == 2


def test_mistakes_are_not_kept(folder):
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError):
        cache.cached(("a",), fail)
    assert list(folder.iterdir()) == []


def test_turned_off(monkeypatch, tmp_path):
    monkeypatch.setenv("EMOTION_JAX_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build = Builder()
    assert cache.cached(("a",), build) is RAW
    assert cache.cached(("a",), build) is RAW
    assert list(tmp_path.iterdir()) == []


def test_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("EMOTION_JAX_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    cache.cached(("a",), Builder())
    assert len(list((tmp_path / "xdg" / "emotion_jax").iterdir())) == 1
    monkeypatch.delenv("XDG_CACHE_HOME")
    cache.cached(("a",), Builder())
    assert len(list((tmp_path / "home/.cache/emotion_jax").iterdir())) == 1


def test_folder_that_cannot_be_used_is_no_cache(folder):
    folder.write_text("a file")
    assert cache.cached(("a",), Builder()) is RAW
    folder.unlink()
    folder.mkdir()
    folder.chmod(0o777)  # anyone could leave a table there
    assert cache.cached(("a",), Builder()) is RAW
    assert list(folder.iterdir()) == []


def test_full_disk_is_no_cache(folder, monkeypatch):
    def savez(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", savez)
    assert cache.cached(("a",), Builder()) is RAW
    assert list(folder.iterdir()) == []


def test_least_recently_used_entries_go_first(folder, monkeypatch):
    cache.cached(("a",), Builder())
    (first,) = folder.iterdir()
    monkeypatch.setattr(cache, "MAX_BYTES", int(2.5 * first.stat().st_size))
    (folder / "mine.txt").write_text("not the cache's")
    cache.cached(("b",), Builder())
    (second,) = set(folder.glob("table-*")) - {first}
    os.utime(first, (1, 1))
    os.utime(second, (2, 2))
    cache.cached(("a",), Builder())  # used: now the second is the older
    cache.cached(("c",), Builder())
    assert first.exists() and not second.exists()
    assert len(list(folder.glob("table-*"))) == 2
    assert (folder / "mine.txt").exists()


def test_content_is_of_the_bytes_alone(tmp_path):
    for name, text in {"a": "x", "b": "x", "c": "y"}.items():
        (tmp_path / name).write_text(text)
    a, b, c = (cache.content(str(tmp_path / name)) for name in "abc")
    assert a == b != c


def test_a_listing_ends_three_levels_down_and_goes_no_circles(tmp_path):
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    for folder in ("", "a", "a/b", "a/b/c"):
        (tmp_path / folder / "0.png").write_text("")
    (tmp_path / "a" / "up").symlink_to("..")
    names = [name for name, _, _ in cache.listing(str(tmp_path))]
    assert names == ["0.png", "a/0.png", "a/b/0.png", "a/up/0.png"]


def test_a_table_that_something_was_left_out_of_is_not_kept(folder):
    build = Builder(dataclasses.replace(RAW, left_out=1))
    for _ in range(2):
        assert_same(cache.cached(("a",), build), build.raw)
    assert build.calls == 2 and list(folder.iterdir()) == []
