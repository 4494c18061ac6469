"""Laws of test-time augmentation: every view's answer is told of the face itself."""

import numpy as np
import pytest

from emotion_jax import views
from emotion_jax.tasks import make_tasks

TASKS = make_tasks({"emotion": {}, "keypoints": {}})
SIDE, SPOT = 12, (7, 4)  # x, y of a bright pixel


def spot(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the brightest pixel of each image is."""
    flat = image.reshape(len(image), -1).argmax(1)
    return flat % SIDE, flat // SIDE


def see(image: np.ndarray) -> dict:
    """All points where the pixel is; on the left the first class, else the last."""
    x, y = spot(image)
    points = np.repeat(np.stack([x, y], -1)[:, None], 15, 1)
    logits = np.zeros((len(image), 5))
    logits[x < SIDE / 2, 0] = logits[x >= SIDE / 2, 4] = 9.0
    return {"emotion": np.float32(logits), "keypoints": np.float32(points)}


def face() -> np.ndarray:
    image = np.zeros((1, SIDE, SIDE, 1), np.uint8)
    image[0, SPOT[1], SPOT[0]] = 200
    return image


def test_points_come_back_from_every_view():
    found = views.average(see, TASKS, face())
    expected = np.broadcast_to(np.float32(SPOT), (1, 15, 2))
    np.testing.assert_allclose(found["keypoints"], expected, atol=1e-5)


def test_what_is_left_in_the_mirror_is_the_faces_right():
    task = TASKS["keypoints"]
    points = np.float32(np.arange(30).reshape(1, 15, 2) / 3)
    back = views.turned(points, task, SIDE)
    left, right = map(task.names.index, ("left_eye_center", "right_eye_center"))
    x, y = points[0, right]
    np.testing.assert_allclose(back[0, left], [SIDE - 1 - x, y], rtol=1e-6)


def test_classes_are_the_mean_of_what_ten_views_say():
    """Moved or not, the pixel is on the right; in the mirror on the left."""
    probability = np.exp(views.average(see, TASKS, face())["emotion"])
    top = np.exp(9.0) / (np.exp(9.0) + 4)
    rest = (1 - top) / 4
    both = (top + rest) / 2
    expected = [[both, rest, rest, rest, both]]
    np.testing.assert_allclose(probability, expected, atol=1e-6)


def test_ten_different_views_are_seen():
    seen = []
    views.average(lambda image: seen.append(image.copy()) or see(image), TASKS, face())
    places = {tuple(int(v[0]) for v in spot(image)) for image in seen}
    x, y = SPOT
    plain = {(x, y), (x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)}
    assert len(seen) == 10
    assert places == plain | {(SIDE - 1 - x, y) for x, y in plain}


@pytest.mark.parametrize("move", [(1, 0), (0, -1)])
def test_a_moved_face_repeats_its_edge(move):
    image = np.arange(SIDE * SIDE, dtype=np.uint8).reshape(1, SIDE, SIDE, 1)
    found = views.moved(image, *move)
    assert found.shape == image.shape
    if move == (1, 0):
        np.testing.assert_array_equal(found[:, :, 1:], image[:, :, :-1])
        np.testing.assert_array_equal(found[:, :, 0], image[:, :, 0])
    else:
        np.testing.assert_array_equal(found[:, :-1], image[:, 1:])
        np.testing.assert_array_equal(found[:, -1], image[:, -1])
