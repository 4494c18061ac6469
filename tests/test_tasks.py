"""Laws of the tasks together: masks, sums, learned weights, mirrors, sections."""

from functools import partial
from types import SimpleNamespace

import by_hand
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from emotion_jax import losses, tasks
from emotion_jax.data.table import POINTS, SEVEN
from emotion_jax.errors import Mistake
from emotion_jax.models import make_network
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


def test_names_are_listed_as_a_sentence_has_them():
    assert [tasks.listed("abc"[:k]) for k in range(4)] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


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
        ({"emotion": {"classes": 6}}, "tuple of at least two different names, got 6"),
        ({"keypoints": {"classes": 5}}, "unknown field of config.tasks.keypoints"),
        (
            {"emotion": {"weight": "lernt"}},
            "tasks.emotion.weight is at least 0, or \"learned\"; got 'lernt'",
        ),
        (
            {"keypoints": {"weight": ""}},
            "tasks.keypoints.weight is at least 0, or \"learned\"; got ''",
        ),
        ({"emotion": {"weight": -1.0}}, 'weight is at least 0, or "learned"; got -1.0'),
        ({"emotion": {"focal_gamma": -1.0}}, "wants focal_gamma of at least 0"),
        ({"emotion": {"label_smoothing": 1.0}}, "label_smoothing in [0, 1), got 0.0"),
        ({"keypoints": {"delta_px": 0.0}}, "delta_px is 0.0, must be above 0"),
        (
            {"emotion": {"class_weights": "invers"}},
            "unknown config.tasks.emotion.class_weights 'invers'; "
            "did you mean inverse? (known: inverse, effective)",
        ),
        (
            {"emotion": {"class_weights": (1.0, 2.0)}},
            "tasks.emotion.class_weights has 2 weights for 5 classes, at least 0 each",
        ),
        (
            {"emotion": {"class_weights": (1.0, 1.0, 1.0, 1.0, -1.0)}},
            "tasks.emotion.class_weights has 5 weights for 5 classes, at least 0 each",
        ),
        (
            {"emotion": {"class_weights": (0.0,) * 5}},
            "tasks.emotion.class_weights has 5 weights for 5 classes, at least 0 each",
        ),
        (
            {"keypoints": {"loss": "wingg"}},
            "unknown config.tasks.keypoints.loss 'wingg'; did you mean wing? "
            "(known: squared, smooth_l1, wing, heatmap)",
        ),
        (
            {"keypoints": {"loss": "heatmap", "head": "flat"}},
            "tasks.keypoints.loss is 'heatmap', which needs the head 'heatmap', "
            "got 'flat'",
        ),
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


def split(labels, known):
    return SimpleNamespace(faces={"labels": labels, "known": known})


def test_counts_are_of_the_known_faces_of_all_splits():
    hard = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    votes = np.array([[0.6, 0.4, 0], [0.7, 0.3, 0]], np.float32)
    splits = {
        "first": split({"emotion": hard}, {"emotion": np.array([True] * 3 + [False])}),
        "second": split({"emotion": votes}, {"emotion": np.array([True, True])}),
        "no label": split({"emotion": hard}, {"emotion": np.zeros(4, bool)}),
    }
    emotion = Emotion(("a", "b", "c"), weight=2.0, class_weights="inverse")
    before = {"emotion": emotion, "keypoints": Keypoints()}
    after = tasks.with_counts(before, splits.values(), np.full(10, 0.4))
    # 2 + 1.3, 1 + 0.7 and no faces, which weigh 1 on average.
    assert after["emotion"].class_weights == pytest.approx((5 / 6.6, 5 / 3.4, 0))
    assert after["emotion"].weight == 2.0 and emotion.class_weights == "inverse"
    assert after["keypoints"] == before["keypoints"]
    none = tasks.with_counts(before, [splits["no label"]], np.full(4, 0.4))
    assert none["emotion"].class_weights == ""  # there is nothing to weigh


@pytest.mark.parametrize("kind", ["inverse", "effective"])
def test_a_face_counts_as_often_as_batches_have_it(kind):
    label, n = np.eye(2, dtype=np.float32), 1000
    first = split({"emotion": label[[0, 0] * n]}, {"emotion": np.ones(2 * n, bool)})
    known = {"emotion": np.array([False, True, True, True, True] * n)}
    second = split({"emotion": label[[0, 0, 1, 1, 1] * n]}, known)
    before = {"emotion": Emotion(("a", "b"), class_weights=kind)}
    per_step = np.array([0.02] * 2 * n + [0.005] * 5 * n)
    found = tasks.with_counts(before, [first, second], per_step)["emotion"]
    # 45 and 15 of a step's 60 known labels; in all there are 6,000.
    expected = losses.class_weights(kind, np.array([4500.0, 1500.0]))
    np.testing.assert_allclose(found.class_weights, expected, rtol=1e-5)


LEARNED = tasks.make_tasks(
    {"emotion": {"weight": "learned"}, "keypoints": {"weight": "learned"}}
)


def test_a_learned_weight_starts_at_one_and_has_a_gradient():
    network = make_network(LEARNED, **tiny.MODEL)
    table = jax.tree.map(jnp.array, tiny.faces(8))
    image = table["image"] / 64.0 - 2
    variables = by_hand.beginning(network, image)
    params = variables["params"]
    learnt = [f"log_variance_{name}" for name in LEARNED]

    @jax.jit
    @partial(jax.value_and_grad, has_aux=True)
    def loss(learnt):
        given = variables | {"params": params | learnt}
        outputs, _ = network.apply(given, image, train=True, mutable=["batch_stats"])
        labels, known = table["labels"], table["known"]
        return tasks.losses_and_metrics(LEARNED, outputs, labels, known, 24)

    (value, metrics), gradient = loss({name: params[name] for name in learnt})
    means = {k: float(t / n) for k, (t, n) in metrics.items()}
    assert value == pytest.approx(means["emotion/loss"] + means["keypoints/loss"])
    for name in LEARNED:
        # exp(-s) loss + s / 2 has this slope at s = 0.
        slope = 0.5 - means[f"{name}/loss"]
        found = gradient[f"log_variance_{name}"]
        assert found == pytest.approx(slope, rel=1e-5) and slope != 0


def test_a_learned_weight_is_one_over_the_noise():
    outputs, labels, known = batch()
    noise = {"emotion": jnp.log(2.0), "keypoints": jnp.log(0.5)}
    outputs["log_variance"] = noise
    loss, metrics = jax.jit(partial(tasks.losses_and_metrics, LEARNED, side=24))(
        outputs, labels, known
    )
    emotion, points = (float(np.divide(*metrics[f"{name}/loss"])) for name in LEARNED)
    expected = emotion / 2 + np.log(2) / 2 + points * 2 - np.log(2) / 2
    assert loss == pytest.approx(expected, rel=1e-5)


def test_a_learned_weight_stays_where_no_label_is_known():
    outputs, labels, known = jax.tree.map(jnp.array, batch())
    known["keypoints"] = jnp.zeros_like(known["keypoints"])

    @jax.jit
    def loss(noise, taught):
        given = outputs | {"log_variance": noise}
        args = LEARNED, given, labels, known, 24, taught
        return tasks.losses_and_metrics(*args)[0]

    slopes = jax.grad(loss)
    noise = {"emotion": jnp.zeros(()), "keypoints": jnp.array(-90.0)}
    found = slopes(noise, {})
    assert found["keypoints"] == 0 != found["emotion"]
    assert np.isfinite(loss(noise, {}))
    taught = {"keypoints": outputs["keypoints"] + 1.0}
    assert slopes(noise | {"keypoints": jnp.zeros(())}, taught)["keypoints"] != 0


@pytest.mark.parametrize("classes", [(), ("calm",), ("calm", "tense", "calm")])
def test_classes_are_two_at_least_and_each_another(classes):
    with pytest.raises(Mistake, match="a tuple of at least two different names"):
        tasks.make_tasks({"emotion": {"classes": classes}})
