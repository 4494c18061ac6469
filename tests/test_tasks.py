"""Laws of the tasks: their losses in NumPy, masks, mirrors and reports."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from emotion_jax import tasks
from emotion_jax.data.table import FIVE, POINTS, SEVEN
from emotion_jax.errors import Mistake
from emotion_jax.tasks import Emotion, Keypoints

BOTH = tasks.make_tasks({"emotion": {"label_smoothing": 0.1}, "keypoints": {}})


def batch(n=6, side=24):
    """Outputs, labels and masks of n faces."""
    rng = np.random.default_rng(1)
    table = tiny.faces(n, side, seed=2)
    outputs = {
        "emotion": rng.normal(size=(n, 5)).astype(np.float32),
        "keypoints": rng.uniform(0, side, (n, 15, 2)).astype(np.float32),
    }
    return outputs, table["labels"], table["known"]


@jax.jit
def measure(outputs, labels, known):
    return tasks.losses_and_metrics(BOTH, outputs, labels, known, 24)


def test_the_loss_of_classes_is_the_cross_entropy_with_the_smoothed_votes():
    logits = np.array([[2.0, 0.5, -1.0], [0.0, 3.0, 1.0]])
    votes = np.array([[1.0, 0, 0], [0.25, 0.5, 0.25]])
    smooth = votes * 0.7 + 0.3 / 3
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    task = Emotion(classes=("a", "b", "c"), label_smoothing=0.3)
    known = jnp.array([True, False])
    loss, mask = task.loss(jnp.array(logits), jnp.array(votes), known, 24)
    np.testing.assert_allclose(loss, -(smooth * log_p).sum(1), rtol=1e-5)
    np.testing.assert_array_equal(mask, [True, False])


def test_the_loss_of_points_is_hubers_in_the_96_pixel_frame():
    # Side 48: every pixel counts two. With delta 4 px, an error of 1 px is half a
    # delta, one of 6 px is three.
    error = np.array([[[1.0, 0.0], [-6.0, 1.0]]], np.float32)
    label = np.full((1, 2, 2), 20.0, np.float32)
    known = jnp.ones((1, 2), bool)
    loss, mask = Keypoints(delta_px=4.0).loss(
        jnp.array(label + error), jnp.array(label), known, 48
    )
    np.testing.assert_allclose(loss, [[0.5**2 / 2, (3 - 0.5) + 0.5**2 / 2]], rtol=1e-5)
    assert mask.all()


def test_step_metrics_are_hits_and_squared_pixels_of_the_96_pixel_frame():
    known = jnp.array([True, True])
    found = Emotion().metrics(jnp.eye(5)[:2], jnp.eye(5)[jnp.array([0, 3])], known, 24)
    np.testing.assert_array_equal(found["accuracy"][0], [1, 0])
    error = jnp.array([[[3.0, 4.0]]])
    found = Keypoints().metrics(error, jnp.zeros((1, 1, 2)), jnp.ones((1, 1), bool), 48)
    np.testing.assert_allclose(found["square_px"][0], [[(6**2 + 8**2) / 2]])


def test_mirroring_twice_is_no_change():
    once = tasks.mirrored(POINTS)
    assert [once[i] for i in once] == list(range(15))


def test_mirroring_swaps_left_and_right():
    names = ("left_eye_center", "nose_tip", "mouth_right_corner", "right_eye_center")
    assert tasks.mirrored((*names, "mouth_left_corner")) == (3, 1, 4, 0, 2)
    #   eye centres, eye corners, brows, nose, mouth
    swaps = (1, 0, 4, 5, 2, 3, 8, 9, 6, 7, 10, 12, 11, 13, 14)
    assert tasks.mirrored(POINTS) == swaps


def test_tasks_come_in_one_order_with_their_fields():
    made = tasks.make_tasks({"keypoints": {"weight": 0.5}, "emotion": {"classes": 7}})
    assert list(made) == ["emotion", "keypoints"]
    assert made["emotion"].names == SEVEN and made["keypoints"].weight == 0.5
    assert tasks.label_shape(made["emotion"]) == (7,)
    assert tasks.label_shape(made["keypoints"]) == (15, 2)


def test_a_config_may_name_its_own_classes():
    made = tasks.make_tasks({"emotion": {"classes": ("calm", "not")}})["emotion"]
    assert made.names == ("calm", "not")


def test_class_names_may_come_from_json():
    made = tasks.make_tasks({"emotion": {"classes": ["calm", "not"]}})["emotion"]
    assert made.names == ("calm", "not")


@pytest.mark.parametrize(
    "sections, sentence",
    [
        ({}, "config.tasks names none of emotion, keypoints"),
        ({"emotions": {}}, "unknown task 'emotions'; did you mean emotion?"),
        (
            {"emotion": {"smoothing": 0.1}},
            "unknown field of config.tasks.emotion 'smoothing'; "
            "did you mean label_smoothing?",
        ),
        ({"emotion": {"classes": 6}}, "classes is 5, 7 or a tuple of names, got 6"),
        ({"keypoints": {"classes": 5}}, "unknown field of config.tasks.keypoints"),
    ],
)
def test_a_wrong_section_is_told_in_a_sentence(sections, sentence):
    with pytest.raises(Mistake) as error:
        tasks.make_tasks(sections)
    assert sentence in str(error.value)


def test_totals_and_counts_of_two_halves_add_up_to_the_whole():
    whole = batch()
    _, expected = measure(*whole)
    halves = [jax.tree.map(lambda x, s=s: x[s], whole) for s in (np.s_[:2], np.s_[2:])]
    first, second = (measure(*half)[1] for half in halves)
    for key in expected.keys() - {"loss"}:
        for a, b, both in zip(first[key], second[key], expected[key]):
            np.testing.assert_allclose(a + b, both, rtol=1e-5, err_msg=key)


def test_the_loss_is_the_weighted_sum_of_the_means():
    weighted = tasks.make_tasks({"emotion": {"weight": 3.0}, "keypoints": {}})
    measure = jax.jit(lambda *args: tasks.losses_and_metrics(weighted, *args, 24))
    loss, metrics = measure(*batch())
    emotion, points = (t / n for t, n in (metrics[f"{k}/loss"] for k in weighted))
    np.testing.assert_allclose(loss, 3 * emotion + points, rtol=1e-6)
    assert metrics["loss"][0] == loss


def test_what_an_unknown_label_says_changes_nothing():
    outputs, labels, known = batch()
    loss, metrics = measure(outputs, labels, known)
    assert not known["emotion"].all() and not known["keypoints"].all()
    other = {name: label.copy() for name, label in labels.items()}
    for name, label in other.items():
        label[~known[name]] = 7
    again, same = measure(outputs, other, known)
    assert loss == again
    assert jax.tree.all(jax.tree.map(np.array_equal, metrics, same))


def test_where_nothing_is_known_loss_and_gradient_are_zero():
    outputs, labels, known = batch()
    nothing = jax.tree.map(np.zeros_like, known)
    loss = jax.jit(jax.value_and_grad(lambda x: measure(x, labels, nothing)[0]))
    value, gradient = loss(outputs)
    assert value == 0
    for leaf in jax.tree.leaves(gradient):
        np.testing.assert_array_equal(leaf, 0)


def test_seven_classes_on_data_of_five_are_renormalised_over_the_five():
    rng = np.random.default_rng(0)
    n, task = 60, Emotion(classes=7)
    logits = rng.normal(size=(n, 7)).astype(np.float32)
    five = [SEVEN.index(name) for name in FIVE]
    truth = rng.choice(five, n)
    known = rng.random(n) < 0.9
    found = task.report(
        logits, np.eye(7, dtype=np.float32)[truth], known, 48, FIVE, {}, 2.0
    )
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
    args = logits, label, np.ones(50, bool), 48, FIVE, {}
    plain, hot = Emotion().report(*args), Emotion().report(*args, temperature=4.0)
    assert hot["accuracy"] == plain["accuracy"] and hot["ece"] != plain["ece"]
    assert hot["ece@raw"] == pytest.approx(plain["ece"], rel=1e-5)
    assert plain["ece@raw"] == plain["ece"]


def test_known_intensity_gives_the_accuracy_by_thirds():
    logits = np.eye(5, dtype=np.float32)[[0, 1, 2, 3]]
    label = np.eye(5, dtype=np.float32)[[0, 1, 2, 4]]
    known = np.array([True, True, False, True])
    extra = {"intensity": np.array([0.9, 0.5, 0.0, 0.1])}
    found = Emotion().report(logits, label, known, 48, FIVE, extra)
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
    found = Keypoints().report(output, label, known, 48, (), {})
    assert found["n"] == 2
    assert found["rmse_px"] == pytest.approx(3 / np.sqrt(2))
    assert found["nme"] == pytest.approx(3 / 30) and found["pck_10"] == 1.0
    output[1, 5] += 50
    again = Keypoints().report(output, label, known, 48, (), {})
    assert again["rmse_px"] > 3 and again["nme"] == found["nme"]
