"""Laws of a prediction's pictures: a name for each, and every face in its place."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from emotion_jax.inference import Answer, Predictions
from emotion_jax.photo.inputs import Crop
from emotion_jax.report import pictures


def crops_of(file: str, numbers) -> list[Crop]:
    """Faces of one file, each 10 further right, 48 pixels seen as 24."""
    gray = {24: np.zeros((24, 24, 1), np.uint8)}
    return [
        Crop(Path(file), file, (99, 99), (10 * k, 5, 48, 48), gray, number=number)
        for k, number in enumerate(numbers)
    ]


def answers(n: int) -> Predictions:
    """Of n such faces: each happier, all its points at the middle of its box."""
    sure = np.linspace(0.5, 0.9, n, dtype=np.float32)
    points = np.full((n, 2, 2), 23.5, np.float32) + (0, 5)
    points[..., 0] += 10 * np.arange(n)[:, None]
    emotion = np.stack([sure, 1 - sure], -1)
    names = ("nose_tip", "left_eye_center")
    return Predictions(
        {
            "emotion": Answer("classes", ("happy", "sad"), emotion),
            "keypoints": Answer("points", names, np.float32(points)),
        }
    )


def test_a_caption_tells_every_class_tasks_answer():
    feeling = Answer("classes", ("glad", "sad"), np.array([[0.8, 0.2]], np.float32))
    other = dataclasses.replace(feeling, names=("somewhere else", "here"))
    points = Answer("points", ("nose",), np.zeros((1, 1, 2), np.float32))
    found = Predictions({"emotion": feeling, "keypoints": points})
    assert pictures.said(found, 0) == ["glad 80%"]
    found = Predictions({"emotion": feeling, "place": other})
    assert pictures.said(found, 0) == ["emotion glad 80%", "place somewhere else 80%"]
    assert pictures.said(found, 0, 9)[1] == "place somewher… 80%"
    assert pictures.said(Predictions({"keypoints": points}), 0) == []


def test_names_that_differ_in_case_alone_are_two_on_every_disk():
    taken = set()
    names = [pictures.free_name(name, taken) for name in ("a", "A", "a", "b")]
    assert names == ["a", "A-2", "a-3", "b"]


def test_a_sheet_has_a_csvs_first_faces_each_with_its_emotion(monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(pictures.mosaic, "draw", lambda *a, **k: drawn.append((a, k)))
    crops = crops_of("a.csv", [str(k) for k in range(30)])
    pictures.draw(tmp_path, {Path("a.csv"): "a.png"}, crops, answers(30))
    ((path, images, captions), options), *more = drawn
    assert not more and path == tmp_path / "a.png"
    assert len(images) == len(captions) == 24
    assert (captions[0], captions[23]) == ("happy 50%", "happy 82%")
    np.testing.assert_allclose(options["points"], 11.5, atol=1e-4)  # the middle of 24
    assert options["known"].all() and options["names"] == answers(1).points


def test_a_photo_is_drawn_with_each_face_where_it_is(monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(pictures.annotate, "draw", lambda *a: drawn.append(a))
    Image.new("L", (60, 50)).save(tmp_path / "a.png")
    crops, found = crops_of(str(tmp_path / "a.png"), [None, None]), answers(2)
    pictures.draw(tmp_path, pictures.names_of(crops), crops, found)
    ((path, photo, marks, names),) = drawn
    assert (path, photo.shape, names) == (tmp_path / "a.jpg", (50, 60, 3), found.points)
    assert [mark.box for mark in marks] == [crop.box for crop in crops]
    assert [mark.caption for mark in marks] == ["happy 50%", "happy 90%"]
    for mark, points in zip(marks, found.keypoints, strict=True):
        np.testing.assert_array_equal(mark.points, points)
