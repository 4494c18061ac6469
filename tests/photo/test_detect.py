"""Laws of the detector: what is found, where, and by which looks."""

import importlib.util
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emotion_jax.errors import Mistake
from emotion_jax.photo import crop, detect

ROOT = Path(__file__).parents[2]


def boxes(photo) -> np.ndarray:
    return np.array([crop.frame(face) for face in detect.find(photo)]).reshape(-1, 4)


def test_one_face_is_found_where_it_is(astronaut):
    (face,) = detect.find(astronaut)
    assert face.score > 0.8
    np.testing.assert_allclose(face.corners, [[171, 72], [277, 178]], atol=6)
    right, left, nose, mouth = face.points[:4]
    np.testing.assert_allclose(right, [203, 101], atol=5)
    np.testing.assert_allclose(left, [245, 102], atol=5)
    np.testing.assert_allclose(nose, [221, 126], atol=5)
    np.testing.assert_allclose(mouth, [221, 147], atol=5)


def test_a_mirrored_photo_has_its_face_mirrored(astronaut):
    (face,), (mirror,) = (
        detect.find(p) for p in (astronaut, astronaut[:, ::-1].copy())
    )
    turned = np.stack([512 - mirror.corners[::-1, 0], mirror.corners[:, 1]], -1)
    np.testing.assert_allclose(turned, face.corners, atol=8)


def test_gray_and_several_faces_and_none(astronaut):
    two = np.concatenate([astronaut, astronaut], axis=1)
    found = boxes(two)
    order = found[found[:, 0].argsort()]
    np.testing.assert_allclose(order[1] - order[0], [512, 0, 0, 0], atol=6)
    gray = np.asarray(Image.fromarray(astronaut).convert("L").convert("RGB"))
    np.testing.assert_allclose(boxes(gray), boxes(astronaut), atol=6)
    assert len(boxes(np.full((300, 400, 3), 127, np.uint8))) == 0


def test_a_small_face_in_a_large_photo_needs_a_closer_look(astronaut, monkeypatch):
    photo = np.full((600, 2000, 3), 127, np.uint8)
    small = Image.fromarray(astronaut).resize((160, 160))
    photo[400:560, 1500:1660] = np.asarray(small)
    (found,) = boxes(photo)
    expected = boxes(astronaut)[0] * 160 / 512 + [1500, 400, 0, 0]
    np.testing.assert_allclose(found, expected, atol=6)
    monkeypatch.setattr(detect, "LOOKS", 1)
    assert len(boxes(photo)) == 0


def test_what_a_second_look_does_not_see_is_no_face():
    coffee = pytest.importorskip("skimage.data").coffee()
    scores, _ = detect.look_at(Image.fromarray(coffee), (0, 0, 600, 400))
    assert len(scores) > 0 and detect.find(coffee) == []


def test_anchors_go_row_by_row_of_the_fine_grid_and_then_of_the_coarse():
    found = detect.anchors()
    assert found.shape == (896, 2)
    rows = [0, 1, 2, 32, 511, 512, 517, 518]
    n, m = 1 / 32, 1 / 16
    expected = [[n, n], [n, n], [3 * n, n], [n, 3 * n], [31 * n, 31 * n]]
    expected += [[m, m], [m, m], [3 * m, m]]
    np.testing.assert_allclose(found[rows], expected)


def test_windows_cover_the_photo_overlap_and_end_where_nothing_is_shrunk():
    assert list(detect.windows(600, 600)) == [[(0, 0, 600, 600)]]
    whole, closer = detect.windows(1000, 700)
    assert whole == [(0, 0, 1000, 700)] and detect.places(1000, 400) == [0, 300, 600]
    assert closer == [(x, y, 400, 400) for y in (0, 300) for x in (0, 300, 600)]
    looks = list(detect.windows(4000, 300))
    assert [look[0][2:] for look in looks] == [(4000, 300), (1600, 300), (640, 300)]
    assert {y for look in looks for _, y, _, _ in look} == {0}


def shape(x, y, side) -> np.ndarray:
    return np.array([[x, y], [x + side, y + side]] + [[x, y]] * 6, np.float32)


def test_overlapping_answers_are_one_face_by_their_weighted_mean():
    shapes = np.stack([shape(0, 0, 10), shape(4, 0, 10), shape(40, 0, 10)])
    scores = np.array([0.9, 0.6, 0.7], np.float32)
    found = list(detect.merge(scores, shapes))
    assert [round(face.score, 2) for face in found] == [0.9, 0.7]
    np.testing.assert_allclose(found[0].corners, [[1.6, 0], [11.6, 10]], rtol=1e-5)
    np.testing.assert_allclose(found[1].corners, [[40, 0], [50, 10]])


def test_of_two_faces_one_inside_the_other_the_surer_stays():
    (large,) = detect.merge(np.array([0.6], np.float32), shape(0, 0, 100)[None])
    (small,) = detect.merge(np.array([0.9], np.float32), shape(40, 40, 20)[None])
    (aside,) = detect.merge(np.array([0.5], np.float32), shape(95, 0, 100)[None])
    assert detect.apart([large, small, aside]) == [small, aside]


def test_the_networks_own_side_is_looked_at_and_nothing_smaller():
    assert [look[0][2] for look in detect.windows(640, 640)] == [640, 256]
    assert len(list(detect.windows(638, 638))) == 1


@pytest.fixture
def seen(monkeypatch):
    """What the network is to see in every window, the surest first; the windows."""
    shapes, windows = [], []

    def look_at(picture, window):
        windows.append(window)
        return np.linspace(0.9, 0.6, len(shapes), dtype=np.float32), np.stack(shapes)

    monkeypatch.setattr(detect, "look_at", look_at)
    return shapes, windows


@pytest.mark.parametrize(
    "corner, cut, whole",
    [
        ((0, 0), [(360, 100), (200, 350)], [(-5, 100), (100, -5), (200, 200)]),
        ((600, 300), [(595, 400), (700, 295)], [(960, 400), (700, 660)]),
    ],
)
def test_a_face_cut_by_its_window_is_dropped_and_by_the_photo_kept(
    seen, corner, cut, whole
):
    shapes, _ = seen
    shapes += [shape(*at, 50) for at in (*cut, *whole)]
    photo = Image.new("RGB", (1000, 700))
    scores, found = detect.whole_ones(photo, (*corner, 400, 400))
    np.testing.assert_array_equal(found, shapes[len(cut) :])
    assert len(scores) == len(whole)


def test_a_second_look_is_at_twice_the_box_and_finds_that_face_again(seen):
    shapes, windows = seen
    corners = np.array([[100, 50], [140, 130]], np.float32)
    face = detect.Found(corners, np.zeros((6, 2), np.float32), 0.7)
    shapes += [shape(140, 100, 40), shape(102, 60, 40), shape(100, 95, 40)]
    (again,) = detect.second(Image.new("RGB", (300, 160)), face)
    assert windows == [(40, 10, 160, 150)]  # its lower end is the photo's
    np.testing.assert_array_equal(again.corners, shapes[1][:2])
    shapes[1:] = []
    assert detect.second(Image.new("RGB", (300, 160)), face) == []


def test_a_box_without_an_area_is_a_face_of_its_own():
    shapes = np.stack([shape(3, 3, 0), shape(3, 3, 0)])
    found = detect.merge(np.array([0.9, 0.6], np.float32), shapes)
    assert [round(face.score, 2) for face in itertools.islice(found, 3)] == [0.9, 0.6]


def test_a_missing_onnxruntime_is_told(monkeypatch):
    detect.check()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Mistake, match="pip install onnxruntime"):
        detect.check()


def test_an_installed_package_has_the_network_and_its_licence(tmp_path):
    build = ["setup.py", "-q", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run([sys.executable, *build], cwd=ROOT, check=True)
    there = tmp_path / "emotion_jax" / "photo"
    assert (there / "detector.onnx").read_bytes() == detect.MODEL.read_bytes()
    assert "Apache License" in (there / "detector.LICENSE").read_text()
