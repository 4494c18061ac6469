"""How far a number may be from what other such faces would give."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from emotion_jax.scores import HEADLINES, Numbers

BIASED = ("ece",)
RESAMPLES, PERCENTILES = 1000, (2.5, 97.5)
NONE = (None, None)


def intervals(
    numbers: Callable[[Int[np.ndarray, " m"]], Numbers],
    rows: Int[np.ndarray, " n"],
    person: np.ndarray | None = None,
) -> Numbers:
    """The percentile bootstrap's 95 % interval of each headline number: @low and @high.

    Chance makes the calibration error too large, and a resample's once more so: its
    draws are shifted down by their mean's excess (Efron & Tibshirani 1993, 10.2).

    Args:
      numbers: computes the numbers of some rows, which may contain repeats.
      rows: the rows to draw from, as many of them each time.
      person: each row's person, "" where unknown. A person's faces are drawn together,
        because they are alike.
    """
    whole = numbers(rows)
    drawn = [numbers(some) for some in resamples(rows, person)] or [whole]
    found: Numbers = {}
    for key in (key for key in HEADLINES if key in drawn[0]):
        values = np.array([one[key] for one in drawn if one[key] is not None])
        if key in BIASED and len(values):
            values = (values - values.mean() + whole[key]).clip(0)
        low, high = np.percentile(values, PERCENTILES).tolist() if len(values) else NONE
        found |= {f"{key}@low": low, f"{key}@high": high}
    return found


def resamples(rows: Int[np.ndarray, " n"], person: np.ndarray | None):
    """Draws with replacement, always the same ones; none if there are no rows."""
    rng, n = np.random.default_rng(0), len(rows)
    group = np.arange(n)
    if person is not None:
        named = person[rows] != ""
        group[named] = n + np.unique(person[rows][named], return_inverse=True)[1]
    order, sizes = np.argsort(group, kind="stable"), np.unique_counts(group).counts
    starts = np.cumsum(sizes) - sizes
    for _ in range(RESAMPLES if n else 0):
        chosen = rng.integers(0, len(sizes), len(sizes))
        size = sizes[chosen]
        inside = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        yield rows[order[np.repeat(starts[chosen], size) + inside]]
