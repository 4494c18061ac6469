"""Laws of the sheet: a picture that shows labels and predictions, however few faces."""

import numpy as np
import pytest
import tiny
from matplotlib.figure import Figure
from PIL import Image

from emotion_jax.data.table import FIVE, SEVEN, Split
from emotion_jax.report import sheet
from emotion_jax.tasks import TASKS, make_tasks


def draw(path, n, tasks, points_at=None):
    """Draws n faces of one gray; returns the picture's pixels."""
    faces = tiny.faces(n)
    faces["image"][:] = 128
    split = Split("synthetic", "", "val", faces, np.arange(n), tiny.offered(n), {})
    outputs = {
        "emotion": faces["labels"]["emotion"] * 3,
        "keypoints": faces["labels"]["keypoints"],
    }
    if points_at is not None:
        outputs["keypoints"] = np.full_like(outputs["keypoints"], points_at)
    sheet.draw(path, split, outputs, make_tasks(tasks))
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).astype(int)


def count(pixels, color):
    """How many pixels are about of this colour."""
    return int((np.abs(pixels - color).max(-1) < 40).sum())


GRAY, GREEN, RED = (128, 128, 128), (0x35, 0xC7, 0x59), (0xFF, 0x3B, 0x30)


@pytest.fixture(autouse=True)
def four_cells(monkeypatch):
    monkeypatch.setattr(sheet, "ROWS", 2)
    monkeypatch.setattr(sheet, "COLUMNS", 2)


@pytest.mark.parametrize("n", [1, 9])
def test_a_sheet_shows_faces_labels_and_predictions(tmp_path, n):
    pixels = draw(tmp_path / "faces.png", n, {"emotion": {}, "keypoints": {}}, 12.0)
    cells = min(n, 4)
    assert 10_000 * cells < count(pixels, GRAY) < 30_000 * cells
    assert count(pixels, GREEN) > 50 and count(pixels, RED) > 5
    assert count(pixels, (0, 0, 0)) > 100  # the writing


def test_a_sheet_of_classes_has_no_points(tmp_path):
    pixels = draw(tmp_path / "faces.png", 3, {"emotion": {}})
    assert count(pixels, GRAY) > 5000 * 3 and count(pixels, GREEN) == 0


@pytest.fixture
def titles(monkeypatch):
    """What stands above each face of the last sheet."""
    seen, save = [], Figure.savefig

    def note(figure, *args, **options):
        seen[:] = [axis.get_title() for axis in figure.axes]
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", note)
    return seen


@pytest.mark.parametrize(
    "classes, title",
    [
        (FIVE, "happy 40%"),  # e / (e + 4): fear is none of the file's classes
        (SEVEN, "fear 92%"),  # e^4.5 / (e^4.5 + e + 5)
    ],
)
def test_shares_are_after_temperature_and_of_the_files_classes(
    tmp_path, titles, classes, title
):
    faces, happy = tiny.faces(2), np.eye(7, dtype=np.float32)[[3, 3]]
    faces["labels"]["emotion"] = happy
    faces["known"]["emotion"] = np.array([classes == FIVE, False])
    offered = {"emotion": np.tile(np.isin(SEVEN, classes), (2, 1))}
    split = Split("folder", "", "all", faces, np.arange(2), offered, {})
    outputs = {"emotion": 2 * happy + 9 * np.eye(7, dtype=np.float32)[[2, 2]]}
    tasks = make_tasks({"emotion": {"classes": 7}})
    sheet.draw(tmp_path / "faces.png", split, outputs, tasks, {"emotion": 2.0})
    assert titles[:2] == [title, title]


def test_every_class_task_is_told(tmp_path, titles, monkeypatch):
    monkeypatch.setitem(TASKS, "gender", tiny.Gender)
    names, eye = ("woman", "man"), np.eye(2, dtype=np.float32)
    faces, tasks = tiny.faces(1), {"emotion": {"classes": names}, "gender": {}}
    faces["labels"] = {"emotion": eye[:1], "gender": eye[:1]}
    faces["known"] = {name: np.ones(1, bool) for name in tasks}
    offered = tiny.offered(1, dict.fromkeys(tasks, 2))
    split = Split("folder", "", "all", faces, np.arange(1), offered, {})
    outputs = {"emotion": eye[1:] * 99, "gender": eye[:1] * 99}
    sheet.draw(tmp_path / "faces.png", split, outputs, make_tasks(tasks))
    assert titles[0] == "man 100%\nnot woman\nwoman 100%"


def test_a_class_may_be_called_anything(tmp_path, titles):
    faces, names = tiny.faces(1), ("$5_$", "calm")
    faces["labels"]["emotion"] = np.eye(2, dtype=np.float32)[:1]
    offered = tiny.offered(1, {"emotion": 2})
    split = Split("folder", "", "all", faces, np.arange(1), offered, {})
    outputs = {"emotion": np.array([[99, 0]], np.float32)}
    tasks = make_tasks({"emotion": {"classes": names}})
    sheet.draw(tmp_path / "faces.png", split, outputs, tasks)
    assert titles[0] == "$5_$ 100%"
