"""Laws of annotated photos: neither tiny nor huge, marks where they belong."""

import numpy as np
import pytest
from PIL import Image

from emotion_jax.data.table import POINTS
from emotion_jax.report import annotate

POINT = np.array([[59.5, 69.5]] * 15, np.float32)


def drawn(tmp_path, size, marks) -> np.ndarray:
    photo = np.full((*size[::-1], 3), 90, np.uint8)
    annotate.draw(tmp_path / "a.jpg", photo, marks, POINTS)
    with Image.open(tmp_path / "a.jpg") as picture:
        return np.asarray(picture).astype(int)


@pytest.mark.parametrize(
    "size, expected",
    [((48, 24), (480, 240)), ((800, 600), (800, 600)), ((40, 3200), (20, 1600))],
)
def test_small_photos_are_enlarged_and_huge_ones_shrunk(tmp_path, size, expected):
    assert drawn(tmp_path, size, []).shape == (*expected[::-1], 3)


@pytest.mark.parametrize("enlarged", [1, 3])
def test_a_box_and_a_point_are_drawn_where_they_are(tmp_path, enlarged):
    size = 480 // enlarged
    box = tuple(v // enlarged for v in (120, 150, 240, 180))
    point = (POINT + 120.5) / enlarged - 0.5  # at 180, 190 of the picture
    found = drawn(tmp_path, (size, size), [annotate.Mark(box, "", point)])
    for y, x in [(150, 240), (330, 240), (240, 120), (240, 360)]:  # middles of edges
        assert found[y - 1 : y + 2, x - 1 : x + 2].max() > 230
    orange = found[188:192, 178:182].reshape(-1, 3).mean(0)
    assert orange[0] - orange[2] > 100 and np.ptp(found[250:270, 200:280]) < 8


@pytest.mark.parametrize(
    "y, height, lines, levels",
    [
        (200, 200, "happy 91%", [179]),  # above the box, by 0.85 of 25
        (200, 200, "emotion happy 91%\nglasses no 80%", [151, 179]),
        (2, 200, "happy 91%", [223]),  # no room above: below
        (30, 200, "emotion happy 91%\nglasses no 80%", [251, 279]),
        (2, 590, "happy 91%", [26]),  # nor below: inside
        (2, 590, "emotion happy 91%\nglasses no 80%", [26, 53]),
    ],
)
def test_a_caption_is_above_its_box_or_below_or_inside(
    tmp_path, y, height, lines, levels
):
    mark = annotate.Mark((100, y, 200, height), lines, None)
    tag = (drawn(tmp_path, (600, 600), [mark])[:, 106:109] > 200).all((1, 2))
    rows = [v for v in np.flatnonzero(tag) if min(abs(v - y), abs(v - y - height)) > 5]
    assert abs(rows[0] - (levels[0] - 15)) <= 3 and abs(rows[-1] - levels[-1] - 15) <= 3
    assert len(rows) == rows[-1] - rows[0] + 1


@pytest.mark.parametrize("corner", [(-60, -80), (-60, 200), (200, -80)])
def test_a_caption_is_in_the_picture_wherever_its_box_begins(tmp_path, corner):
    found = drawn(tmp_path, (600, 600), [annotate.Mark((*corner, 300, 300), "I", None)])
    tag = found[..., 0] > 200
    x, y = max(corner[0], 0), corner[1] + (321 if corner[1] < 0 else -21)
    assert tag[y - 5 : y + 5, x + 3 : x + 25].mean() > 0.6


def test_a_caption_at_the_right_edge_is_as_long_as_elsewhere(tmp_path):
    tags = []
    for x in (200, 560):
        mark = annotate.Mark((x, 300, 40, 40), "surprise 100%", None)
        found = drawn(tmp_path, (600, 600), [mark])
        tags.append((found[274:286] > 200).all(-1).any(0).sum())
    assert tags[0] > 60 and abs(tags[0] - tags[1]) <= 2


def test_marks_that_leave_the_photo_are_cut(tmp_path):
    mark = annotate.Mark((-100, -50, 900, 900), "surprise 50%", POINT - 900)
    assert drawn(tmp_path, (600, 600), [mark]).shape == (600, 600, 3)
