"""README's promise: a task is a subclass of Classes or Points, and a line in TASKS."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
import tiny
from PIL import Image
from predicting import predicted

from emotion_jax import data, evaluate, explore, export, tasks, train
from emotion_jax.cli import run
from emotion_jax.data import synthetic
from emotion_jax.data.table import FIVE

PLACES = [3, 5, 10]  # outer corners of the eyes and the nose, for want of ears


def read(path: str = "", faces: int = 60):
    """Synthetic faces with all four labels."""
    raw = synthetic.read(faces=faces)
    known = {"gender": np.ones(faces, bool), "ears": np.ones((faces, 3), bool)}
    gender = np.eye(2, dtype=np.float32)[np.arange(faces) % 2]
    labels = {"gender": gender, "ears": raw.labels["keypoints"][:, PLACES]}
    names = {name: task.names for name, task in tiny.MORE.items()}
    return dataclasses.replace(
        raw,
        source="own",
        labels=raw.labels | labels,
        known=raw.known | known,
        names=raw.names | names,
    )


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """A short run of one network with four tasks, two of each kind."""
    with pytest.MonkeyPatch.context() as patch:
        for name, task in tiny.MORE.items():
            patch.setitem(tasks.TASKS, name, task)
        patch.setitem(data.SOURCES, "own", read)
        config = tiny.config()
        config.data.sources = {"own": {"faces": 60}}
        config.tasks = tiny.TASKS | {"gender": {"class_weights": "inverse"}}
        config.tasks.ears = {"loss": "wing"}
        workdir = tmp_path_factory.mktemp("four") / "run"
        train.train_and_evaluate(config, workdir)
        yield str(workdir)


def test_it_is_trained_and_evaluated(four, tmp_path):
    assert run(evaluate.main, ["--checkpoint", four, "--out", str(tmp_path)]) == 0
    found = tiny.metrics_of(tmp_path)
    assert found["gender/n"] == found["ears/n"] == found["emotion/n"] == 6
    assert 0 <= found["gender/recall/man"] <= 1
    assert found["gender/temperature"] != found["emotion/temperature"]
    assert found["ears/rmse_px/left_ear"] > 0
    assert found["ears/nme"] < found["keypoints/nme"]  # in a longer unit
    page = (tmp_path / "report.html").read_text()
    assert "from left ear to right ear" in page


def test_it_is_predicted_by_its_name(four, tmp_path):
    Image.fromarray(synthetic.read(faces=10).image[0, ..., 0]).save(tmp_path / "a.png")
    out = tmp_path / "out"
    (row,) = predicted(out, tmp_path / "a.png", "--checkpoint", four, "--faces=whole")
    assert row["gender"] in tiny.Gender.names and row["emotion"]
    shares = [float(row[f"p_gender_{name}"]) for name in tiny.Gender.names]
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert {"left_ear_x", "ears_nose_tip_x", "nose_tip_x"} <= row.keys()


def test_it_is_explored(four, tmp_path):
    assert run(explore.main, ["--data", "own", "--out", str(tmp_path / "x")]) == 0
    found = json.loads((tmp_path / "x" / "explore.json").read_text())
    assert found["labels"]["gender"]["classes"]["man"]["all"] == 30
    page = (tmp_path / "x" / "index.html").read_text()
    assert "Gender" in page and "Ears" in page


def test_it_is_exported(four, tmp_path):
    args = ["--checkpoint", four, "--format", "onnx", "--out", str(tmp_path / "x")]
    assert run(export.main, args) == 0
    model = onnx.load(tmp_path / "x" / "model.onnx", load_external_data=False)
    told = {entry.key: entry.value for entry in model.metadata_props}
    names = {"emotion": list(FIVE), "gender": list(tiny.Gender.names)}
    assert json.loads(told["classes"]) == names
    assert json.loads(told["temperature"]).keys() == names.keys()
    assert {out.name for out in model.graph.output} >= {"gender", "ears", "keypoints"}
