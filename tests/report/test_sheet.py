"""Laws of the sheet: a picture that shows labels and predictions, however few faces."""

import numpy as np
import pytest
import tiny
from PIL import Image

from emotion_jax.data.table import FIVE, Split
from emotion_jax.report import sheet
from emotion_jax.tasks import make_tasks


def draw(path, n, tasks, points_at=None):
    """Draws n faces of one gray; returns the picture's pixels."""
    faces = tiny.faces(n)
    faces["image"][:] = 128
    split = Split("synthetic", "", "val", faces, np.arange(n), FIVE, {})
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
