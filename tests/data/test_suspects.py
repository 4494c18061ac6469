"""Laws of suspicious points: what was moved is found, what was not is left alone."""

import numpy as np
import pytest

from emotion_jax.data import suspects

N, P = 400, 6


@pytest.fixture
def shapes():
    """Faces of six points: one shape moved, turned and scaled, and a little noise."""
    rng = np.random.default_rng(1)
    base = np.array([[60, 40], [36, 40], [48, 60], [58, 75], [38, 75], [48, 82]])
    angle, scale = rng.normal(0, 0.1, N), rng.normal(1, 0.08, N)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    moved = (base - 48) @ turn + 48 + rng.normal(0, 3, (N, 1, 2))
    return moved + rng.normal(0, 0.4, (N, P, 2)), np.ones((N, P), bool)


def score(points, known):
    return suspects.times_usual(suspects.distances(points, known))


def test_clean_faces_are_not_suspected(shapes):
    assert score(*shapes).max() < 6


@pytest.mark.parametrize("point", range(P))
def test_a_point_moved_is_the_worst_of_its_face(shapes, point):
    points, known = shapes
    points[17, point] += (6, -4)
    times = score(points, known)
    assert times.max(1).argmax() == 17 and times[17].argmax() == point
    assert times[17, point] > 6


def test_the_distance_is_that_of_the_move(shapes):
    points, known = shapes
    before = suspects.distances(points, known)
    points[17, 2] += (9, 12)
    found = suspects.distances(points, known)[17, 2]
    assert abs(found - 15) < before[17, 2] + 1.0


def test_left_and_right_exchanged_on_a_tenth_of_the_faces_are_found(shapes):
    points, known = shapes
    wrong = np.arange(0, N, 10)
    points[wrong] = points[wrong][:, [1, 0, 2, 3, 4, 5]]
    suspected = np.flatnonzero(score(points, known).max(1) > 6)
    assert suspected.tolist() == wrong.tolist()


def test_missing_points_are_not_judged_and_the_others_still_are(shapes):
    points, known = shapes
    known[100:300, 5] = False
    points[~known] = 0
    points[150, 3] += (8, 0)
    found = suspects.distances(points, known)
    np.testing.assert_array_equal(np.isnan(found), ~known)
    times = suspects.times_usual(found)
    assert times[150].argmax() == 3 and times[150, 3] > 6
    assert times[100:300, 5].max() == 0


def test_too_few_points_or_faces_judge_nothing(shapes):
    points, known = shapes
    known[7, 3:] = False
    assert np.isnan(suspects.distances(points, known)[7]).all()
    assert suspects.enough(known) and not suspects.enough(known[: suspects.FEWEST - 1])
