"""Laws of the numbers: scikit-learn's where it has them, literals where it does not."""

import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn import metrics as sk

from emotion_jax import scores

NAMES = ("a", "b", "c", "d")


def random_answers(n=200, seed=0):
    """Logits and true classes; every class occurs and none is guessed perfectly."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, n)
    logits = rng.normal(size=(n, 4)).astype(np.float32)
    logits[np.arange(n), truth] += 1
    return logits, truth


def test_the_numbers_are_scikit_learns():
    logits, truth = random_answers()
    guess = logits.argmax(-1)
    found = scores.classification(logits, truth, NAMES)
    assert found["n"] == 200
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(truth, guess))
    assert found["macro_f1"] == pytest.approx(
        sk.f1_score(truth, guess, average="macro")
    )
    assert found["balanced_accuracy"] == pytest.approx(
        sk.balanced_accuracy_score(truth, guess)
    )
    each = sk.precision_recall_fscore_support(truth, guess)
    for part, values in zip(("precision", "recall", "f1", "support"), each):
        for name, value in zip(NAMES, values):
            assert found[f"{part}/{name}"] == pytest.approx(value), (part, name)


def test_nll_and_top2_are_what_numpy_says():
    logits, truth = random_answers()
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(1, keepdims=True)
    best = np.argsort(-p, axis=1)[:, :2]
    found = scores.classification(logits, truth, NAMES)
    assert found["nll"] == pytest.approx(-np.log(p[np.arange(200), truth]).mean())
    assert found["top2"] == pytest.approx((best == truth[:, None]).any(1).mean())


def test_ece_is_the_weighted_gap_of_each_bin():
    # Bin (0.6, 2/3]: 0.62 and 0.66, one hit of two: |1.28 - 1|. Bin (0.8, 13/15]: 0.85.
    found = scores.ece(np.array([0.62, 0.66, 0.85]), np.array([True, False, True]))
    assert found == pytest.approx((0.28 + 0.15) / 3)


def test_gaps_of_a_bin_cancel_and_those_of_two_bins_do_not():
    hit = np.array([True, False])
    assert scores.ece(np.array([0.5, 0.5]), hit) == 0
    assert scores.ece(np.array([0.5, 0.9]), hit) == pytest.approx((0.5 + 0.9) / 2)


@pytest.mark.parametrize("edge, below, above", [(0.2, 0.15, 0.25), (0.6, 0.55, 0.65)])
def test_a_bin_holds_its_upper_edge(edge, below, above):
    hit = np.array([True, False])
    one_bin = abs(edge + below - 1) / 2
    two_bins = (1 - edge + above) / 2
    assert scores.ece(np.array([edge, below]), hit) == pytest.approx(one_bin)
    assert scores.ece(np.array([edge, above]), hit) == pytest.approx(two_bins)


def test_the_last_bin_holds_one_and_the_first_holds_zero():
    assert scores.ece(np.array([1.0, 0.95]), np.array([False, True])) == pytest.approx(
        0.95 / 2
    )
    assert scores.ece(np.array([0.0, 0.05]), np.array([True, False])) == pytest.approx(
        0.95 / 2
    )


def test_without_a_face_every_number_is_none_and_every_count_zero():
    found = scores.classification(np.zeros((0, 2)), np.zeros(0, int), ("a", "b"))
    zeros = {key for key, value in found.items() if value == 0}
    assert zeros == {"n", "support/a", "support/b"}
    assert all(found[key] is None for key in found.keys() - zeros)


def test_a_class_without_a_face_has_no_scores_and_leaves_the_means():
    logits = np.array([[2.0, 0, 1], [2, 0, 1], [0, 2, 1], [0, 1, 2]])
    found = scores.classification(logits, np.array([0, 0, 1, 1]), ("a", "b", "c"))
    assert found["recall/c"] is found["precision/c"] is found["f1/c"] is None
    assert found["support/c"] == 0
    assert found["recall/b"] == 0.5 and found["precision/b"] == 1
    assert found["balanced_accuracy"] == pytest.approx((1 + 1 / 2) / 2)
    assert found["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)


def test_a_class_never_guessed_has_a_precision_of_zero():
    found = scores.classification(
        np.array([[1.0, 0], [1, 0]]), np.array([0, 1]), ("a", "b")
    )
    assert found["precision/b"] == found["f1/b"] == 0


def test_a_class_ruled_out_never_wins_and_makes_no_nan():
    logits = np.array([[-np.inf, 0.0, 1.0], [-np.inf, 3.0, 0.0]])
    found = scores.classification(logits, np.array([1, 1]), ("a", "b", "c"))
    assert found["accuracy"] == 0.5 and found["top2"] == 1
    assert np.all(np.isfinite([v for v in found.values() if v is not None]))
    np.testing.assert_array_equal(scores.softmax(logits)[:, 0], 0)


def test_even_a_true_class_ruled_out_gives_finite_numbers():
    logits = np.array([[-np.inf, 0.0, 1.0]])
    found = scores.classification(logits, np.array([0]), ("a", "b", "c"))
    assert found["accuracy"] == 0 and found["top2"] == 0
    assert 100 < found["nll"] < 1000


def test_certainty_that_is_right_costs_nothing_and_not_minus_nothing():
    logits = np.array([[0, -np.inf]])
    assert str(scores.classification(logits, np.array([0]), ("a", "b"))["nll"]) == "0.0"


def test_huge_logits_do_not_overflow():
    p = scores.softmax(np.array([[1e4, 0.0], [-1e4, -1e4]]))
    np.testing.assert_array_equal(p, [[1, 0], [0.5, 0.5]])


def test_the_areas_under_the_curves_are_scikit_learns():
    logits, truth = random_answers()
    found = scores.ranking(logits, truth, NAMES)
    p, one_hot = scores.softmax(logits), np.eye(4, dtype=int)[truth]
    auc = sk.roc_auc_score(one_hot, p, average=None)
    ap = sk.average_precision_score(one_hot, p, average=None)
    for k, name in enumerate(NAMES):
        assert found[f"auc/{name}"] == pytest.approx(auc[k])
        assert found[f"ap/{name}"] == pytest.approx(ap[k])
    assert found["auc"] == pytest.approx(auc.mean())
    assert found["ap"] == pytest.approx(ap.mean())


def test_a_class_that_none_or_all_have_has_no_curve():
    logits, _ = random_answers()
    found = scores.ranking(logits, np.zeros(200, int), NAMES)
    assert set(found.values()) == {None}


def test_declining_the_least_sure_leaves_the_accuracy_of_the_others():
    p = np.array([0.9, 0.6, 0.8, 0.7])  # right, right, wrong, right
    logits = np.log(np.stack([p, 1 - p], 1))
    truth = np.array([0, 0, 1, 0])
    found = scores.choices(logits, truth, ("a", "b"))
    assert found["accuracy@coverage_50"] == 0.5
    assert found["accuracy@coverage_80"] == found["accuracy@coverage_90"] == 0.75
    hit = truth == 0
    np.testing.assert_allclose(scores.by_coverage(p, hit), [1, 1 / 2, 2 / 3, 3 / 4])


def test_every_confusion_is_counted_by_label_and_answer():
    logits = np.eye(3)[[0, 1, 1, 2, 2, 2]]
    found = scores.choices(logits, np.array([0, 0, 1, 0, 2, 2]), ("a", "b", "c"))
    counts = [[found[f"confusion/{x}/{y}"] for y in "abc"] for x in "abc"]
    assert counts == [[1, 1, 1], [0, 1, 0], [0, 0, 2]]
    many = tuple(map(str, range(scores.MOST_CLASSES + 1)))
    found = scores.choices(np.eye(len(many)), np.arange(len(many)), many)
    assert not any(key.startswith("confusion") for key in found)
    found = scores.choices(np.eye(20), np.arange(20), many[:20])
    assert found["confusion/0/0"] == 1 and found["confusion/0/19"] == 0


def sampled(temperature, n=4000):
    """Logits that are too large by a factor, and labels from what they should say."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, 4))
    cumulative = scores.softmax(logits).cumsum(1)
    truth = (rng.random((n, 1)) > cumulative).sum(1).clip(0, 3)
    return np.float32(logits * temperature), truth


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_is_by_what_logits_are_too_large(temperature):
    found = scores.fit_temperature(*sampled(temperature))
    assert found == pytest.approx(temperature, rel=0.1)


def test_the_temperature_is_where_the_likelihoods_derivative_is_zero():
    z, truth = sampled(2.0)
    z = z.astype(np.float64)

    def slope(inverse):  # of the mean NLL by 1 / temperature
        p = scores.softmax(z * inverse)
        return ((p * z).sum(1) - z[np.arange(len(z)), truth]).mean()

    expected = 1 / brentq(slope, 0.05, 20, xtol=1e-12)
    assert scores.fit_temperature(z, truth) == pytest.approx(expected, rel=1e-5)


def test_a_temperature_lies_within_bounds_and_without_a_face_is_one():
    certain = np.eye(3)[[0, 1, 2]] * 5
    lows = scores.fit_temperature(certain, np.array([0, 1, 2]))
    highs = scores.fit_temperature(certain, np.array([1, 2, 0]))
    assert scores.COLDEST <= lows < 0.2  # from there on, the likelihood is one
    assert highs == pytest.approx(scores.HOTTEST, rel=1e-3)
    assert scores.fit_temperature(np.zeros((0, 3)), np.zeros(0, int)) == 1


def test_a_class_ruled_out_does_not_move_the_temperature():
    logits, truth = sampled(2.0)
    wider = np.concatenate([logits, np.full((len(logits), 1), -np.inf)], 1)
    expected = scores.fit_temperature(logits, truth)
    assert scores.fit_temperature(wider, truth) == pytest.approx(expected)


def test_thirds_go_from_the_weakest_expression_to_the_strongest():
    hit = np.array([True, False, True, True, False, False])
    intensity = np.array([0.9, 0.1, 0.8, 0.5, 0.2, 0.4])
    assert scores.by_thirds(hit, intensity) == {
        "accuracy@weak": 0.0,
        "accuracy@medium": 0.5,
        "accuracy@strong": 1.0,
    }


def test_a_third_without_a_face_is_none():
    found = scores.by_thirds(np.array([True]), np.array([0.5]))
    assert list(found.values()) == [1.0, None, None]


def test_points_by_hand():
    # Face 0: eyes 20 px apart, errors of 5 and 2 px. Face 1: 40 px, only one point
    # known, error 4 px. Face 2: an eye unknown, so it counts for the RMSE alone.
    error = np.array([[[3.0, 4], [0, -2]], [[0, 4], [99, 99]], [[6, 8], [99, 99]]])
    known = np.array([[True, True], [True, False], [True, False]])
    ruler_px = np.array([20, 40, np.nan])
    found = scores.points(error, known, ruler_px, ("a", "b"))
    assert found["n"] == 3
    assert found["rmse_px"] == pytest.approx(np.sqrt((25 + 4 + 16 + 100) / 8))
    assert found["rmse_px/a"] == pytest.approx(np.sqrt((25 + 16 + 100) / 6))
    assert found["rmse_px/b"] == pytest.approx(np.sqrt(4 / 2))
    assert found["bias_x_px"] == (3 + 0 + 0 + 6) / 4
    assert found["bias_y_px"] == (4 - 2 + 4 + 8) / 4
    assert found["nme"] == pytest.approx((5 / 20 + 2 / 20 + 4 / 40) / 3)
    assert found["pck_10"] == pytest.approx(2 / 3)  # a tenth exactly is within
    assert found["failure_10"] == 1 / 2  # and no failure, as that of face 1


def test_a_face_fails_by_the_mean_over_its_known_points():
    # Eyes 10 px apart: of face 0 one point is 1.5 off and one not at all, in the mean
    # 7.5 %; face 1 knows but the one that is off; of face 2 no eye distance is known.
    error = np.array([[[1.5, 0], [0, 0]], [[0, 1.5], [99, 0]], [[9, 9], [9, 9]]])
    known = np.array([[True, True], [True, False], [True, True]])
    ruler_px = np.array([10.0, 10, np.nan])
    assert scores.points(error, known, ruler_px, ("a", "b"))["failure_10"] == 0.5
    faces = scores.of_faces(scores.relative(error, known, ruler_px))
    np.testing.assert_allclose(faces, [0.075, 0.15])


def test_eyes_on_one_spot_are_no_ruler():
    error, known = np.ones((1, 1, 2)), np.ones((1, 1), bool)
    found = scores.points(error, known, np.array([0.0]), ("a",))
    assert found["rmse_px"] == 1 and found["nme"] is found["pck_10"] is None


def test_a_face_without_a_known_point_does_not_count():
    error, known = np.full((2, 2, 2), 3.0), np.array([[True, False], [False, False]])
    found = scores.points(error, known, np.array([10.0, 10.0]), ("a", "b"))
    assert found["n"] == 1 and found["rmse_px"] == 3 and found["rmse_px/b"] is None


def test_without_a_known_point_every_number_is_none():
    error, known = np.ones((2, 1, 2)), np.zeros((2, 1), bool)
    assert scores.points(error, known, np.full(2, 10.0), ("a",)) == {
        "n": 0,
        "rmse_px": None,
        "rmse_px/a": None,
        "bias_x_px": None,
        "bias_y_px": None,
        "nme": None,
        "pck_10": None,
        "failure_10": None,
    }


@pytest.mark.parametrize(
    "key, lower",
    [
        ("emotion/nll", True),
        ("emotion/ece@raw", True),
        ("keypoints/nme@tta", True),
        ("keypoints/rmse_px/nose_tip", True),
        ("keypoints/failure_10", True),
        ("emotion/loss", True),
        ("emotion/accuracy", False),
        ("emotion/accuracy@tta", False),
        ("emotion/recall/happy", False),
        ("keypoints/pck_10", False),
    ],
)
def test_errors_should_be_small_and_scores_large(key, lower):
    assert scores.lower_is_better(key) is lower


@pytest.mark.parametrize(
    "key, expected",
    [
        ("emotion/accuracy", True),
        ("emotion/f1/sad", True),
        ("emotion/nll@raw", True),
        ("keypoints/nme", True),
        ("keypoints/rmse_px/nose_tip", True),
        ("emotion/n", False),
        ("emotion/n@notwins", False),
        ("emotion/support/sad", False),
        ("emotion/confusion/sad/happy", False),
        ("emotion/temperature", False),
        ("keypoints/bias_x_px", False),
        ("keypoints/bias_y_px", False),
    ],
)
def test_counts_and_biases_rank_no_network(key, expected):
    assert scores.ranks(key) == expected
