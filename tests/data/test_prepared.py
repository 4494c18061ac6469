"""Laws of prepared sets, read: the same bytes back, by us and by TFDS alone."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tiny
from face_files import assert_same, fer_csv, pixels, points_csv
from ml_collections import ConfigDict
from PIL import Image

from emotion_jax import cli, data, evaluate
from emotion_jax.data import (
    fer2013,
    keypoints,
    prepare,
    prepared,
    sections,
    splits,
    synthetic,
)
from emotion_jax.errors import Mistake
from emotion_jax.tasks import make_tasks
from emotion_jax.train import train_and_evaluate

SHARED = pathlib.Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.usefixtures("root")


FORMS = {
    "usage": ("fer2013", fer_csv, {}, {"Training": 27, "PublicTest": 13}),
    "five": (
        "fer2013:5",
        fer_csv,
        {"usage": False},
        {"train": 30, "val": 7, "test": 3},
    ),
    "seven": (
        "fer2013:7",
        fer_csv,
        {"usage": False, "emotions": (6, 5) * 20},
        {"train": 30, "val": 7, "test": 3},
    ),
    "points": ("keypoints", points_csv, {}, {"train": 22, "val": 5, "test": 3}),
    "people": (
        "keypoints",
        points_csv,
        {"people": ("Ann", "Zoë", "", "李")},
        {"train": 29, "val": 1},
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_prepared_set_is_the_file_byte_for_byte(form, tmp_path, capsys):
    source, write, fields, parts = FORMS[form]
    path = write(tmp_path / "faces.csv", **fields)
    assert cli.run(prepare.main, [f"{source}={path}"]) == 0
    name, _, options = data.parse_source(source)
    raw = data.load(name, str(path), **options)
    assert_same(data.load(name), raw)
    assert data.load(name).path == ""
    assert {n: len(rows) for n, rows in splits.partition(raw).items()} == parts
    told = ", ".join(f"{n} {count}" for n, count in parts.items())
    assert f"({told}) in {prepared.folder(name)}" in capsys.readouterr().out


def test_a_prepared_synthetic_set_is_what_is_drawn():
    raw = synthetic.read(faces=20, seed=3)
    assert prepared.write(raw)
    assert_same(prepared.read("synthetic"), raw)


def test_a_source_without_a_path_is_split_as_its_file_is(tmp_path):
    path = fer_csv(tmp_path / "a.csv")
    prepared.write(fer2013.read(str(path)))
    config = ConfigDict(
        {"data": {"side": 24, "sources": {"fer2013": {"path": "x.csv"}}}}
    )
    sections.set_paths(config, ["fer2013"], "path")
    assert config.data.sources.fer2013.path == ""
    tasks = make_tasks({"emotion": {"classes": 7}})
    without, named = (
        sections.load_train_and_val(tasks, side=24, sources={"fer2013": {"path": name}})
        for name in ("", str(path))
    )
    for ours, theirs in zip(without, named, strict=True):
        assert ours["fer2013"].rows.tolist() == theirs["fer2013"].rows.tolist()
        faces = (part["fer2013"].faces["image"] for part in (ours, theirs))
        np.testing.assert_array_equal(*faces)


@pytest.mark.long
def test_a_run_trains_and_is_evaluated_without_a_path(tmp_path, capsys):
    prepared.write(fer2013.read(str(fer_csv(tmp_path / "a.csv", usage=False))))
    config = tiny.config(stop_at=1)
    config.tasks = {"emotion": {"classes": 5}}
    config.data.sources = {"fer2013": {"path": ""}}
    config.train.steps = 1
    train_and_evaluate(config, tmp_path / "run")
    recorded = json.loads((tmp_path / "run" / "config.json").read_text())
    assert recorded["data"]["sources"] == {"fer2013": {"path": ""}}
    assert cli.run(evaluate.main, ["--checkpoint", str(tmp_path / "run")]) == 0
    assert "fer2013, split test, 3 faces" in capsys.readouterr().out


def test_arrays_of_a_prepared_set_can_be_written_to(tmp_path):
    prepared.write(keypoints.read(str(points_csv(tmp_path / "a.csv"))))
    raw = prepared.read("keypoints")
    for array in (raw.image, raw.labels["keypoints"], raw.known["keypoints"]):
        array[:] = 0


ALONE = """
import sys
sys.modules["emotion_jax"] = None  # importing it would fail
import numpy as np
import tensorflow_datasets as tfds
faces = tfds.data_source("fer2013", split="PublicTest", data_dir=sys.argv[1])
info = tfds.builder_from_directory(sys.argv[1] + "/fer2013/1.0.0").info
assert faces[0]["image"].dtype == np.uint8 and faces[0]["image"].shape == (16, 16, 1)
names = info.features["emotion"].names
print(list(info.splits), [(f["row"], names[f["emotion"]]) for f in faces])
print(faces[1]["image"].ravel().tolist())
assert "tensorflow" not in sys.modules
"""


def test_tfds_alone_reads_a_prepared_set(tmp_path, root):
    path = fer_csv(tmp_path / "a.csv", emotions=(3, 0, 4, 6, 1, 5, 2))
    prepared.write(fer2013.read(str(path)))
    command = [sys.executable, "-c", ALONE, str(root)]
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    splits, image = found.stdout.splitlines()[-2:]
    assert splits == "['Training', 'PublicTest'] [(2, 'sad'), (5, 'surprise')]"
    assert image == str([int(value) for value in pixels(5).split()])


def test_tfds_makes_and_reads_the_sets_by_name(tmp_path, root):
    import tensorflow_datasets as tfds

    import emotion_jax.data.builders  # noqa: F401  (registers them)

    path = fer_csv(tmp_path / "a.csv", usage=False)
    with pytest.raises(Mistake, match="fer2013 is made of a file: .*path="):
        tfds.builder("fer2013", data_dir=root).download_and_prepare()
    builder = tfds.builder("fer2013", data_dir=root, path=str(path))
    builder.download_and_prepare()
    assert_same(data.load("fer2013"), fer2013.read(str(path)))
    again = tfds.builder("fer2013", data_dir=root)
    assert len(again.as_data_source("test")) == 3
    assert again.info.release_notes == {"1.0.0": "First version."}
    assert "goodfellow2013" in again.info.citation


def test_neither_preparing_nor_loading_imports_tensorflow(tmp_path):
    path = fer_csv(tmp_path / "a.csv", emotions=(3, 0))
    code = (
        "import sys; from emotion_jax.data import load, prepare\n"
        "light = 'tensorflow_datasets' not in sys.modules\n"
        f"prepare.main(['fer2013={path}']); load('fer2013')\n"
        "print(light, [m for m in sys.modules if m.split('.')[0] == 'tensorflow'])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.splitlines()[-1] == "True []", found.stderr


def test_what_is_not_prepared_is_said_with_the_command(root):
    told = f"fer2013 needs a file: .* -m emotion_jax.data.prepare fer2013=PATH.*{root}"
    for options in ({}, {"classes": 5}):
        with pytest.raises(Mistake, match=told):
            data.load("fer2013", **options)
    with pytest.raises(Mistake, match="keypoints needs a file"):
        data.load("keypoints")


def test_a_prepared_set_has_the_classes_it_has(tmp_path):
    prepared.write(fer2013.read(str(fer_csv(tmp_path / "a.csv", usage=False))))
    assert len(data.load("fer2013", classes=5).names["emotion"]) == 5
    with pytest.raises(Mistake, match="has 5 classes, not 7; .*fer2013:7=PATH"):
        data.load("fer2013", classes=7)


def test_the_data_folder_is_tfdss_own(monkeypatch, tmp_path):
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    home = tmp_path / "tensorflow_datasets" / "facial_keypoints" / "1.0.0"
    assert prepared.folder("keypoints") == home
    monkeypatch.setenv("TFDS_DATA_DIR", "gs://bucket")
    with pytest.raises(Mistake, match="local disk, got TFDS_DATA_DIR=gs://bucket"):
        data.load("fer2013")


def test_real_faces_come_back(tmp_path):
    """The first 64 of PublicTest."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data")
    with Image.open(SHARED / "fer2013_publictest.png") as sheet:
        tiles = np.asarray(sheet)[:48].reshape(48, 64, 48).swapaxes(0, 1)
    rows = (SHARED / "fer2013_labels.csv").read_text().splitlines()
    emotions = [row.split(",")[1] for row in rows if row.startswith("PublicTest")]
    lines = [
        f"{emotion},PublicTest,{' '.join(map(str, tile.ravel()))}"
        for emotion, tile in zip(emotions, tiles)
    ]
    path = tmp_path / "real.csv"
    path.write_text("\n".join(["emotion, Usage, pixels", *lines]))
    raw = fer2013.read(str(path))
    prepared.write(raw)
    assert_same(data.load("fer2013"), raw)
