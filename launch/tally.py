"""Runs as tables: a row for each recipe, differences, a page."""

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import lab as labs

from emotion_jax import files
from emotion_jax.report import tables


def row(runs: Sequence[dict]) -> dict:
    """A recipe's runs as one row."""
    values = [run["value"] for run in runs]
    known = [value for value in values if value is not None]
    names = runs[0].get("numbers", {})
    return {
        "recipe": runs[0]["recipe"],
        "metric": runs[0]["metric"],
        "seeds": [run["seed"] for run in runs],
        "values": values,
        "mean": statistics.fmean(known) if len(known) == len(values) else None,
        "spread": statistics.stdev(known) if len(values) == len(known) > 1 else None,
        "numbers": {
            name: statistics.fmean(run["numbers"][name] for run in runs)
            for name in names
            if all(name in run.get("numbers", {}) for run in runs)
        },
        "parameters": runs[0]["parameters"],
        "steps": runs[0]["steps"],
        "seconds": [run["seconds"] for run in runs],
        "hardware": sorted({run["hardware"] for run in runs}),
        "commit": sorted({str(run["commit"]) for run in runs}),
        "jax": sorted({run["jax"] for run in runs}),
        "data": runs[0]["data"],
    }


def rows(lab: labs.Lab) -> list[dict]:
    """A row for each recipe that has a run, the best first, unscored ones last."""
    found = [row(runs) for runs in lab.runs().values()]
    if not found:
        return []
    sign = 1 if labs.better(found[0]["metric"]) is min else -1
    return sorted(
        found, key=lambda r: math.inf if r["mean"] is None else sign * r["mean"]
    )


def write_table(path: Path, found: Iterable[Mapping]) -> None:
    """Writes one JSON line per row."""
    files.write_text(path, "".join(json.dumps(row) + "\n" for row in found))


def difference(one: Sequence[dict], other: Sequence[dict]) -> dict | None:
    """How much more the other recipe scores, seed by seed, with its 95 % interval.

    By Student's t on the differences of paired seeds; None for fewer than two pairs.
    """
    from scipy import stats

    first = {run["seed"]: run["value"] for run in one if run["value"] is not None}
    second = {run["seed"]: run["value"] for run in other if run["value"] is not None}
    gaps = [second[seed] - first[seed] for seed in first.keys() & second.keys()]
    if len(gaps) < 2:
        return None
    mean, error = statistics.fmean(gaps), statistics.stdev(gaps) / len(gaps) ** 0.5
    reach = float(stats.t.ppf(0.975, len(gaps) - 1)) * error
    return {"mean": mean, "low": mean - reach, "high": mean + reach, "pairs": len(gaps)}


def told(gap: Mapping | None) -> str:
    """A difference and its interval, as text."""
    if gap is None:
        return "-"
    return f"{gap['mean']:+.4f} ({gap['low']:+.4f} to {gap['high']:+.4f})"


def number(value: float | None, digits: int = 4) -> str:
    """A number as shown in a table."""
    return "-" if value is None else f"{value:.{digits}f}"


def spread(row: Mapping) -> str:
    """Mean and standard deviation over the seeds."""
    wide = "" if row["spread"] is None else f" ± {row['spread']:.4f}"
    return number(row["mean"]) + wide


def words(recipe: Mapping) -> str:
    """A recipe as one would write it."""
    return " ".join(f"{field}={value}" for field, value in recipe.items()) or "as it is"


def best_table(found: Sequence[Mapping]) -> str:
    """A table of the recipes' numbers, and the recipes."""
    metric = found[0]["metric"]
    others = [name for name in found[0]["numbers"] if name != metric]
    head = [metric, *others, "seeds", "parameters", "seconds a run", "recipe"]
    body = [
        [
            spread(row),
            *(number(row["numbers"].get(name)) for name in others),
            len(row["seeds"]),
            f"{row['parameters']:,}",
            f"{min(row['seconds']):.0f}",
            f"`{words(row['recipe'])}`",
        ]
        for row in found
    ]
    return tables.markdown(head, body)


def compared(names: Sequence[str], runs: Sequence[Sequence[dict]]) -> str:
    """A table of named recipes by their runs, each compared with the first."""
    first, body = runs[0], []
    for name, mine in zip(names, runs, strict=True):
        if not mine:
            continue
        found = row(mine)
        gap = "-" if mine is first else told(difference(first, mine))
        seeds, seconds = len(mine), f"{min(found['seconds']):.0f}"
        body.append([f"`{name}`", spread(found), seeds, gap, seconds])
    metric = first[0]["metric"] if first else "nothing yet"
    beside = "more than the first (95 % of paired seeds)"
    return tables.markdown(["recipe", metric, "seeds", beside, "seconds a run"], body)
