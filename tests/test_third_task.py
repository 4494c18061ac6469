"""README's promise: a task is a subclass of Classes or Points, and a line in TASKS."""

import csv
import dataclasses
import json
from typing import ClassVar

import numpy as np
import pytest
import tiny
from PIL import Image

from emotion_jax import data, evaluate, explore, export, predict, tasks, train
from emotion_jax.cli import run
from emotion_jax.data import synthetic
from emotion_jax.tasks.classes import Classes
from emotion_jax.tasks.points import Points

CORNERS = ("left_mouth_corner", "right_mouth_corner")


@dataclasses.dataclass(frozen=True)
class Glasses(Classes):
    """Whether a face wears glasses."""

    section: ClassVar[str] = "glasses"
    names: ClassVar[tuple[str, ...]] = ("bare", "glasses")


@dataclasses.dataclass(frozen=True)
class Mouth(Points):
    """Where the corners of the mouth are."""

    section: ClassVar[str] = "mouth"
    names: ClassVar[tuple[str, ...]] = CORNERS
    ruler: ClassVar[tuple[str, ...]] = CORNERS


def read(path: str = "", faces: int = 60):
    """Synthetic faces with all four labels."""
    raw = synthetic.read(faces=faces)
    worn = np.arange(faces) % 2
    return dataclasses.replace(
        raw,
        source="worn",
        labels=raw.labels
        | {
            "glasses": np.eye(2, dtype=np.float32)[worn],
            "mouth": raw.labels["keypoints"][:, [11, 12]],
        },
        known=raw.known
        | {"glasses": np.ones(faces, bool), "mouth": np.ones((faces, 2), bool)},
        names=raw.names | {"glasses": Glasses.names, "mouth": CORNERS},
    )


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """A short run of one network with four tasks, two of each kind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tasks.TASKS, "glasses", Glasses)
        patch.setitem(tasks.TASKS, "mouth", Mouth)
        patch.setitem(data.SOURCES, "worn", read)
        config = tiny.config()
        config.data.sources = {"worn": {"faces": 60}}
        config.tasks = tiny.TASKS | {"glasses": {"class_weights": "inverse"}}
        config.tasks.mouth = {"loss": "wing"}
        workdir = tmp_path_factory.mktemp("four") / "run"
        train.train_and_evaluate(config, workdir)
        yield str(workdir)


def test_it_is_trained_and_evaluated(four, tmp_path):
    assert run(evaluate.main, ["--checkpoint", four, "--out", str(tmp_path)]) == 0
    found = tiny.metrics_of(tmp_path)
    assert found["glasses/n"] == found["mouth/n"] == found["emotion/n"] == 6
    assert 0 <= found["glasses/recall/bare"] <= 1
    assert found["mouth/rmse_px/left_mouth_corner"] > 0
    assert found["mouth/nme"] > found["keypoints/nme"]  # in a shorter unit
    page = (tmp_path / "report.html").read_text()
    assert "from left mouth corner to right mouth corner" in page


def test_it_is_predicted_by_its_name(four, tmp_path):
    Image.fromarray(synthetic.read(faces=10).image[0, ..., 0]).save(tmp_path / "a.png")
    out = tmp_path / "out"
    args = ["--checkpoint", four, "--faces", "whole", "--out", str(out)]
    assert run(predict.main, [*args, str(tmp_path / "a.png")]) == 0
    with open(out / "predictions.csv") as file:
        (row,) = csv.DictReader(file)
    assert row["glasses"] in Glasses.names and row["emotion"]
    shares = [float(row[f"p_glasses_{name}"]) for name in Glasses.names]
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert {"left_mouth_corner_x", "nose_tip_y"} <= row.keys()


def test_it_is_explored(four, tmp_path):
    assert run(explore.main, ["--data", "worn", "--out", str(tmp_path / "x")]) == 0
    found = json.loads((tmp_path / "x" / "explore.json").read_text())
    assert found["labels"]["glasses"]["classes"]["bare"]["all"] == 30
    page = (tmp_path / "x" / "index.html").read_text()
    assert "Glasses" in page and "Mouth" in page


def test_it_is_exported(four, tmp_path):
    args = ["--checkpoint", four, "--format", "onnx", "--out", str(tmp_path / "x")]
    assert run(export.main, args) == 0
