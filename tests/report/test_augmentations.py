"""Laws of the sheet of augmentations: draws of the faces given, points with them."""

import dataclasses

import jax
import numpy as np
import tiny
from PIL import Image

from emotion_jax import cli
from emotion_jax.data.photometry import SHAPES
from emotion_jax.data.table import Faces, Split
from emotion_jax.report import augmentations, mosaic
from emotion_jax.tasks import make_tasks

TASKS = make_tasks({"keypoints": {}})


def three() -> Faces:
    table = tiny.faces(3)
    return Faces(
        image=table["image"],
        labels={"keypoints": table["labels"]["keypoints"]},
        known={"keypoints": table["known"]["keypoints"]},
    )


def test_without_augmentations_every_draw_is_the_face_itself():
    faces = three()
    found = augmentations.augmented(faces, TASKS, {}, 2)
    twice = jax.tree.map(lambda table: np.concatenate([table, table]), faces)
    jax.tree.map(np.testing.assert_array_equal, found, twice)


def test_a_draw_moves_the_points_with_the_pixels():
    faces = three()
    found = augmentations.augmented(faces, TASKS, {"flip": {"probability": 1.0}}, 1)
    np.testing.assert_array_equal(found["image"], faces["image"][:, :, ::-1])
    before, after = faces["labels"]["keypoints"], found["labels"]["keypoints"]
    known = faces["known"]["keypoints"][:, 1]  # the right eye is the left one now
    np.testing.assert_allclose(after[known, 0, 0], 23 - before[known, 1, 0], atol=1e-4)


def test_a_configs_sheet_has_the_faces_and_their_draws_below(tmp_path, monkeypatch):
    monkeypatch.setattr(augmentations, "SAMPLES", 2)
    rows, offered = np.array([4, 5, 9]), tiny.offered(3)
    split = Split("keypoints", "", "all", three(), rows, offered, {})
    augmentations.draw_faces(tmp_path / "a.png", split, TASKS, {"flip": {}})
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (4 + 3 * 116, 4 + 3 * 116 + 18)
    captions = []
    monkeypatch.setattr(
        mosaic, "draw", lambda p, image, told, **o: captions.append(told)
    )
    for extra in ({}, {"file": np.array(["a/x.png", "a/y.png", "b/z.png"])}):
        split = dataclasses.replace(split, extra=extra)
        augmentations.draw_faces(tmp_path / "a.png", split, TASKS, {})
    names = ["row 4", "row 5", "row 9"], ["x.png", "y.png", "z.png"]
    assert captions == [[*first, *[""] * 6] for first in names]


def test_a_sheets_folder_is_made_and_one_that_cannot_be_is_told(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(augmentations, "rows", lambda: {"flip": {"flip": {}}})
    (tmp_path / "taken.png").mkdir()
    new, taken = tmp_path / "new" / "a.png", tmp_path / "taken.png"
    assert cli.run(augmentations.main, ["--out", str(new)]) == 0 and new.exists()
    for out, told in (
        (taken, "taken.png in it is a folder"),
        (tmp_path / ("x" * 300) / "a.png", "File name too long"),
        ("gs://bucket/a.png", "is in a bucket, and must be here"),
    ):
        assert cli.run(augmentations.main, ["--out", str(out)]) == 2
        assert told in capsys.readouterr().err


def test_an_override_changes_a_configs_sheet(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(augmentations, "draw", lambda *a: seen.update(a[-1]))
    args = ["--out", str(tmp_path / "a.png"), "--config", "configs/fer5.py"]
    assert cli.run(augmentations.main, [*args, "--config.augment={'blur': {}}"]) == 0
    assert seen == {"blur": {"blur": {}}, "all of them": {"blur": {}}}


def test_the_sheet_is_the_same_each_time_and_shows_every_shape_of_a_cutout():
    assert augmentations.rows() == augmentations.rows()
    assert {f"cutout {name}" for name in SHAPES} < augmentations.rows().keys()
