import dataclasses
import sys
import types

import numpy as np
import pytest

from emotion_jax import data
from emotion_jax.data import csv_table, table
from emotion_jax.errors import Mistake

FACE = " ".join(str(value % 251) for value in range(256))


@pytest.fixture
def csv(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOTION_JAX_CACHE", str(tmp_path / "cache"))
    (tmp_path / "a.csv").write_text(f"emotion,pixels\n0,{FACE}\n4,{FACE}\n")
    return tmp_path / "a.csv"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("fer2013=a.csv", ("fer2013", "a.csv", {})),
        ("fer2013:5=a.csv", ("fer2013", "a.csv", {"classes": 5})),
        ("fer2013:7=/b/a=1:2.csv", ("fer2013", "/b/a=1:2.csv", {"classes": 7})),
        ("keypoints=b c.csv", ("keypoints", "b c.csv", {})),
        ("synthetic", ("synthetic", "", {})),
        ("fer2013", ("fer2013", "", {})),
    ],
)
def test_parse_source(text, expected):
    assert data.parse_source(text) == expected


@pytest.mark.parametrize(
    "text, problem",
    [
        ("fer2103=a.csv", r"unknown source in .* 'fer2103'; did you mean fer2013\?"),
        ("a.csv", "source in SOURCE=PATH 'a.csv' .known: synthetic, fer2013"),
        ("", "unknown source in SOURCE=PATH ''"),
        ("=a.csv", "unknown source in SOURCE=PATH ''"),
        ("fer2013:6=a.csv", "'fer2013:6=a.csv': only fer2013.*fer2013:5=PATH"),
        ("fer2013:=a.csv", "only fer2013"),
        ("keypoints:5=a.csv", "only fer2013"),
    ],
)
def test_parse_source_mistakes(text, problem):
    with pytest.raises(Mistake, match=problem):
        data.parse_source(text)


def test_load_with_options(csv):
    raw = data.load("fer2013", str(csv))
    assert raw.source == "fer2013" and raw.path == str(csv)
    assert raw.names["emotion"] == table.FIVE
    for classes, names in ((5, table.FIVE), (7, table.SEVEN)):
        raw = data.load("fer2013", str(csv), classes=classes)
        assert raw.names["emotion"] == names


def test_load_mistakes(csv):
    with pytest.raises(Mistake, match="unknown source in SOURCE=PATH 'fer'"):
        data.load("fer", str(csv))
    with pytest.raises(Mistake, match="fer2013 'klasses'; did you mean classes"):
        data.load("fer2013", str(csv), klasses=5)
    with pytest.raises(Mistake, match="'pth'; did you mean path. .known: path, val, "):
        data.load("fer2013", str(csv), pth="a.csv")
    with pytest.raises(
        Mistake, match="unknown field of config.data.sources.keypoints 'a'"
    ):
        data.load("keypoints", str(csv), a=5)
    with pytest.raises(Mistake, match="folder needs a file: --data folder=PATH"):
        data.load("folder")
    with pytest.raises(Mistake, match="synthetic is built in and takes no path"):
        data.load("synthetic", str(csv))
    with pytest.raises(Mistake, match="nowhere.csv: cannot be read: No such file"):
        data.load("fer2013", "nowhere.csv")
    with pytest.raises(Mistake, match="cannot be read: Is a directory"):
        data.load("fer2013", str(csv.parent))


def test_load_remembers_the_bytes_and_not_the_path(csv, monkeypatch):
    first = data.load("fer2013", str(csv))
    moved = csv.rename(csv.with_name("b.csv"))

    def refuse(*args):
        raise AssertionError("read again")

    with monkeypatch.context() as patch:
        patch.setattr(csv_table, "read", refuse)
        again = data.load("fer2013", str(moved))
    assert again.path == str(moved)
    np.testing.assert_array_equal(again.image, first.image)
    moved.write_text(f"emotion,pixels\n1,{FACE}\n")
    assert data.load("fer2013", str(moved)).image.shape == (1, 16, 16, 1)


def test_load_remembers_drawn_faces(csv, monkeypatch):
    drawn = []

    def draw(path="", faces=8000, seed=0):
        drawn.append((faces, seed))
        return dataclasses.replace(data.load("fer2013", str(csv)), path=path)

    monkeypatch.setitem(data.SOURCES, "synthetic", draw)
    for options in ({}, {"seed": 1}, {"faces": 20}, {"seed": 1}, {}):
        assert data.load("synthetic", **options).path == ""
    assert drawn == [(8000, 0), (8000, 1), (20, 0)]


MINE = """
from emotion_jax.data import fer2013
def read(path: str):
    calls.append(path)
    return fer2013.read(path)
"""


def mine(file, text, calls):
    """A module of the user's own, in a file or in none."""
    module = types.ModuleType("mine")
    module.calls = calls
    if file:
        file.write_text(text)
        module.__file__ = str(file)
    exec(text, vars(module))
    return module


def test_load_reads_again_once_the_readers_code_has_changed(csv, monkeypatch):
    calls, file = [], csv.with_name("mine.py")

    def load(file, text):
        module = mine(file, text, calls)
        monkeypatch.setitem(sys.modules, "mine", module)
        monkeypatch.setitem(data.SOURCES, "mine", module.read)
        data.load("mine", str(csv))
        return len(calls)

    better = MINE + "# and better"
    assert [load(file, text) for text in (MINE, MINE, better, better)] == [1, 1, 2, 2]
    assert [load(None, MINE) for _ in range(2)] == [3, 4]  # a notebook's cell


def test_drawn_faces_depend_on_the_code_that_draws_them():
    names = {path.rsplit("/", 1)[1] for path in data.code(data.SOURCES["synthetic"])}
    assert {"synthetic.py", "anatomy.py", "drawing.py", "studio.py"} <= names


def test_load_finds_the_home_folder(csv, monkeypatch):
    monkeypatch.setenv("HOME", str(csv.parent))
    assert data.load("fer2013", "~/a.csv").path == str(csv)
