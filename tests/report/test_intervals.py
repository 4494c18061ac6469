"""Laws of the intervals: those of resampled faces, or of resampled people."""

import numpy as np
import pytest

from emotion_jax import report
from emotion_jax.report.intervals import intervals, resamples


@pytest.fixture(autouse=True)
def as_many_as_a_report_takes(monkeypatch):
    monkeypatch.setattr(report.intervals, "RESAMPLES", 1000)


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
    monkeypatch.setattr(report.intervals, "BIASED", ())
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
