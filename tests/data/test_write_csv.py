"""The CSVs of synthetic faces are what the readers read, number for number."""

import csv

import numpy as np
from face_files import resized

from emotion_jax.cli import run
from emotion_jax.data import synthetic, write_csv
from emotion_jax.data.table import POINTS


def rows(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def image_of(text, side):
    return np.array(text.split(), int).reshape(side, side)


def test_write_csv_writes_the_faces_in_three_forms(tmp_path):
    write_csv.write_csv(tmp_path / "new", faces=20, seed=3)
    raw = synthetic.read(faces=20, seed=3)
    emotion = raw.labels["emotion"].argmax(1)
    wanted = [resized(image, 48) for image in raw.image]
    fer, course, points = (
        rows(tmp_path / "new" / name)
        for name in ("fer2013.csv", "icml_face_data.csv", "keypoints.csv")
    )
    assert fer[0] == ["emotion", "pixels", "Usage"]
    assert course[0] == ["emotion", " pixels"]
    assert points[0] == [f"{p}_{a}" for p in POINTS for a in "xy"] + ["Image"]
    assert len(fer) == len(course) == len(points) == 21
    of_seven = [(0, 1, 4, 3, 5)[k] for k in emotion]
    assert [int(row[0]) for row in fer[1:]] == of_seven
    assert [int(row[0]) for row in course[1:]] == emotion.tolist()
    assert [row[2] for row in fer[1:]] == (
        ["Training"] * 16 + ["PublicTest"] * 2 + ["PrivateTest"] * 2
    )
    for i in range(20):
        np.testing.assert_array_equal(image_of(fer[i + 1][1], 48), wanted[i])
        np.testing.assert_array_equal(image_of(course[i + 1][1], 48), wanted[i])
        image = image_of(points[i + 1][30], 96)
        np.testing.assert_array_equal(image, raw.image[i, ..., 0])
        coordinates = np.array(points[i + 1][:30], float).reshape(15, 2)
        np.testing.assert_allclose(coordinates, raw.labels["keypoints"][i], atol=1e-5)
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["fer2013.csv", "icml_face_data.csv", "keypoints.csv"]


def test_the_command_says_in_one_line_what_it_wrote(tmp_path, capsys):
    args = [str(tmp_path), "--faces", "10", "--seed", "2"]
    assert run(write_csv.main, args) == 0
    told = capsys.readouterr().out
    assert told.count("\n") == 1 and "10 faces (seed 2)" in told
    assert len(rows(tmp_path / "keypoints.csv")) == 11


def test_the_command_refuses_too_few_faces_in_a_sentence(tmp_path, capsys):
    assert run(write_csv.main, [str(tmp_path / "none"), "--faces", "3"]) == 2
    assert "at least 10 faces" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_folder_where_a_file_is_to_be_is_a_sentence(tmp_path, capsys):
    (tmp_path / "fer2013.csv").mkdir()
    assert run(write_csv.main, [str(tmp_path), "--faces", "10"]) == 2
    assert "fer2013.csv in it is a folder" in capsys.readouterr().err
