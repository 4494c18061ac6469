"""Laws of crops: as the training sets frame a face, whole pixels, edges repeated."""

import numpy as np
import pytest

from emotion_jax.photo import crop, detect

PHOTO = np.arange(6 * 8, dtype=np.uint8).reshape(6, 8, 1)


def test_a_frame_is_a_square_a_little_larger_and_higher_than_the_box():
    corners = np.array([[100, 200], [200, 300]], np.float32)
    face = detect.Found(corners, np.zeros((6, 2), np.float32), 0.9)
    assert crop.frame(face) == (93, 185, 114, 114)


def test_the_frame_of_an_oblong_box_goes_by_the_mean_of_its_sides():
    corners = np.array([[100, 200], [180, 320]], np.float32)
    face = detect.Found(corners, np.zeros((6, 2), np.float32), 0.9)
    assert crop.frame(face) == (83, 195, 114, 114)


def test_inside_the_photo_a_cut_is_a_slice():
    np.testing.assert_array_equal(crop.cut(PHOTO, (2, 1, 5, 4)), PHOTO[1:5, 2:7])


@pytest.mark.parametrize("box", [(-3, -2, 6, 5), (5, 3, 9, 9), (-2, -2, 20, 20)])
def test_outside_of_the_photo_its_edge_is_repeated(box):
    x, y, width, height = box
    padded = np.pad(PHOTO, [(20, 20), (20, 20), (0, 0)], mode="edge")
    expected = padded[y + 20 : y + 20 + height, x + 20 : x + 20 + width]
    np.testing.assert_array_equal(crop.cut(PHOTO, box), expected)
