"""Kaggle's facial keypoints: 30 coordinates, `Image`, and optionally `person`."""

import math
import re

import numpy as np
from jaxtyping import Float64

from emotion_jax.data import csv_table, prepared
from emotion_jax.data.table import POINTS, Raw

COORDINATES = tuple(f"{point}_{axis}" for point in POINTS for axis in "xy")

# float() would also accept nan, inf, 1_0 and the digits of every script.
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def read(path: str = "") -> Raw:
    """Reads one file, or the prepared set; a point lacking x or y is unknown."""
    if not path:
        return prepared.read("keypoints")
    table = csv_table.read(path, "Image", COORDINATES, ["person"])
    columns = [_coordinates(table, name) for name in COORDINATES]
    points = np.stack(columns, axis=1).reshape(-1, len(POINTS), 2)
    known = ~np.isnan(points).any(axis=2)
    people = table.columns.get("person")
    return Raw(
        source="keypoints",
        path=table.path,
        image=table.image,
        labels={"keypoints": np.where(known[..., None], points, 0).astype(np.float32)},
        known={"keypoints": known},
        names={"keypoints": POINTS},
        person=None if people is None else np.array(people),
    )


def _coordinates(table: csv_table.Table, name: str) -> Float64[np.ndarray, " n"]:
    """One column, NaN where empty."""
    side = table.image.shape[1]
    low, high = -side / 2, side - 1 + side / 2
    values = []
    for row, text in enumerate(table.columns[name]):
        if text and not NUMBER.fullmatch(text):
            problem = f"expected {name} to be a number or empty, got {text[:40]!r}"
            raise table.mistake(row, problem)
        values.append(float(text) if text else math.nan)
        if values[-1] < low or values[-1] > high:
            frame = f"within half a side of the frame, {low:g} to {high:g}"
            raise table.mistake(row, f"expected {name} {frame}, got {text[:40]}")
    return np.array(values)
