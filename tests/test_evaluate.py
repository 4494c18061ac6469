"""Laws of the evaluation binary: the loop's numbers, and no leak by default."""

import json
import os
import shutil

import numpy as np
import pytest
import tiny
from PIL import Image
from tiny import metrics_of

from emotion_jax import evaluate
from emotion_jax.cli import run
from emotion_jax.data.sections import set_paths
from emotion_jax.data.table import FIVE
from emotion_jax.data.write_csv import write_csv
from emotion_jax.errors import Mistake
from emotion_jax.evaluator import restore
from emotion_jax.train import train_and_evaluate


def test_the_loops_numbers_are_the_binarys(whole, tmp_path):
    args = ["--checkpoint", str(whole / "checkpoints" / "8"), "--split", "val"]
    assert run(evaluate.main, [*args, "--out", str(tmp_path)]) == 0
    binary = metrics_of(tmp_path)
    loop = tiny.log_of(whole)[-1]
    assert loop["step"] == 8
    numbers = {k[4:]: v for k, v in loop.items() if k.startswith("val/")}
    assert len(numbers) > 30
    for key, value in numbers.items():
        np.testing.assert_allclose(binary[key], value, rtol=1e-6, err_msg=key)


def test_by_default_a_run_is_evaluated_on_what_it_never_saw(whole, tmp_path):
    copy = shutil.copytree(whole, tmp_path / "run")
    assert run(evaluate.main, ["--checkpoint", str(copy)]) == 0
    found = metrics_of(copy / "eval" / "synthetic-test")
    assert (found["data"], found["split"], found["labels"]) == (
        "synthetic",
        "test",
        "original",
    )
    assert found["emotion/n"] == found["keypoints/n"] == 6


def test_the_keys_are_the_promised_ones_and_finite(whole, tmp_path):
    args = ["--checkpoint", str(whole), "--tta", "--out", str(tmp_path)]
    assert run(evaluate.main, args) == 0
    found = metrics_of(tmp_path)
    emotion = "n accuracy macro_f1 balanced_accuracy ece nll top2".split()
    emotion += [f"{m}/{c}" for m in ("recall", "precision", "f1") for c in FIVE]
    emotion += [f"support/{c}" for c in FIVE] + ["accuracy@tta", "ece@raw"]
    keypoints = "n rmse_px rmse_px/nose_tip nme pck_10 rmse_px@tta".split()
    for key in [f"emotion/{k}" for k in emotion] + [
        f"keypoints/{k}" for k in keypoints
    ]:
        assert key in found
    for key, value in found.items():
        if key not in ("data", "split", "labels"):
            assert value is None or np.isfinite(value), key
    assert "@" not in (tmp_path / "model_card.md").read_text()
    assert "emotion/accuracy@tta" in (tmp_path / "report.html").read_text("utf-8")


def test_a_csv_without_splits_is_taken_whole(whole, tmp_path):
    write_csv(tmp_path / "csv", faces=40)
    five = f"fer2013={tmp_path / 'csv' / 'icml_face_data.csv'}"
    points = f"keypoints={tmp_path / 'csv' / 'keypoints.csv'}"
    args = ["--checkpoint", str(whole), "--data", five, points]
    assert run(evaluate.main, [*args, "--out", str(tmp_path / "out")]) == 0
    emotion = metrics_of(tmp_path / "out" / "fer2013-all")
    keypoints = metrics_of(tmp_path / "out" / "keypoints-all")
    assert emotion["emotion/n"] == 40 and emotion["keypoints/n"] == 0
    assert keypoints["keypoints/n"] == 40 and keypoints["emotion/accuracy"] is None
    assert emotion["data"] == "fer2013=icml_face_data.csv"


def test_a_file_with_splits_of_its_own_is_taken_by_its_test_rows(whole, tmp_path):
    write_csv(tmp_path / "csv", faces=40)
    data = f"fer2013={tmp_path / 'csv' / 'fer2013.csv'}"
    args = ["--checkpoint", str(whole), "--data", data, "--out", str(tmp_path / "o")]
    assert run(evaluate.main, args) == 0
    assert metrics_of(tmp_path / "o")["split"] == "test"
    assert metrics_of(tmp_path / "o")["emotion/n"] == 4


def test_a_step_on_its_own_has_no_workdir_to_write_to(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole / "checkpoints" / "8", tmp_path / "8")
    assert run(evaluate.main, ["--checkpoint", "8"]) == 0
    assert metrics_of(tmp_path / "evaluation")["split"] == "test"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["8", "evaluation"]


def test_faces_that_were_trained_on_are_told(whole, tmp_path, capsys):
    args = ["--checkpoint", str(whole), "--split", "all", "--out", str(tmp_path)]
    assert run(evaluate.main, args) == 0
    told = capsys.readouterr()
    count = len(evaluate.load_splits(restore(str(whole)), [], "train")[0])
    sentence = f"whole, step 8 was trained on {count} of these 60 faces; split test"
    assert sentence in told.err
    where = f"synthetic, split all, 60 faces, {count} of them trained on"
    assert where in told.out
    for name in ("report.html", "model_card.md"):
        assert where in (tmp_path / name).read_text("utf-8")


@pytest.mark.parametrize("split", ["test", "val"])
def test_held_out_faces_raise_no_alarm(whole, split, capsys):
    (found,) = evaluate.load_splits(restore(str(whole)), ["synthetic"], split)
    assert found.trained_on == 0 and not capsys.readouterr().err


def test_val_is_what_the_run_validated_on(whole, tmp_path):
    """A file of its own, whole, where it had one; never faces that it trained on."""
    write_csv(tmp_path, faces=40)
    restored = restore(str(whole))
    paths = {"path": f"{tmp_path}/fer2013.csv", "val": f"{tmp_path}/icml_face_data.csv"}
    restored.meta.config["data"]["sources"] = {"fer2013": paths}
    (split,) = evaluate.load_splits(restored, [], "val")
    assert (split.path, split.name, len(split)) == (paths["val"], "val", 40)
    for path in (paths["path"], os.path.relpath(paths["path"]), ""):
        with pytest.raises(Mistake, match="the run trained on the val rows of .* too"):
            evaluate.load_splits(restored, [f"fer2013={path}"], "val")
    with pytest.raises(Mistake, match=r"val\+test: .* take one split at a time"):
        evaluate.load_splits(restored, [], "val+test")
    (split,) = evaluate.load_splits(restored, [f"fer2013={paths['path']}"], "test")
    assert split.path == paths["path"] and split.name == "test"


def test_two_files_of_one_source_are_a_mistake(whole):
    restored = restore(str(whole))
    with pytest.raises(Mistake, match="fer2013 is named 2 times; name one file"):
        evaluate.load_splits(restored, ["fer2013=a.csv", "fer2013=b.csv"], None)


def test_two_networks_are_compared_on_the_same_faces(whole, nets, tmp_path, capsys):
    """Of other sides, and one with a task more."""
    args = ["--checkpoint", str(whole), "--against", nets["points"], "--split", "all"]
    assert run(evaluate.main, [*args, "--tta", "--out", str(tmp_path)]) == 0
    told, found = capsys.readouterr(), metrics_of(tmp_path)
    compared = json.loads((tmp_path / "compare.json").read_text())
    assert compared["checkpoint"] == "whole, step 8" and compared["split"] == "all"
    assert not any(key.startswith("emotion") for key in compared)
    for key in ("keypoints/n", "keypoints/rmse_px", "keypoints/rmse_px@tta"):
        assert compared[key] == found[key]
    out = ["--checkpoint", nets["points"], "--data", "synthetic", "--split", "all"]
    assert run(evaluate.main, [*out, "--tta", "--out", str(tmp_path)]) == 0
    assert not (tmp_path / "compare.json").exists()  # it was about other networks
    other = metrics_of(tmp_path)
    for key in ("keypoints/rmse_px", "keypoints/nme@tta"):
        difference = compared[f"{key}/difference"]
        assert compared[f"{key}/against"] == pytest.approx(other[key])
        assert difference == pytest.approx(found[key] - other[key])
        assert compared[f"{key}/low"] <= difference <= compared[f"{key}/high"]
    assert "keypoints, 60 faces" in told.out and "compare.json" in told.out


def test_networks_that_cannot_be_compared_are_told_before_any_file_is_read(
    nets, tmp_path, capsys
):
    for other, sentence in (
        ("nowhere", "--against nowhere does not exist"),
        (nets["points"], "there is no task to compare them on"),
    ):
        args = ["--checkpoint", nets["emotion"], "--against", other]
        args += ["--data", "fer2013=none.csv", "--out", str(tmp_path / "out")]
        assert run(evaluate.main, args) == 2
        assert sentence in capsys.readouterr().err
    write_csv(tmp_path, faces=20)
    args = ["--checkpoint", nets["both"], "--against", nets["points"]]
    args += ["--data", f"fer2013={tmp_path}/fer2013.csv", "--out", f"{tmp_path}/out"]
    assert run(evaluate.main, args) == 2
    assert "of which no face here has a label" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def write_folder(folder, *classes):
    """A folder of two faces a class."""
    for i, name in enumerate(classes * 2):
        (folder / name).mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(i).integers(0, 256, (24, 24), np.uint8)
        Image.fromarray(noise).save(folder / name / f"{i}.png")
    return f"folder={folder}"


def test_classes_that_the_data_lacks_are_told_as_ruled_out(nets, tmp_path, capsys):
    where = write_folder(tmp_path / "faces", "anger", "happy", "tense")
    args = ["--checkpoint", nets["both"], "--data", where, "--out", f"{tmp_path}/out"]
    assert run(evaluate.main, args) == 0
    told = (
        "Answers of emotion are among anger and happy, the classes of this data: the "
    )
    data = "folder=faces, split all, 4 faces (2 others have no label that is used"
    assert f"{data})\n{told}" in capsys.readouterr().out
    for name in ("report.html", "model_card.md"):
        assert (tmp_path / "out" / name).read_text("utf-8").count(told) == 1


def test_where_no_answer_could_be_wrong_nothing_is_measured(nets, tmp_path, capsys):
    """A class that is ruled out is never said, so of one class all would be right."""
    seven = str(tiny.untrained(tmp_path / "seven", {"emotion": {"classes": 7}}))
    one = write_folder(tmp_path / "one", "happy")
    two = write_folder(tmp_path / "two", "happy", "neutral")
    for args in (
        [nets["both"], "--data", one],
        [nets["both"], "--data", two],
        [seven, "--data", two, "--against", nets["both"]],
    ):
        out = ["--out", f"{tmp_path}/out"]
        assert run(evaluate.main, ["--checkpoint", *args, *out]) == 2
        told = capsys.readouterr().err
        assert "both, step 0 knows one class of folder=" in told
        assert ", happy, so no answer could be wrong" in told
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "args, sentence",
    [
        (["--checkpoint", "nowhere"], "--checkpoint nowhere does not exist"),
        (["--split", "tset"], "split 'tset' does not exist; there is"),
        (["--data", "fer2013=none.csv"], "none.csv"),
        (["--data", "fer203=x.csv"], "fer2013"),
        (["--dat", "x"], "--data"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    whole, tmp_path, args, sentence, capsys
):
    where = [] if "--checkpoint" in args else ["--checkpoint", str(whole)]
    out = tmp_path / "out"
    assert run(evaluate.main, [*where, *args, "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert sentence in told and "Traceback" not in told
    assert not out.exists()


def test_a_config_remembers_where_its_data_was(tmp_path):
    write_csv(tmp_path, faces=80)
    config = tiny.config(**{"data.sources": {"keypoints": {"path": ""}}})
    config.tasks = {"keypoints": {}}
    config.checkpoint.best = "keypoints/rmse_px"
    set_paths(config, [f"keypoints={tmp_path / 'keypoints.csv'}"], "path")
    train_and_evaluate(config, tmp_path / "run")
    assert run(evaluate.main, ["--checkpoint", str(tmp_path / "run")]) == 0
    found = metrics_of(tmp_path / "run" / "eval" / "keypoints-test")
    assert 0 < found["keypoints/n"] < 80
