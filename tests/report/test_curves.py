"""Laws of the curves: each class is known by its look."""

import numpy as np
import pytest

from emotion_jax.report import curves


@pytest.fixture
def made(monkeypatch):
    """The figures and their axes, as they are drawn."""
    made, figure_of = [], curves.figure_of
    monkeypatch.setattr(
        curves, "figure_of", lambda *a, **k: made.append(figure_of(*a, **k)) or made[-1]
    )
    return made


def test_a_label_without_faces_has_no_shares(tmp_path, made):
    counts = np.array([[3, 1], [0, 0]])
    curves.draw_confusion(tmp_path / "a.png", counts, ["calm", "tense"])
    ((_, axes),) = made
    faces, percent = ([text.get_text() for text in axis.texts] for axis in axes)
    assert faces == ["3", "1", "0", "0"]
    assert percent == ["75", "25", "–", "–"]


def test_of_many_classes_the_drawn_ones_look_apart(tmp_path, made):
    truth = np.repeat(np.arange(16), [*[9] * 2, *[1] * 3, *[9] * 6, 1, 9, 1, 1, 9])
    probability = np.random.default_rng(0).dirichlet(np.ones(16), len(truth))
    names = [f"class {k}" for k in range(16)]
    curves.draw_ranking(tmp_path / "a.png", probability, truth, names)
    (_, (left, _)), *_ = made
    looks = {(line.get_color(), line.get_linestyle()) for line in left.lines[:-1]}
    assert len(looks) == len(left.lines) - 1 == curves.MOST_CURVES
