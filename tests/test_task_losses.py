"""Laws of each task's loss and step metrics, in NumPy."""

from functools import partial

import jax
import numpy as np
import pytest

from emotion_jax.tasks import Emotion, Keypoints


def loss_of(task, output, label, known, side):
    return jax.jit(partial(task.loss_of, side=side))(output, label, known)


def metrics_of(task, output, label, known, side):
    return jax.jit(partial(task.metrics, side=side))(output, label, known)


def test_the_loss_of_classes_is_the_cross_entropy_with_the_smoothed_votes():
    logits = np.array([[2.0, 0.5, -1.0], [0.0, 3.0, 1.0]])
    votes = np.array([[1.0, 0, 0], [0.25, 0.5, 0.25]])
    smooth = votes * 0.7 + 0.3 / 3
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    task = Emotion(classes=("a", "b", "c"), label_smoothing=0.3)
    known = np.array([True, False])
    loss, mask = loss_of(task, logits, votes, known, 24)
    np.testing.assert_allclose(loss, -(smooth * log_p).sum(1), rtol=1e-5)
    np.testing.assert_array_equal(mask, [True, False])


def test_the_loss_of_points_is_hubers_in_the_96_pixel_frame():
    # Side 48: every pixel counts two. With delta 4 px, an error of 1 px is half a
    # delta, one of 6 px is three.
    error = np.array([[[1.0, 0.0], [-6.0, 1.0]]], np.float32)
    label = np.full((1, 2, 2), 20.0, np.float32)
    known = np.ones((1, 2), bool)
    loss, mask = loss_of(Keypoints(delta_px=4.0), label + error, label, known, 48)
    np.testing.assert_allclose(loss, [[0.5**2 / 2, (3 - 0.5) + 0.5**2 / 2]], rtol=1e-5)
    assert mask.all()


def test_step_metrics_are_hits_and_squared_pixels_of_the_96_pixel_frame():
    known = np.array([True, True])
    found = metrics_of(Emotion(), np.eye(5)[:2], np.eye(5)[[0, 3]], known, 24)
    np.testing.assert_array_equal(found["accuracy"][0], [1, 0])
    error, known = np.array([[[3.0, 4.0]]]), np.ones((1, 1), bool)
    found = metrics_of(Keypoints(), error, np.zeros((1, 1, 2)), known, 48)
    np.testing.assert_allclose(found["square_px"][0], [[(6**2 + 8**2) / 2]])


def test_a_class_weight_multiplies_the_loss_of_its_faces():
    # 40, 10 and no faces: weights 50/2/40, 50/2/10 and 0.
    logits = np.array([[2.0, 0.5, -1.0], [0.0, 3.0, 1.0], [1.0, 1.0, 0.0]])
    votes = np.array([[1.0, 0, 0], [0, 1.0, 0], [0.25, 0.5, 0.25]])
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    weights = [0.625, 2.5, 0.25 * 0.625 + 0.5 * 2.5]
    options = {"label_smoothing": 0.3, "focal_gamma": 2.0, "class_weights": "inverse"}
    task = Emotion(("a", "b", "c"), **options).counted((40, 10, 0))
    loss, _ = loss_of(task, logits, votes, np.ones(3, bool), 24)
    focal = -((votes * 0.7 + 0.1) * (1 - p) ** 2 * np.log(p)).sum(1)
    np.testing.assert_allclose(loss, weights * focal, rtol=1e-5)


def test_class_weights_given_as_numbers_are_taken_in_their_proportion():
    task = Emotion(("a", "b"), class_weights=[3, 1]).counted([10, 30])
    loss, _ = loss_of(task, np.zeros((2, 2)), np.eye(2), np.ones(2, bool), 24)
    # 3 and 1 weigh (3 * 10 + 1 * 30) / 40 = 1.5 a face.
    np.testing.assert_allclose(loss, np.log(2) * np.array([2, 2 / 3]), rtol=1e-5)


@pytest.mark.parametrize(
    "loss, of_one, of_six",
    [
        ("squared", 1 / 32, 36 / 32),
        ("smooth_l1", 1 / 32, 1.5 - 0.5),
        ("wing", np.log(2.25), 1.5 - 1 + np.log(6)),
    ],
)
def test_every_loss_of_points_adds_up_x_and_y_in_the_frame(loss, of_one, of_six):
    # Side 48 and delta 4 px: 0.5 pixels are 1 px of the frame, 3 are 6.
    output = np.array([[[20.5, 20.0], [17.0, 20.5]]])
    task, label = Keypoints(loss=loss, delta_px=4.0), np.full((1, 2, 2), 20.0)
    found, _ = loss_of(task, output, label, np.ones((1, 2), bool), 48)
    np.testing.assert_allclose(found, [[of_one, of_one + of_six]], rtol=1e-5)


HEATMAP = Keypoints(head="heatmap", loss="heatmap", delta_px=8.0)
MAPS = np.random.default_rng(4).normal(0, 3, (2, 15, 6, 6)).astype(np.float32)


def test_the_loss_of_heat_maps_has_a_gaussian_of_delta_px():
    label = np.random.default_rng(5).uniform(0, 23, (2, 15, 2)).astype(np.float32)
    known = np.random.default_rng(6).random((2, 15)) < 0.8
    loss, mask = loss_of(HEATMAP, MAPS, label, known, 24)
    places = np.arange(6) * 4 + 1.5
    from_x, from_y = (places - label[..., i, None] for i in (0, 1))
    # 8 px of the frame are 2 of these.
    square = from_y[..., :, None] ** 2 + from_x[..., None, :] ** 2
    target = np.exp(-square / 2 / 2**2)
    target /= target.sum((2, 3), keepdims=True)
    share = np.exp(MAPS) / np.exp(MAPS).sum((2, 3), keepdims=True)
    expected = -(target * np.log(share)).sum((2, 3))
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    np.testing.assert_array_equal(mask, known)


@pytest.mark.parametrize("loss", ["smooth_l1", "heatmap"])
def test_heat_maps_are_measured_at_their_mean_places(loss):
    task = Keypoints(head="heatmap", loss=loss)
    share = np.exp(MAPS) / np.exp(MAPS).sum((2, 3), keepdims=True)
    places = np.arange(6) * 4 + 1.5
    x, y = share.sum(2) @ places, share.sum(3) @ places
    label = np.full((2, 15, 2), 10.0)
    found = metrics_of(task, MAPS, label, np.ones((2, 15), bool), 24)
    # Side 24: every pixel counts four.
    expected = 16 * ((x - 10) ** 2 + (y - 10) ** 2) / 2
    np.testing.assert_allclose(found["square_px"][0], expected, rtol=1e-3)


def test_a_loss_of_points_may_be_of_a_heat_maps_mean_places():
    task = Keypoints(head="heatmap", loss="squared", delta_px=4.0)
    even, known = np.zeros((1, 15, 6, 6)), np.ones((1, 15), bool)
    loss, _ = loss_of(task, even, np.full((1, 15, 2), 11.5 + 2), known, 24)
    # 2 pixels are 8 px, two deltas, in x and in y.
    np.testing.assert_allclose(loss, np.full((1, 15), 2 * 2**2 / 2), rtol=1e-4)
