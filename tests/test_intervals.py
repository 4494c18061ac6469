"""Laws of the intervals: those of resampled faces, or of resampled people."""

import numpy as np
import pytest

import emotion_jax.intervals
from emotion_jax.intervals import differences, intervals, resamples


@pytest.fixture(autouse=True)
def as_many_as_a_report_takes(monkeypatch):
    monkeypatch.setattr(emotion_jax.intervals, "RESAMPLES", 1000)


def mean_of(values):
    def numbers(rows):
        mean = float(values[rows].mean()) if len(rows) else None
        return {"accuracy": mean, "n": len(rows), "recall/happy": mean}

    return numbers


def test_the_interval_of_an_accuracy_is_that_of_the_binomial():
    hit = np.arange(400) < 320
    found = intervals(mean_of(hit), np.arange(400))
    assert found.keys() == {"accuracy@low", "accuracy@high"}
    error = 1.96 * np.sqrt(0.8 * 0.2 / 400)
    assert found["accuracy@low"] == pytest.approx(0.8 - error, abs=0.006)
    assert found["accuracy@high"] == pytest.approx(0.8 + error, abs=0.006)


def test_it_is_the_same_every_time_and_of_these_rows_alone():
    hit = np.random.default_rng(0).random(60) < 0.5
    rows = np.flatnonzero(np.arange(60) % 3 == 0)
    first, again = (intervals(mean_of(hit), rows) for _ in range(2))
    assert first == again
    others = np.where(np.isin(np.arange(60), rows), hit, ~hit)
    assert intervals(mean_of(others), rows) == first


def test_a_persons_faces_are_drawn_together_and_nobodys_alone():
    person = np.array(["a", "", "a", "b", "", "a"])
    rows = np.array([0, 1, 2, 3, 4, 5])
    for some in list(resamples(rows, person))[:100]:
        count = np.bincount(some, minlength=6)
        assert count[0] == count[2] == count[5]
        assert count[0] + count[1] + count[3] + count[4] == 4
    unlike = {
        tuple(np.bincount(s, minlength=6)[[1, 4]]) for s in resamples(rows, person)
    }
    assert (1, 0) in unlike and (0, 1) in unlike


def test_few_people_make_a_wide_interval():
    hit = np.repeat([True, False], 100)
    faces = intervals(mean_of(hit), np.arange(200))
    people = intervals(mean_of(hit), np.arange(200), np.repeat(["a", "b"], 100))
    assert (people["accuracy@low"], people["accuracy@high"]) == (0, 1)
    assert faces["accuracy@high"] - faces["accuracy@low"] < 0.2


def test_a_calibration_error_lies_in_its_interval(monkeypatch):
    """Each draw adds what chance adds; a percentile of them as they are lies above."""
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.3, 1.0, 2000)
    hit = rng.random(2000) < sure  # perfectly calibrated
    bins = (sure * 200).astype(int)

    def ece(rows):
        gap = np.bincount(bins[rows], hit[rows] - sure[rows], 200)
        return {"ece": float(np.abs(gap).sum() / len(rows))}

    point = ece(np.arange(2000))["ece"]
    found = intervals(ece, np.arange(2000))
    assert 0 <= found["ece@low"] < point < found["ece@high"] < 2 * point
    monkeypatch.setattr(emotion_jax.intervals, "BIASED", ())
    assert intervals(ece, np.arange(2000))["ece@low"] > point


def test_a_calibration_error_is_never_below_zero():
    """Moved down by the excess of the draws' mean, the lowest of these would be."""

    def ece(rows):
        return {"ece": 0.01 if len(set(rows)) == len(rows) else float(rows[0] % 2)}

    found = intervals(ece, np.arange(9))
    assert found["ece@low"] == 0 < found["ece@high"]


def test_without_a_row_there_is_no_interval():
    found = intervals(mean_of(np.ones(3)), np.array([], int))
    assert found == {"accuracy@low": None, "accuracy@high": None}


def pair(seed: int, n: int = 200, better: float = 0.0):
    """Two networks' hits: on hard faces both fail, the first less often by `better`."""
    rng = np.random.default_rng(seed)
    easy = rng.random(n) < 0.6
    first = easy | (rng.random(n) < 0.2 + better)
    return mean_of(first & (rng.random(n) < 0.9)), mean_of(easy & (rng.random(n) < 0.9))


def test_a_network_differs_from_itself_by_exactly_nothing():
    numbers, _ = pair(0)
    found = differences(numbers, numbers, np.arange(200))
    keys = ("accuracy/difference", "accuracy/low", "accuracy/high")
    assert [found[key] for key in keys] == [0, 0, 0]
    assert found["accuracy"] == found["accuracy/against"]


def test_swapped_networks_have_the_opposite_difference():
    one, two = pair(0)
    person = np.random.default_rng(0).choice(["a", "b", "c", ""], 200)
    for who in (None, person):
        here = differences(one, two, np.arange(200), who)
        there = differences(two, one, np.arange(200), who)
        assert here["accuracy"] == there["accuracy/against"] != here["accuracy/against"]
        for end, other in (("low", "high"), ("difference",) * 2, ("high", "low")):
            swapped = pytest.approx(-there[f"accuracy/{other}"], abs=1e-12)
            assert here[f"accuracy/{end}"] == swapped


def test_the_interval_of_a_difference_is_that_of_paired_faces():
    """Its width is that of the differences of each face, not of two samples' means."""
    rng = np.random.default_rng(0)
    one = rng.random(1000) < 0.7
    two = np.where(rng.random(1000) < 0.05, ~one, one)
    rows = np.arange(1000)
    found = differences(mean_of(one), mean_of(two), rows)
    each = one.astype(float) - two
    half = 1.96 * each.std() / np.sqrt(1000)
    assert found["accuracy/low"] == pytest.approx(each.mean() - half, abs=0.002)
    assert found["accuracy/high"] == pytest.approx(each.mean() + half, abs=0.002)
    alone = intervals(mean_of(one), rows)
    assert alone["accuracy@high"] - alone["accuracy@low"] > 3 * half


@pytest.mark.parametrize("better", [0.0, 0.25])
def test_of_many_intervals_nineteen_in_twenty_hold_the_true_difference(
    monkeypatch, better
):
    monkeypatch.setattr(emotion_jax.intervals, "RESAMPLES", 200)
    true = 0.9 * (0.6 + 0.4 * (0.2 + better)) - 0.9 * 0.6
    found = [differences(*pair(s, 200, better), np.arange(200)) for s in range(200)]
    hold = [one["accuracy/low"] <= true <= one["accuracy/high"] for one in found]
    assert 0.90 <= np.mean(hold) <= 0.99
    if better:  # and it is found nearly always
        assert np.mean([one["accuracy/low"] > 0 for one in found]) > 0.9


def test_people_are_drawn_whole_in_a_comparison_too():
    """One person of two makes the whole difference: nothing is shown of others."""
    one, two = np.repeat([True, False], 100), np.zeros(200, bool)
    person = np.repeat(["a", "b"], 100)
    faces = differences(mean_of(one), mean_of(two), np.arange(200))
    people = differences(mean_of(one), mean_of(two), np.arange(200), person)
    assert faces["accuracy/low"] > 0.4
    assert (people["accuracy/low"], people["accuracy/high"]) == (0, 1)


def test_without_a_row_there_is_no_difference():
    numbers = mean_of(np.ones(3))
    found = differences(numbers, numbers, np.array([], int))
    assert set(found.values()) == {None} and "accuracy/low" in found
