"""Laws of the curves: each class is known by its look."""

import numpy as np

from emotion_jax.report import curves


def test_of_many_classes_the_drawn_ones_look_apart(tmp_path, monkeypatch):
    made, figure_of = [], curves.figure_of
    monkeypatch.setattr(
        curves, "figure_of", lambda *a: made.append(figure_of(*a)) or made[-1]
    )
    truth = np.repeat(np.arange(16), [*[9] * 2, *[1] * 3, *[9] * 6, 1, 9, 1, 1, 9])
    probability = np.random.default_rng(0).dirichlet(np.ones(16), len(truth))
    names = [f"class {k}" for k in range(16)]
    curves.draw_ranking(tmp_path / "a.png", probability, truth, names)
    (_, (left, _)), *_ = made
    looks = {(line.get_color(), line.get_linestyle()) for line in left.lines[:-1]}
    assert len(looks) == len(left.lines) - 1 == curves.MOST_CURVES
