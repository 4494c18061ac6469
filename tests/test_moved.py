"""Laws of a run's data: it may move, and what it holds may not change."""

import json
import shutil

import numpy as np
import pytest
import tiny
from PIL import Image

from emotion_jax import checkpoint, evaluate, train, workdir
from emotion_jax.errors import Mistake
from emotion_jax.sharding import make_mesh
from emotion_jax.train import train_and_evaluate


def paint(folder, first=0):
    """24 faces of noise to train on and 8 to validate on, of two classes."""
    for i in range(first, 32):
        split, name = "validation" if i < 8 else "train", ("calm", "tense")[i % 2]
        file = folder / split / name / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(i).integers(0, 256, (24, 24)).astype(np.uint8)
        Image.fromarray(noise).save(file)
    return folder


def config(path, **fields):
    made = tiny.config(**{"train.steps": 4, "eval.every": "1", **fields})
    made.checkpoint.every = "1"
    made.data.sources = {"folder": {"path": str(path), "skip_bad": False}}
    made.tasks = {"emotion": {"classes": ("calm", "tense")}}
    return made


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """The data, and a run of two steps of four on it."""
    home = tmp_path_factory.mktemp("moved")
    train_and_evaluate(config(paint(home / "faces"), stop_at=2), home / "run")
    return home


@pytest.fixture
def home(begun, tmp_path):
    """A copy of both, the data in another folder."""
    shutil.copytree(begun / "run", tmp_path / "run")
    shutil.copytree(begun / "faces", tmp_path / "scratch")
    return tmp_path


def test_a_run_goes_on_with_moved_data_and_ends_in_the_same_bits(
    begun, home, monkeypatch
):
    train_and_evaluate(config(begun / "faces"), home / "alone")
    monkeypatch.setattr(train, "finish", evaluate.finish)
    monkeypatch.chdir(home)
    (begun / "faces").rename(begun / "gone")
    try:
        train_and_evaluate(config("scratch"), home / "run")
    finally:
        (begun / "gone").rename(begun / "faces")
    assert tiny.done_of(home / "run") == tiny.done_of(home / "alone")
    assert (home / "run" / "report.html").exists()
    recorded = json.loads((home / "run" / "config.json").read_text())
    assert recorded["data"]["sources"]["folder"]["path"] == "scratch"
    shutil.rmtree(home / "scratch")  # a finished run needs no data at all
    train_and_evaluate(config("elsewhere"), home / "run")


def test_a_checkpoint_from_before_the_move_knows_the_data_at_its_new_place(home):
    workdir.open_workdir(home / "run", config("there"))
    for name in ("run", "run/checkpoints/1"):
        meta = checkpoint.read(str(home / name), make_mesh())[1]
        assert meta.config["data"]["sources"]["folder"]["path"] == "there"
    (home / "run" / "config.json").write_text('{"data": {"sources": {"folder": 1}}}')
    meta = checkpoint.read(str(home / "run"), make_mesh())[1]
    assert meta.config["data"]["sources"]["folder"]["path"].endswith("faces")


def lose(faces):
    (faces / "train" / "calm" / "8.png").unlink()


def relabel(faces):
    (faces / "train" / "calm" / "8.png").rename(faces / "train" / "tense" / "8.png")


def repaint(faces):
    Image.new("L", (24, 24)).save(faces / "validation" / "calm" / "0.png")


@pytest.mark.parametrize(
    "change, told",
    [
        (lose, r"the training faces of folder are not .* with \(24, then 23\); take"),
        (relabel, r"the training faces .* \(24, some of them with other pixels or l"),
        (repaint, r"the validation faces .* \(8, some of them with other pixels or l"),
    ],
)
def test_changed_data_is_a_mistake_that_leaves_the_workdir_as_it_was(
    home, change, told
):
    change(home / "scratch")
    before = {p: p.stat().st_mtime_ns for p in (home / "run").rglob("*")}
    with pytest.raises(Mistake, match=told):
        train_and_evaluate(config(home / "scratch"), home / "run")
    assert {p: p.stat().st_mtime_ns for p in (home / "run").rglob("*")} == before


def forget(run):
    """Makes it a workdir that does not say which faces it was trained on."""
    env = json.loads((run / "env.json").read_text())
    assert list(env.pop("data")) == [
        "training faces of folder",
        "validation faces of folder",
    ]
    (run / "env.json").write_text(json.dumps(env))


def test_a_workdir_that_does_not_know_its_faces_goes_on_but_not_elsewhere(begun, home):
    forget(home / "run")
    with pytest.raises(Mistake, match=r"folder\.path was '.*faces' and is '.*scratch'"):
        train_and_evaluate(config(home / "scratch"), home / "run")
    train_and_evaluate(config(begun / "faces", stop_at=3), home / "run")
    assert len(workdir.recorded_faces(home / "run")) == 2  # from now on it does


def test_only_places_may_change_of_a_source(tmp_path):
    workdir.open_workdir(tmp_path, config("a"), {"training faces of folder": "3"})
    assert workdir.check_same(tmp_path, config("b")) == {
        "data.sources.folder.path": "data.sources.folder.path was 'a' and is 'b'"
    }
    other = config("a")
    other.data.sources.folder.skip_bad = True
    with pytest.raises(Mistake, match=r"folder\.skip_bad was False and is True"):
        workdir.check_same(tmp_path, other)


def test_a_finished_run_says_that_it_does_not_read_what_it_is_given(tmp_path, capsys):
    workdir.open_workdir(tmp_path, config("a"), {"training faces of folder": "3"})
    (tmp_path / "done.json").write_text("{}")
    assert workdir.is_done(tmp_path, config("b"))
    assert "folder.path was 'a' and is 'b': it is not read" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"data": 3}', '{"data": [1]}'])
def test_an_unreadable_record_is_none(tmp_path, text):
    (tmp_path / "env.json").write_text(text)
    assert workdir.recorded_faces(tmp_path) == {}


def test_drawn_faces_are_counted_only(whole):
    assert workdir.recorded_faces(whole) == {
        "training faces of synthetic": "48",
        "validation faces of synthetic": "6",
    }
