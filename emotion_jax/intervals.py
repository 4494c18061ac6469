"""How far a number may be from what other such faces would give."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from emotion_jax.scores import HEADLINES, Numbers

BIASED = ("ece",)
RESAMPLES, PERCENTILES = 1000, (2.5, 97.5)

Measure = Callable[[Int[np.ndarray, " m"]], Numbers]


def intervals(
    numbers: Measure, rows: Int[np.ndarray, " n"], person: np.ndarray | None = None
) -> Numbers:
    """The percentile bootstrap's 95 % interval of each headline number: @low and @high.

    Args:
      numbers: computes the numbers of some rows, which may contain repeats.
      rows: the rows to draw from, as many of them each time.
      person: each row's person, "" where unknown. A person's faces are drawn together,
        because they are alike.
    """
    found: Numbers = {}
    for key, values in draws(numbers, rows, person).items():
        low, high = ends(values.clip(0) if key in BIASED else values)
        found |= {f"{key}@low": low, f"{key}@high": high}
    return found


def differences(
    numbers: Measure,
    others: Measure,
    rows: Int[np.ndarray, " n"],
    person: np.ndarray | None = None,
) -> Numbers:
    """Two networks' headline numbers on the same rows, and how far they differ.

    `accuracy` is the first's, `accuracy/against` the other's, `accuracy/difference` the
    first's less the other's, and its 95 % interval `accuracy/low` to `accuracy/high`.
    The bootstrap is paired: a draw takes the same rows for both, so what makes a face
    hard for both cancels out (the data are pairs: Efron & Tibshirani 1993, 13.3).

    Args:
      numbers, others: compute each network's numbers of some rows.
      rows, person: as for `intervals`.
    """

    def less(some: Int[np.ndarray, " m"]) -> Numbers:
        mine, theirs = numbers(some), others(some)
        pairs = {k: (mine[k], theirs[k]) for k in HEADLINES if k in mine}
        return {
            k: None if None in pair else pair[0] - pair[1] for k, pair in pairs.items()
        }

    mine, theirs, difference = numbers(rows), others(rows), less(rows)
    found: Numbers = {}
    for key, values in draws(less, rows, person).items():
        low, high = ends(values)
        found |= {key: mine[key], f"{key}/against": theirs[key]}
        found |= {f"{key}/difference": difference[key]}
        found |= {f"{key}/low": low, f"{key}/high": high}
    return found


def draws(
    numbers: Measure, rows: Int[np.ndarray, " n"], person: np.ndarray | None
) -> dict[str, Float[np.ndarray, " d"]]:
    """Each headline number's values for resamples of the rows, without unknown ones.

    Chance makes the calibration error too large, and a resample's once more so: its
    draws are shifted down by their mean's excess (Efron & Tibshirani 1993, 10.2).
    """
    whole = numbers(rows)
    drawn = [numbers(some) for some in resamples(rows, person)] or [whole]
    found = {}
    for key in (key for key in HEADLINES if key in whole):
        values = [one[key] for one in drawn if one[key] is not None]
        found[key] = np.array(values, np.float64)
        if key in BIASED and values:
            found[key] += whole[key] - found[key].mean()
    return found


def ends(values: Float[np.ndarray, " d"]) -> tuple[float, float] | tuple[None, None]:
    """Between which 95 % of the values lie; None if there are none."""
    if not len(values):
        return None, None
    low, high = np.percentile(values, PERCENTILES).tolist()
    return low, high


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
