"""Laws of Kaggle's submission: every row of the lookup table answered, or told why."""

import numpy as np
import pytest
from predicting import predicted, rows_of

from emotion_jax import predict
from emotion_jax.cli import run
from emotion_jax.photo.detect import Found

# What contest's lookup table asks for: of which row, and which coordinate.
ASKED = [(1, "nose_tip_y"), (0, "left_eye_center_x"), (1, "nose_tip_x")]


def submitted(contest, *args) -> list[float]:
    """Each row's Location."""
    table = contest / "ask.csv"
    predicted(contest / "out", contest / "test.csv", "--submission", table, *args)
    answers = rows_of(contest / "out" / "submission.csv")
    assert [answer["RowId"] for answer in answers] == ["1", "2", "3"]
    return [float(answer["Location"]) for answer in answers]


def test_a_submission_answers_each_row_of_the_lookup_table(nets, contest):
    found = submitted(contest, "--checkpoint", nets["points"])
    rows = rows_of(contest / "out" / "predictions.csv")
    assert [row["image"].split(":")[-1] for row in rows] == ["5", "9"]
    expected = [np.clip(float(rows[i][name]), 0, 96) for i, name in ASKED]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_answer_lies_in_the_image_wherever_its_face_lies(nets, contest):
    found = submitted(contest, "--checkpoint", nets["points"], "--faces=60,50,20,20")
    rows = rows_of(contest / "out" / "predictions.csv")
    expected = [float(rows[i][name]) for i, name in ASKED]
    assert 20 < min(expected) and max(expected) < 96
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.fixture
def detected(monkeypatch):
    """What the detector finds in each image, to be filled with lists of corners."""
    found = []

    def find(photo):
        points = np.zeros((6, 2), np.float32)
        corners = [np.array(c, np.float32) for c in found.pop(0)]
        return [Found(c, points, 0.9 - 0.1 * i) for i, c in enumerate(corners)]

    monkeypatch.setattr("emotion_jax.photo.detect.find", find)
    monkeypatch.setattr("emotion_jax.photo.detect.check", lambda: None)
    return found


SURE, LESS = [[30, 30], [80, 80]], [[10, 10], [40, 40]]


def test_the_surest_face_of_an_image_is_the_answer(nets, contest, detected):
    args = ["--checkpoint", nets["points"], "--faces", "detect"]
    detected += [[SURE], [SURE]]
    expected = submitted(contest, *args)
    detected += [[SURE, LESS], [SURE, LESS]]
    assert submitted(contest, *args) == expected


def test_an_image_without_a_face_is_told_before_anything_is_written(
    nets, contest, detected, capsys
):
    detected += [[SURE], []]
    args = [contest / "test.csv", "--checkpoint", nets["points"], "--faces", "detect"]
    args += ["--submission", contest / "ask.csv", "--out", contest / "out"]
    assert run(predict.main, list(map(str, args))) == 2
    sentence = "asks for ImageId 9, which has no prediction (no face found); --faces wh"
    assert sentence in capsys.readouterr().err and not (contest / "out").exists()


@pytest.mark.parametrize("same", [False, True])
def test_an_image_of_two_rows_is_told_before_anything_is_written(
    nets, contest, capsys, same
):
    files = [contest / "test.csv", contest / "more.csv"]
    head, *rows = files[0].read_text().splitlines()
    if same:
        files[0].write_text("\n".join([head, *rows, rows[0]]))
        there = f"{files[0]}, row 1, and {files[0]}, row 3,"
    else:
        files[1].write_text("\n".join([head, rows[0]]))
        there = f"{files[0]}, row 1, and {files[1]}, row 1,"
    args = [*files[: 2 - same], "--checkpoint", nets["points"]]
    args += ["--submission", contest / "ask.csv", "--out", contest / "out"]
    assert run(predict.main, list(map(str, args))) == 2
    sentence = f"asks for ImageId 5, which both {there} have"
    assert sentence in capsys.readouterr().err and not (contest / "out").exists()


@pytest.mark.parametrize(
    "net, sentence",
    [("points", "rows below the header"), ("emotion", "no --checkpoint given was")],
)
def test_a_lookup_table_without_rows_is_told(nets, contest, net, sentence, capsys):
    (contest / "ask.csv").write_text("RowId,ImageId,FeatureName,Location\n")
    args = [contest / "test.csv", "--checkpoint", nets[net], "--out", contest / "out"]
    args += ["--submission", contest / "ask.csv"]
    assert run(predict.main, list(map(str, args))) == 2
    assert sentence in capsys.readouterr().err and not (contest / "out").exists()


@pytest.mark.parametrize(
    "net, old, new, sentence",
    [
        ("points", "1,9,", "1,8,", "asks for ImageId 8, which none of the CSVs"),
        ("points", "nose_tip_x", "nose_tip_z", "line 4: the network knows no"),
        ("points", "FeatureName", "Feature", "got no FeatureName"),
        ("emotion", "", "", "asks for keypoints, which no --checkpoint given was"),
    ],
)
def test_a_lookup_table_that_cannot_be_answered_is_told(
    nets, contest, net, old, new, sentence, capsys
):
    ask = contest / "ask.csv"
    ask.write_text(ask.read_text().replace(old, new))
    args = [str(contest / "test.csv"), "--checkpoint", nets[net], "--submission"]
    args += [str(ask), "--out", str(contest / "out")]
    assert run(predict.main, args) == 2
    assert sentence in capsys.readouterr().err and not (contest / "out").exists()
