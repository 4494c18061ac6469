"""Laws of the sheet: which faces it shows, with their labels and predictions."""

from pathlib import Path

import numpy as np
import pytest
import tiny

from emotion_jax.data.table import FIVE, SEVEN, Split
from emotion_jax.report import mosaic, sheet
from emotion_jax.tasks import TASKS, make_tasks

PATH = Path("faces.png")


@pytest.fixture
def drawn(monkeypatch):
    """What is given to the mosaic, instead of a picture."""
    given = {}

    def draw(path, image, captions, **options):
        given.update(options, image=image, captions=captions)

    monkeypatch.setattr(mosaic, "draw", draw)
    return given


def split_of(faces: dict, offered: dict) -> Split:
    """These faces as a split."""
    rows = np.arange(len(faces["image"]))
    return Split("folder", "", "all", faces, rows, offered, {})


@pytest.mark.parametrize("n", [1, 100])
def test_faces_are_spread_over_the_split_with_labels_and_predictions(drawn, n):
    faces, sections = tiny.faces(n), {"emotion": {}, "keypoints": {}}
    labels, known = faces["labels"], faces["known"]
    outputs = {"emotion": labels["emotion"], "keypoints": labels["keypoints"] + 1}
    sheet.draw(PATH, split_of(faces, tiny.offered(n)), outputs, make_tasks(sections))
    some = np.linspace(0, n - 1, min(n, 32)).astype(int)
    for shown, whole in (
        ("image", faces["image"]),
        ("points", labels["keypoints"]),
        ("known", known["keypoints"]),
        ("crosses", outputs["keypoints"]),
    ):
        np.testing.assert_array_equal(drawn[shown], whole[some])
    assert len(drawn["captions"]) == len(some) and all(drawn["captions"])
    assert drawn["columns"] == min(n, 8)
    where = f"folder, split all, {n} {'face' if n == 1 else 'faces'}"
    assert drawn["heading"] == f"{where}: dots are labels, crosses predictions"


@pytest.mark.parametrize("task", ["emotion", "keypoints"])
def test_a_sheet_of_one_kind_lacks_the_other(drawn, task):
    faces = tiny.faces(3)
    split, outputs = split_of(faces, tiny.offered(3)), faces["labels"]
    sheet.draw(PATH, split, outputs, make_tasks({task: {}}))
    assert ("points" in drawn, any(drawn["captions"])) == (
        (False, True) if task == "emotion" else (True, False)
    )
    assert ("dots" in drawn["heading"]) is (task == "keypoints")


@pytest.mark.parametrize(
    "classes, told",
    [
        (FIVE, "happy 40%"),  # e / (e + 4): fear is none of the file's classes
        (SEVEN, "fear 92%"),  # e^4.5 / (e^4.5 + e + 5)
    ],
)
def test_shares_are_after_temperature_and_of_the_files_classes(drawn, classes, told):
    faces, happy = tiny.faces(2), np.eye(7, dtype=np.float32)[[3, 3]]
    faces["labels"]["emotion"] = happy
    faces["known"]["emotion"] = np.array([classes == FIVE, False])
    offered = {"emotion": np.tile(np.isin(SEVEN, classes), (2, 1))}
    outputs = {"emotion": 2 * happy + 9 * np.eye(7, dtype=np.float32)[[2, 2]]}
    tasks = make_tasks({"emotion": {"classes": 7}})
    sheet.draw(PATH, split_of(faces, offered), outputs, tasks, {"emotion": 2.0})
    assert drawn["captions"] == [told, told]


def test_every_class_task_is_told_and_the_label_where_it_is_another(drawn, monkeypatch):
    monkeypatch.setitem(TASKS, "gender", tiny.Gender)
    names, eye = ("woman", "man"), np.eye(2, dtype=np.float32)
    faces, tasks = tiny.faces(1), {"emotion": {"classes": names}, "gender": {}}
    faces["labels"] = {"emotion": eye[:1], "gender": eye[:1]}
    faces["known"] = {name: np.ones(1, bool) for name in tasks}
    split = split_of(faces, tiny.offered(1, dict.fromkeys(tasks, 2)))
    outputs = {"emotion": eye[1:] * 99, "gender": eye[:1] * 99}
    sheet.draw(PATH, split, outputs, make_tasks(tasks))
    assert drawn["captions"] == ["emotion man 100%, is woman\ngender woman 100%"]
