"""Laws of predict: the evaluator's own outputs, by photo and row; bad inputs told."""

import errno
import json
import shutil
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from PIL import Image
from predicting import predicted

from emotion_jax import cli, evaluate, predict
from emotion_jax.cli import run
from emotion_jax.data import keypoints
from emotion_jax.data.table import FIVE, POINTS
from emotion_jax.evaluator import restore
from emotion_jax.report import pictures
from emotion_jax.tasks import TASKS

COORDINATES = list(keypoints.COORDINATES)
BOX = ["image", "face_x", "face_y", "face_width", "face_height"]


@pytest.fixture
def photos(tmp_path):
    """Two photos of noise, 60x50 and 40x40."""
    folder, rng = tmp_path / "in", np.random.default_rng(0)
    folder.mkdir()
    for name, size in (("a.png", (50, 60)), ("b.png", (40, 40))):
        noise = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
        Image.fromarray(noise).save(folder / name)
    return folder


def refused(capsys, *args) -> str:
    """What is told as a mistake; `args` are the command line."""
    assert run(predict.main, list(map(str, args))) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told
    return told


def numbers(rows: list[dict], names) -> np.ndarray:
    return np.array([[float(row[name]) for name in names] for row in rows])


@pytest.mark.parametrize("tta", [False, True])
def test_rows_of_a_csv_get_what_the_evaluation_gives_them(nets, faces, tmp_path, tta):
    file = faces / "keypoints.csv"
    flags = ["--tta"] * tta
    rows = predicted(tmp_path / "out", file, "--checkpoint", nets["both"], *flags)
    assert [row["image"] for row in rows] == [f"{file}:{i}" for i in range(1, 13)]
    restored = restore(nets["both"])
    (split,) = evaluate.load_splits(restored, [f"keypoints={file}"], "all")
    run_all = restored.evaluator.run_tta if tta else restored.evaluator.run
    outputs = run_all(restored.variables, split.faces["image"])
    power = np.exp(outputs["emotion"] / 1.5)
    expected = power / power.sum(-1, keepdims=True)
    shares = numbers(rows, [f"p_{name}" for name in FIVE])
    np.testing.assert_allclose(shares, expected, atol=2e-6)
    assert [r["emotion"] for r in rows] == [FIVE[k] for k in expected.argmax(-1)]
    points = (outputs["keypoints"] + 0.5) * (96 / 24) - 0.5
    found = numbers(rows, COORDINATES).reshape(-1, 15, 2)
    np.testing.assert_allclose(found, points, atol=2e-3)


def test_json_and_pictures_tell_the_same(nets, faces, photos, tmp_path):
    out = tmp_path / "out"
    args = [photos, faces / "icml_face_data.csv", "--faces", "whole"]
    rows = predicted(out, *args, "--checkpoint", nets["both"])
    told = json.loads((out / "predictions.json").read_text())
    assert told["classes"] == list(FIVE) and told["points"] == list(POINTS)
    assert len(told["faces"]) == len(rows) == 14 and told["not_done"] == {}
    for row, face in zip(rows, told["faces"], strict=True):
        assert (row["image"], row["emotion"]) == (face["image"], face["emotion"])
        np.testing.assert_allclose(
            numbers([row], COORDINATES)[0],
            np.ravel([face["keypoints"][point] for point in POINTS]),
            atol=1e-4,
        )
    names = {file.name for file in (out / "photos").iterdir()}
    assert names == {"a.jpg", "b.jpg", "icml_face_data.png"}


def test_points_are_in_the_pixels_of_the_photo(nets, photos, tmp_path):
    args = [photos / "a.png", "--checkpoint", nets["both"], "--faces=whole"]
    rows = predicted(tmp_path / "out", *args)
    np.testing.assert_array_equal(numbers(rows, BOX[1:]), [[5, 0, 50, 50]])
    restored = restore(nets["both"])
    with Image.open(photos / "a.png") as photo:
        face = photo.convert("L").crop((5, 0, 55, 50))
    small = np.asarray(face.resize((24, 24), Image.Resampling.BILINEAR))
    outputs = restored.evaluator.run(restored.variables, small[None, ..., None])
    expected = (outputs["keypoints"][0] + 0.5) * (50 / 24) - 0.5 + [5, 0]
    found = numbers(rows, COORDINATES).reshape(15, 2)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_two_specialists_of_any_sides_give_what_each_gives_alone(
    nets, photos, tmp_path
):
    say = "--checkpoint"
    both = [say, nets["points"], say, nets["emotion"], "--faces", "whole"]
    together = predicted(tmp_path / "a", photos, *both)
    for name, columns in (("emotion", ["p_happy"]), ("points", COORDINATES)):
        args = [photos, say, nets[name], "--faces", "whole"]
        alone = predicted(tmp_path / name, *args)
        expected = numbers(alone, columns)
        np.testing.assert_allclose(numbers(together, columns), expected, atol=1e-5)
        assert ("emotion" in alone[0]) == (name == "emotion")


@pytest.fixture
def more_tasks(monkeypatch):
    """TASKS also has a second task of classes and a second task of points."""
    for name, task in tiny.MORE.items():
        monkeypatch.setitem(TASKS, name, task)


def test_every_task_is_written_by_its_name(more_tasks, faces, tmp_path):
    tasks = {"emotion": {}, "keypoints": {}, "gender": {}, "ears": {}}
    net, out = tiny.untrained(tmp_path / "net", tasks), tmp_path / "out"
    rows = predicted(out, faces / "keypoints.csv", "--checkpoint", net)
    shares = ["p_gender_woman", "p_gender_man"]
    choices = ["emotion", *(f"p_emotion_{name}" for name in FIVE), "gender", *shares]
    ears = [f"{name}_{axis}" for name in tiny.Ears.names for axis in "xy"]
    ears[4:] = ["ears_nose_tip_x", "ears_nose_tip_y"]  # a name that is taken
    assert list(rows[0]) == [*BOX, *choices, *COORDINATES, *ears]
    told = json.loads((out / "predictions.json").read_text())
    assert told["classes"] == {"emotion": list(FIVE), "gender": ["woman", "man"]}
    assert told["points"] == {"keypoints": list(POINTS), "ears": list(tiny.Ears.names)}
    for row, face in zip(rows, told["faces"], strict=True):
        assert (row["emotion"], row["gender"]) == (face["emotion"], face["gender"])
        named = face["probabilities"]["gender"]
        np.testing.assert_allclose(numbers([row], shares)[0], list(named.values()))
        places = np.ravel(list(face["ears"].values()))
        np.testing.assert_allclose(numbers([row], ears)[0], places, atol=1e-4)


def test_specialists_of_one_kind_work_together(more_tasks, nets, photos, tmp_path):
    gender = tiny.untrained(tmp_path / "net", {"gender": {}}, 20)
    args = [photos, "--faces", "whole", "--checkpoint", gender]
    alone = predicted(tmp_path / "a", *args)
    assert list(alone[0]) == [*BOX, "gender", "p_woman", "p_man"]
    (face, _) = json.loads((tmp_path / "a" / "predictions.json").read_text())["faces"]
    shares = {name: float(alone[0][f"p_{name}"]) for name in ("woman", "man")}
    assert face["probabilities"] == pytest.approx(shares)
    assert face["gender"] == alone[0]["gender"] == max(shares, key=shares.get)
    both = predicted(tmp_path / "b", *args, "--checkpoint", nets["emotion"])
    assert [row["gender"] for row in both] == [row["gender"] for row in alone]
    shares = numbers(both, [f"p_emotion_{name}" for name in FIVE])
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-5)


def test_faces_are_found_in_photos(nets, tmp_path):
    astronaut = pytest.importorskip("skimage.data").astronaut()
    two = np.concatenate([astronaut, astronaut], axis=1)
    Image.fromarray(two).save(tmp_path / "two.png")
    args = [tmp_path / "two.png", "--checkpoint", nets["both"]]
    at = numbers(predicted(tmp_path / "out", *args), BOX[1:4])
    at = at[at[:, 0].argsort()]
    np.testing.assert_allclose(at, [[164, 57, 120], [676, 57, 120]], atol=9)
    told = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert all(face["score"] > 0.7 for face in told["faces"])


def test_photos_of_one_name_in_two_folders_are_both_drawn(nets, photos, tmp_path):
    (tmp_path / "more").mkdir()
    (photos / "b.png").rename(tmp_path / "more" / "a.png")
    args = [photos, tmp_path / "more", "--checkpoint", nets["emotion"]]
    rows = predicted(tmp_path / "out", *args, "--faces", "whole")
    assert len({row["image"] for row in rows}) == 2
    drawn = sorted(file.name for file in (tmp_path / "out" / "photos").iterdir())
    assert drawn == ["a-2.jpg", "a.jpg"]


def test_a_run_again_reads_what_the_first_read_under_any_name(nets, photos):
    (photos / "b.png").rename(photos / f"{'ü' * 120}.png")
    args = [photos, "--checkpoint", nets["emotion"], "--faces", "whole"]
    first, again = predicted(photos, *args), predicted(photos, *args)
    assert first == again and len(first) == 2
    drawn = [file.name for file in (photos / "photos").iterdir()]
    assert sorted(drawn) == ["a.jpg", f"{'ü' * 50}.jpg"]


@pytest.mark.parametrize(
    "given, again",
    [
        ("photos", False),
        ("photos", True),
        ("photos/a.png", False),
        ("photos/a.png", True),
        ("in/b.png", False),  # again, what lies in photos/ was drawn by predict
    ],
)
def test_photos_are_never_written_over(nets, photos, tmp_path, capsys, given, again):
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos" / "a.png").rename(tmp_path / "photos" / "a.jpg")
    (tmp_path / "photos" / "a.png").symlink_to(tmp_path / "photos" / "a.jpg")
    if again:
        (tmp_path / "predictions.json").write_text("{}")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.*")}
    args = [tmp_path / given, "--checkpoint", nets["emotion"], "--out", tmp_path]
    told = refused(capsys, *args)
    assert "would be written over" in told or "which no earlier run" in told
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.*")} == before


def test_results_of_an_earlier_run_do_not_stay(nets, contest, photos):
    out, net = contest / "out", ["--checkpoint", nets["both"], "--faces", "whole"]
    predicted(out, contest / "test.csv", *net, "--submission", contest / "ask.csv")
    (out / "photos" / "mine.jpg").write_bytes(b"not drawn by predict")
    predicted(out, photos / "a.png", *net)
    there = {str(file.relative_to(out)) for file in out.rglob("*.*")}
    drawn = {"photos/a.jpg", "photos/mine.jpg"}
    assert there == {"predictions.csv", "predictions.json"} | drawn


def test_on_a_full_disk_the_results_of_an_earlier_run_stay(
    nets, photos, monkeypatch, capsys
):
    out, net = photos / "out", ["--checkpoint", nets["both"], "--faces", "whole"]
    predicted(out, photos / "a.png", *net)
    before = {file: file.read_bytes() for file in out.rglob("*.*")}

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pictures, "draw", full)
    args = [str(photos / "b.png"), *map(str, net), "--out", str(out)]
    assert cli.run(predict.main, args) == cli.STOPPED
    assert "no space is left on the disk" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in out.rglob("*.*")} == before


def test_a_link_to_itself_is_told_and_the_others_are_done(nets, photos, capsys):
    (photos / "loop.png").symlink_to(photos / "loop.png")
    args = [photos / "loop.png", photos / "a.png", "--faces", "whole"]
    args += ["--checkpoint", nets["emotion"], "--out", photos / "out"]
    told = refused(capsys, *args)
    assert "loop.png (" in told and "the others are done" in told
    assert (photos / "out" / "predictions.csv").exists()


def test_no_csv_that_is_given_is_written_over(nets, tmp_path, capsys):
    mine = tmp_path / "predictions.csv"
    mine.write_text("pixels\n" + " ".join(["7"] * 48 * 48) + "\n")
    before = mine.read_bytes()
    args = [mine, "--checkpoint", nets["emotion"], "--out", tmp_path]
    assert f"{mine} would be written over" in refused(capsys, *args)
    assert mine.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def bomb(path: Path) -> None:
    """A PNG of 30,000 x 30,000 pixels, in a kilobyte of file."""
    Image.new("1", (16, 16)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = (30_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)


BAD = {
    "film.jpg": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(99), "no PNG, JPEG"),
    "cut.png": (None, "truncated"),
    "empty.png": (b"", "no PNG, JPEG or WebP"),
    "huge.png": (bomb, "pixels are too many"),
    "row.csv": (b"pixels\n1 2 3\n", "line 2: expected the pixels of a square"),
    "folder": (Path.mkdir, "a folder without photos"),
    "none.jpg": (lambda path: None, "No such file"),
    "blank.png": (lambda path: Image.new("L", (90, 90)).save(path), "no face found"),
}


@pytest.fixture
def damaged(tmp_path):
    """Every kind of bad input."""
    for name, (content, _) in BAD.items():
        if callable(content):
            content(tmp_path / name)
        elif content is not None:
            (tmp_path / name).write_bytes(content)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    return tmp_path


def test_bad_inputs_are_listed_and_the_others_done(nets, damaged, faces, capsys):
    bad, out = [str(damaged / name) for name in BAD], damaged / "out"
    args = [*bad[:4], faces / "icml_face_data.csv", *bad[4:], "--out", out]
    told = refused(capsys, *args, "--checkpoint", nets["emotion"])
    assert "; the others are done" in told
    listed = json.loads((out / "predictions.json").read_text())["not_done"]
    assert list(listed) == [*bad[:4], *bad[4:]]
    for name, (_, sentence) in BAD.items():
        assert sentence in listed[str(damaged / name)], name
        assert str(damaged / name) in told
    assert len((out / "predictions.csv").read_text().splitlines()) == 13


def test_a_folder_in_the_way_is_told_before_anything_slow(photos, tmp_path, capsys):
    (tmp_path / "out" / "predictions.json").mkdir(parents=True)
    args = [photos, "--checkpoint", "nowhere", "--out", tmp_path / "out"]
    assert "predictions.json in it is a folder" in refused(capsys, *args)


def test_where_nothing_can_be_done_nothing_is_written(nets, damaged, capsys):
    args = [damaged / "film.jpg", "--checkpoint", nets["emotion"]]
    told = refused(capsys, *args, "--out", damaged / "out")
    assert "no prediction for" in told and "others" not in told
    assert not (damaged / "out").exists()


@pytest.mark.parametrize(
    "args, sentence",
    [
        (["--checkpoint", "{both}", "--checkpoint", "{emotion}"], "both give emotion"),
        (["--checkpoint", "nowhere"], "--checkpoint nowhere does not exist"),
        (["--checkpoint", "{both}", "--faces", "some"], "--faces is detect, whole"),
        (["--checkpoint", "{both}", "--faces=90,0,9,9"], "--faces 90,0,9,9 is not in"),
        (["--checkpoint", "{both}", "--out", "/dev/null/x"], "cannot write to --out"),
        (["--checkpoint", "{both}", "--submission", "no.csv"], "cannot be read"),
        (["--checkpoint", "{both}", "--out", "gs://b/out"], "is in a bucket"),
        (["--checkpoint", ""], "a folder's name is empty"),
        ([], "--checkpoint"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    nets, photos, tmp_path, args, sentence, capsys
):
    args = [arg.format(**nets) for arg in args]
    out = [] if "--out" in args else ["--out", tmp_path / "out"]
    assert sentence in refused(capsys, photos / "b.png", *args, *out)
    assert not (tmp_path / "out").exists()


def test_an_input_without_a_name_is_a_mistake(nets, tmp_path, capsys):
    """As of a shell's variable that is not set; it is not the current folder."""
    args = ["", "--checkpoint", nets["both"], "--out", tmp_path / "out"]
    assert "a photo, folder or CSV is empty" in refused(capsys, *args)


def test_of_many_failures_ten_are_named_and_the_others_counted():
    bad = {f"{k}.png": "no face found." for k in range(12)}
    told = str(predict.failure(bad, 3))
    names = ", ".join(f"{k}.png (no face found)" for k in range(10))
    assert told == f"no prediction for {names} and 2 more; the others are done"
    assert str(predict.failure({"a": "b"}, 0)) == "no prediction for a (b)"


def test_reading_is_told_of_now_and_then(monkeypatch):
    now, said = [0.0], []
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(predict, "time", clock)
    monkeypatch.setattr(predict.logs, "say", said.append)
    tell = predict.progress()
    for now[0], done in ((9.0, 900), (11.0, 1100), (12.0, 1200), (22.0, 2200)):
        tell(done)
    assert said == ["1,100 inputs read", "2,200 inputs read"]


def test_without_a_detector_photos_may_be_taken_whole(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    args = ["--checkpoint", "pretrained", "a.png", "--out", tmp_path / "out"]
    told = refused(capsys, *args)
    assert "pip install onnxruntime; --faces whole takes each photo as one" in told
    assert not (tmp_path / "out").exists()
