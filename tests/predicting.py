"""Runs predict, and reads the tables that it wrote."""

import csv
from pathlib import Path

from emotion_jax import predict
from emotion_jax.cli import run


def predicted(out: Path, *args) -> list[dict]:
    """The rows of predictions.csv; `args` are the command line without --out."""
    assert run(predict.main, [*map(str, args), "--out", str(out)]) == 0
    return rows_of(out / "predictions.csv")


def rows_of(file: Path) -> list[dict]:
    """A CSV's rows, by column."""
    with open(file) as opened:
        return list(csv.DictReader(opened))
