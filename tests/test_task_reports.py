"""Laws of the reports: renormalised classes, and pixels of the 96-pixel frame."""

import dataclasses

import numpy as np
import pytest

from emotion_jax.data.table import FIVE, SEVEN
from emotion_jax.tasks import Emotion, Keypoints
from emotion_jax.tasks.task import Seen


def all_five(n: int) -> np.ndarray:
    return np.ones((n, 5), bool)


def test_seven_classes_on_data_of_five_are_renormalised_over_the_five():
    rng = np.random.default_rng(0)
    n, task = 60, Emotion(classes=7)
    logits = rng.normal(size=(n, 7)).astype(np.float32)
    five = [SEVEN.index(name) for name in FIVE]
    truth = rng.choice(five, n)
    known, offered = rng.random(n) < 0.9, np.tile(np.isin(SEVEN, FIVE), (n, 1))
    label = np.eye(7, dtype=np.float32)[truth]
    found = task.report(Seen(logits, label, known, 48, offered, {}, 2.0))
    p = np.exp(logits[known] / 2.0)
    p[:, [2, 6]] = 0  # fear and neutral
    p /= p.sum(1, keepdims=True)
    truth = truth[known]
    assert found["n"] == known.sum()
    assert found["accuracy"] == pytest.approx((p.argmax(1) == truth).mean())
    nll = -np.log(p[np.arange(len(truth)), truth]).mean()
    assert found["nll"] == pytest.approx(nll, rel=1e-5)
    assert found["support/fear"] == 0 and found["recall/neutral"] is None


def test_temperature_changes_the_confidence_and_not_the_choice():
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(50, 5)).astype(np.float32)
    label = np.eye(5, dtype=np.float32)[rng.integers(0, 5, 50)]
    seen = Seen(logits, label, np.ones(50, bool), 48, all_five(50))
    plain = Emotion().report(seen)
    hot = Emotion().report(dataclasses.replace(seen, temperature=4.0))
    assert hot["accuracy"] == plain["accuracy"] and hot["ece"] != plain["ece"]
    assert hot["ece@raw"] == pytest.approx(plain["ece"], rel=1e-5)
    assert plain["ece@raw"] == plain["ece"]
    assert hot["nll@raw"] == pytest.approx(plain["nll"])
    assert (plain["temperature"], hot["temperature"]) == (1.0, 4.0)


def test_who_is_surest_is_asked_after_temperature():
    logits = np.array([[2.0, 1.9, -9, -9, -9], [1.0, 0, 0, 0, 0]], np.float32)
    label = np.eye(5, dtype=np.float32)[[1, 0]]  # the first is wrong
    args = logits, label, np.ones(2, bool), 48, all_five(2), {}
    for temperature, accuracy in [(1.0, 0.0), (0.2, 1.0)]:
        found = Emotion().details(Seen(*args, temperature))
        assert found["accuracy@coverage_50"] == accuracy


def test_twins_of_training_faces_are_left_out_of_a_number_of_its_own():
    logits = np.eye(5, dtype=np.float32)[[0, 1, 2, 3]]
    label = np.eye(5, dtype=np.float32)[[0, 1, 2, 4]]
    known = np.array([True, True, False, True])
    args = logits, label, known, 48, all_five(4)
    found = Emotion().report(
        Seen(*args, {"twin": np.array([True, False, False, False])})
    )
    assert (found["n"], found["n@notwins"]) == (3, 2)
    assert found["accuracy"] == 2 / 3 and found["accuracy@notwins"] == 0.5
    found = Emotion().report(Seen(*args, {"twin": np.ones(4, bool)}))
    assert found["n@notwins"] == 0 and found["accuracy@notwins"] is None


def test_known_intensity_gives_the_accuracy_by_thirds():
    logits = np.eye(5, dtype=np.float32)[[0, 1, 2, 3]]
    label = np.eye(5, dtype=np.float32)[[0, 1, 2, 4]]
    known = np.array([True, True, False, True])
    extra = {"intensity": np.array([0.9, 0.5, 0.0, 0.1])}
    found = Emotion().report(Seen(logits, label, known, 48, all_five(4), extra))
    thirds = [found[f"accuracy@{name}"] for name in ("weak", "medium", "strong")]
    assert thirds == [0.0, 1.0, 1.0]


def test_points_are_reported_in_the_96_pixel_frame():
    # Side 48, eyes 15 px apart: 30 px in the frame. Every point is 1.5 px off: 3 px.
    label = np.zeros((2, 15, 2), np.float32)
    label[:, 0], label[:, 1] = [30, 20], [15, 20]
    known = np.ones((2, 15), bool)
    known[1, 0] = False  # face 1 lacks an eye centre: no ruler there
    output = label + np.array([1.5, 0], np.float32)
    output[1] += 100 * ~known[1, :, None]
    seen = Seen(output, label, known, 48, np.ones((2, 15), bool))
    found = Keypoints().report(seen)
    assert found["n"] == 2
    assert found["rmse_px"] == pytest.approx(3 / np.sqrt(2))
    assert found["nme"] == pytest.approx(3 / 30) and found["pck_10"] == 1.0
    output[1, 5] += 50
    again = Keypoints().report(seen)
    assert again["rmse_px"] > 3 and again["nme"] == found["nme"]
