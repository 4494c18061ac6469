"""Laws of the race: both sides see the same faces; bad input is told."""

import importlib.util
import json
from pathlib import Path

import course_keras
import numpy as np
import pytest
import race

from emotion_jax.data import fer2013
from emotion_jax.data.image import resize
from emotion_jax.data.write_csv import write_csv
from emotion_jax.errors import Mistake

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def csv(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("csv")
    write_csv(folder, faces=60)
    return folder / "fer2013.csv"


def test_keras_sees_the_faces_and_classes_that_our_reader_finds(csv):
    image, label = course_keras.faces(str(csv), "Training")
    raw = fer2013.read(str(csv), classes=7)
    train = raw.usage == "Training"
    assert len(image) == train.sum() > 20 and image.shape[1:] == (96, 96, 1)
    # The five in our order, of FER2013's seven.
    of_seven = [raw.names["emotion"].index(name) for name in fer2013.FIVE]
    ours = raw.labels["emotion"][train].argmax(1)
    np.testing.assert_array_equal(np.array(of_seven)[label], ours)
    # Bicubic enlargement is no other picture: halved again, it is nearly the face.
    back = resize((image * 255).round().astype(np.uint8), 48)
    assert np.abs(back.astype(int) - raw.image[train]).mean() < 6


@pytest.mark.parametrize(
    "flags, told",
    [
        (["--data", "nowhere.csv"], "--data nowhere.csv is no file"),
        (["--data", "CSV", "--target", "1.5"], "--target is between 0 and 1"),
        (["--data", "CSV", "--minutes", "0"], "--minutes above 0"),
    ],
)
def test_what_cannot_race_is_told(csv, flags, told):
    config = ["--config", str(ROOT / "configs" / "fer5.py")]
    with pytest.raises(Mistake, match=told):
        race.main([*config, *(str(csv) if f == "CSV" else f for f in flags)])


def test_what_is_missing_is_told_before_anything_trains(csv, tmp_path, monkeypatch):
    config = ["--config", str(ROOT / "configs" / "fer5.py")]
    (tmp_path / "plain.csv").write_text("emotion,pixels\n")
    with pytest.raises(Mistake, match="plain.csv has no column Usage"):
        race.main([*config, "--data", str(tmp_path / "plain.csv")])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Mistake, match="Keras wants TensorFlow"):
        race.main([*config, "--data", str(csv)])


def test_a_race_into_a_new_folder_is_written_with_its_ratio(
    csv, tmp_path, monkeypatch, capsys
):
    won = {"seconds_cold": 10.0, "accuracy": 0.7}
    lost = {"reached": True, "seconds": 45.0, "accuracy": 0.7, "epochs": []}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(race, "ours", lambda *_: won)
    monkeypatch.setattr(race, "keras", lambda *_: lost)
    out = tmp_path / "new" / "results"
    args = ["--config", str(ROOT / "configs" / "fer5.py"), "--data", str(csv)]
    race.main(args)
    assert "written" not in capsys.readouterr().out
    race.main([*args, "--out", str(out)])
    assert f"written to {out / 'race.json'}\n" in capsys.readouterr().out
    assert json.loads((out / "race.json").read_text())["ratio"] == 4.5
    assert race.compared(won, lost | {"reached": False}, 0.6) == {"ratio_at_least": 4.5}
    assert race.compared(won | {"accuracy": 0.5}, lost, 0.6) == {}  # we came nowhere


def test_a_target_that_is_not_reached_took_all_the_time():
    epochs = [
        {"epoch": 1, "seconds": 9.0, "accuracy": 0.5},
        {"epoch": 2, "seconds": 19.0, "accuracy": 0.4},
    ]
    found = race.summary(epochs, 0.6)
    assert (found["reached"], found["seconds"], found["accuracy"]) == (False, 19.0, 0.5)
    epochs.append({"epoch": 3, "seconds": 30.0, "accuracy": 0.6})
    found = race.summary(epochs, 0.6)
    assert (found["reached"], found["seconds"], found["accuracy"]) == (True, 30.0, 0.6)


@pytest.mark.long
@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="needs TensorFlow"
)
def test_a_short_race_is_run_to_its_end(csv, tmp_path):
    config = ["--config", str(ROOT / "configs" / "fer5.py"), "--config.train.epochs=1"]
    config += ["--config.model.width=8", "--config.model.blocks=(1,)"]
    config += ["--config.train.batch_size=16", "--target=0.01"]
    race.main([*config, "--data", str(csv), "--minutes", "1", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "race.json").read_text())
    assert 0 <= found["emotion_jax"]["accuracy"] <= 1
    assert found["keras"]["epochs"]
    assert found["emotion_jax"]["accuracy"] < 0.01 or "ratio" in found
