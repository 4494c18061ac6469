"""Laws of the mosaic: every face at its place, its points on it."""

import matplotlib
import numpy as np
import pytest
from PIL import Image

from emotion_jax.report import mosaic

TILE, GAP, LINE = 48, mosaic.GAP, mosaic.LINE


def drawn(path, grays, captions, **options):
    """A mosaic of one-gray faces of side 24, as pixels."""
    image = np.zeros((len(grays), 24, 24, 1), np.uint8)
    image += np.array(grays, np.uint8)[:, None, None, None]
    mosaic.draw(path, image, captions, tile=TILE, **options)
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


@pytest.mark.parametrize("heading", ["", "three faces"])
@pytest.mark.parametrize("texts, lines", [("", 0), ("row 7", 1), ("row 7\nglad", 2)])
def test_faces_stand_row_by_row_and_only_what_is_written_takes_room(
    tmp_path, heading, texts, lines
):
    options = {"columns": 2, "heading": heading}
    pixels = drawn(tmp_path / "a.png", [50, 120, 200], ["", texts, ""], **options)
    top = GAP + (LINE if heading else 0)
    below = top + TILE + LINE * lines + GAP
    assert pixels.shape == (below + TILE + GAP, GAP + 2 * (TILE + GAP), 3)
    for gray, x, y in ((50, 0, top), (120, TILE + GAP, top), (200, 0, below)):
        tile = pixels[y : y + TILE, GAP + x : GAP + x + TILE]
        assert np.abs(tile - gray).max() <= 3
    for k in range(lines):  # each line is written, and in its own place
        y = top + TILE + LINE * k
        assert pixels[y : y + LINE, TILE + 2 * GAP :].max() > 150


def test_a_face_is_called_by_the_end_of_its_file_or_else_by_its_row():
    rows, some = np.array([3, 5, 8]), np.array([0, 2])
    assert mosaic.named(rows, {}, some) == ["row 3", "row 8"]
    extra = {"file": np.array(["train/a/14_letters.png", "", "b/Training_10001.jpg"])}
    assert mosaic.named(rows, extra, some) == ["14_letters.png", "…ing_10001.jpg"]


def test_the_users_matplotlib_does_not_stretch_it(tmp_path):
    with matplotlib.rc_context({"savefig.dpi": 150}):
        pixels = drawn(tmp_path / "a.png", [9], [""])
    assert pixels.shape == (TILE + 2 * GAP, TILE + 2 * GAP, 3)


def test_groups_of_columns_stand_apart(tmp_path):
    near = drawn(tmp_path / "a.png", [9] * 4, [""] * 4, columns=4)
    apart = drawn(tmp_path / "b.png", [9] * 4, [""] * 4, columns=4, group=2)
    assert apart.shape[1] == near.shape[1] + 3 * GAP


def test_a_known_point_inside_is_drawn_in_its_sides_color(tmp_path):
    names = ("left_eye_center", "right_eye_center", "nose_tip", "mouth_left_corner")
    assert mosaic.sides(names) == ["left", "right", "middle", "left"]
    points = np.array([[[5.0, 5], [12, 12], [18, 18], [30, 5]]], np.float32)
    known = np.array([[True, False, True, True]])
    options = {"names": names, "points": points, "known": known}
    pixels = drawn(tmp_path / "a.png", [100], [""], columns=1, **options)
    marks = {}
    for side, color in mosaic.SIDES.items():
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        y, x = np.nonzero(np.abs(pixels - rgb).max(-1) < 24)
        marks[side] = (x.mean(), y.mean()) if len(x) else None
    # A point at 5 of 24 stands at (5 + 0.5) * 2 - 0.5 of 48.
    np.testing.assert_allclose(marks["left"], GAP + 10.5, atol=0.6)
    np.testing.assert_allclose(marks["middle"], GAP + 36.5, atol=0.6)
    assert marks["right"] is None


def test_the_points_of_all_labels_are_marked():
    eyes, mouth = np.zeros((3, 2, 2)), np.ones((3, 1, 2))
    known, unknown = np.ones((3, 2), bool), np.zeros((3, 1), bool)
    found = mosaic.marks([(("a", "b"), eyes, known), (("c",), mouth, unknown)])
    assert found["names"] == ["a", "b", "c"] and mosaic.marks([]) == {}
    np.testing.assert_array_equal(found["points"][0], [[0, 0], [0, 0], [1, 1]])
    np.testing.assert_array_equal(found["known"][0], [True, True, False])


@pytest.mark.parametrize("text", ["$5_$", "笑い", "a" * 99])
def test_any_name_can_be_a_caption(tmp_path, text):
    assert drawn(tmp_path / "a.png", [9], [text]).shape[0] == TILE + 2 * GAP + LINE


def test_rows_are_as_few_as_can_be_and_as_even():
    columns = {n: mosaic.even(n) for n in (1, 8, 9, 16, 17, 24, 32)}
    assert columns == {1: 1, 8: 8, 9: 5, 16: 8, 17: 6, 24: 8, 32: 8}


def test_evenly_chosen_rows_have_both_ends_and_no_row_twice():
    rows = np.arange(3, 103)
    some = mosaic.evenly(rows, 12)
    assert len(set(some)) == 12 and (some[0], some[-1]) == (3, 102)
    assert np.ptp(np.diff(some)) <= 1
    assert mosaic.evenly(rows[:5], 12).tolist() == [3, 4, 5, 6, 7]


def test_crosses_are_what_a_network_sees_wherever_it_is_in_the_image(tmp_path):
    crosses = np.array([[[5.0, 5], [40, 40]]], np.float32)
    pixels = drawn(tmp_path / "a.png", [100], [""], columns=1, crosses=crosses)
    rgb = [int(mosaic.CROSS[i : i + 2], 16) for i in (1, 3, 5)]
    y, x = np.nonzero(np.abs(pixels - rgb).max(-1) < 60)
    np.testing.assert_allclose([x.mean(), y.mean()], GAP + 10.5, atol=0.8)


def test_heat_lights_its_places_and_leaves_the_others(tmp_path):
    heat = np.zeros((2, 2, 2), np.float32)
    heat[1, 0, 1] = 1.0  # the second face's upper right
    pixels = drawn(tmp_path / "a.png", [50, 50], ["", ""], columns=2, heat=heat)
    first, second = (pixels[GAP:-GAP, x : x + TILE] for x in (GAP, 2 * GAP + TILE))
    assert np.abs(first - 50).max() <= 3
    assert second[:12, -12:].mean() > 100 and np.abs(second[-12:, :12] - 50).max() <= 6
