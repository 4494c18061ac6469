"""Laws of the charts: lengths and places are those of the numbers."""

import numpy as np
import pytest
from PIL import Image

from emotion_jax.data.table import POINTS
from emotion_jax.report import charts


def drawn(path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def where(picture: np.ndarray, k: int, opaque: float = 1.0) -> np.ndarray:
    """The pixels of a color of the palette on white."""
    rgb = np.array([int(charts.PALETTE[k][i : i + 2], 16) for i in (1, 3, 5)])
    return np.abs(picture - (255 + opaque * (rgb - 255))).max(-1) < 6


def test_bars_are_as_long_as_their_numbers_the_first_at_the_top(tmp_path):
    charts.draw_bars(tmp_path / "a.png", {"a_b": 40.0, "c": 80.0}, "percent")
    bars = where(drawn(tmp_path / "a.png"), 0)
    rows = np.flatnonzero(bars.any(1))
    first, last = bars[rows[3]].sum(), bars[rows[-4]].sum()
    assert first > 50 and first == pytest.approx(last / 2, abs=3)


def test_splits_are_stacked_and_their_shares_stand_beside(tmp_path):
    counts = {"a": {"train": 30, "test": 10}, "b": {"train": 10, "test": 20}}
    charts.draw_classes(tmp_path / "a.png", counts, list(counts), ["train", "test"])
    picture = drawn(tmp_path / "a.png")
    row = np.flatnonzero(where(picture, 0).any(1))[3]
    train, test = (np.flatnonzero(where(picture[row], k)) for k in (0, 1))
    assert len(train) == pytest.approx(3 * len(test), abs=5) and len(test) > 20
    assert train.max() < test.min() <= train.max() + 3
    # The dots of train stand at 75 and 25 percent, those of test at 33 and 67.
    right = picture[:, picture.shape[1] // 2 :]
    dots = [np.flatnonzero(where(right, k, 0.85).any(0)) for k in (0, 1)]
    apart = [each.max() - each.min() - 7 for each in dots]
    assert apart[0] == pytest.approx(1.5 * apart[1], rel=0.08)


@pytest.mark.parametrize("known", [False, True])
def test_only_a_point_that_is_known_is_drawn(tmp_path, known):
    points, mean = np.full((3, 15, 2), 10.0), np.full((24, 24), 90, np.uint8)
    mask = np.full((3, 15), known)
    charts.draw_points(tmp_path / "a.png", mean, points, mask, POINTS)
    assert (np.ptp(drawn(tmp_path / "a.png"), -1).max() > 40) == known
