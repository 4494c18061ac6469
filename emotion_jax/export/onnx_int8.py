"""ONNX with convolutions in 8 bits, calibrated on faces, its cost measured on others."""

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import UInt8

from emotion_jax import logs
from emotion_jax.data.pipeline import concatenate
from emotion_jax.data.sections import load_train_and_val
from emotion_jax.data.table import Split
from emotion_jax.evaluate import Restored, load_splits
from emotion_jax.export import onnx
from emotion_jax.report import tables

MOST = 512  # faces to calibrate on
TOLD = ("accuracy", "macro_f1", "rmse_px", "nme")


def make(restored: Restored, wanted: Sequence[str]) -> dict[str, bytes]:
    """The file; wanted names the faces, default: the run's own val."""
    split = faces_of(restored, wanted)
    rows = np.random.default_rng(0).permutation(len(split))
    count = min(MOST, len(rows) // 2)
    whole = onnx.make(restored)["model.onnx"]
    model = quantise(whole, split.faces["image"][rows[:count]])
    others = take(split, rows[count:])
    cost = {
        name: [numbers_of(restored, blob, others)[name] for blob in (whole, model)]
        for name in headlines(restored, whole, others)
    }
    return {"model.onnx": model}
