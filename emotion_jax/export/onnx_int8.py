"""ONNX with 8-bit convolutions, calibrated on some faces, measured on others."""

import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from emotion_jax import logs
from emotion_jax.data.table import Split, concatenate
from emotion_jax.errors import Mistake
from emotion_jax.evaluate import load_splits
from emotion_jax.evaluator import Restored
from emotion_jax.export import onnx
from emotion_jax.report import tables

MOST = 512  # faces to calibrate on
# The heads stay float32: with 256 steps a point would lose a third of a pixel.
QUANTISED = ("Conv", "Add", "MaxPool", "AveragePool")
# Weights use 7 of the 8 bits: on a CPU without VNNI, sums of larger products saturate.
# (fer5 on 700 faces of val: 0.796 in float32, 0.796 with 7 bits, 0.641 with 8.)


def make(restored: Restored, wanted: Sequence[str]) -> dict[str, bytes]:
    """The file; `wanted` names faces as --data does; by default the run's own val."""
    split = concatenate(load_splits(restored, wanted, None if wanted else "val"))
    if len(split) < 2:
        raise Mistake(f"{tables.describe(split)}: int8 is calibrated and measured on 2")
    rows = np.random.default_rng(0).permutation(len(split))
    count = min(MOST, len(rows) // 2)
    whole = onnx.make(restored)["model.onnx"]
    model = quantise(whole, split.faces["image"][rows[:count]])
    rest = split.take(rows[count:])
    before, after = (headlines(restored, blob, rest) for blob in (whole, model))
    faces = f"{len(rest):,} faces of {tables.source(rest)}, split {rest.name}"
    for name, value in before.items():
        logs.say(f"{name}: {value:.4f} in float32, {after[name]:.4f} in int8; {faces}")
    told = {"faces": faces, "float32": before, "int8": after}
    return {"model.onnx": with_metadata(model, whole, json.dumps(told))}


def headlines(restored: Restored, blob: bytes, split: Split) -> dict[str, float]:
    """Each task's main number, computed from onnxruntime's outputs."""
    answers = onnx.load({"model.onnx": blob})(split.faces["image"])
    outputs = {n: answers.get(f"{n}_logits", answers[n]) for n in restored.tasks}
    found = restored.evaluator.report(outputs, split)
    keys = [f"{name}/{task.headline}" for name, task in restored.tasks.items()]
    return {key: found[key] for key in keys if found[key] is not None}


def quantise(blob: bytes, image: UInt8[np.ndarray, "n h w 1"]) -> bytes:
    """The model with its costly nodes in 8 bits, scales calibrated on these faces."""
    from onnxruntime import quantization

    class Calibration(quantization.CalibrationDataReader):
        def __init__(self):
            self.batches = iter(np.array_split(image, -(-len(image) // 64)))

        def get_next(self) -> dict | None:
            batch = next(self.batches, None)
            return None if batch is None else {"image": batch}

    logging.getLogger().addFilter(quiet := lambda record: "pre-proc" not in record.msg)
    try:
        with tempfile.TemporaryDirectory() as folder:
            given, made = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
            given.write_bytes(blob)
            quantization.quantize_static(
                given,
                made,
                Calibration(),
                op_types_to_quantize=list(QUANTISED),
                nodes_to_exclude=exact(blob),
                per_channel=True,
                reduce_range=True,
                activation_type=quantization.QuantType.QUInt8,
            )
            return made.read_bytes()
    finally:
        logging.getLogger().removeFilter(quiet)


def exact(blob: bytes) -> list[str]:
    """The nodes that stay float32 although their kind is quantised.

    Everything from the first transposed convolution on, which is a heat map head, and
    the sums of a variance and an epsilon: for a face without contrast both are small
    compared to other faces', and would be one step of 256 or none.
    """
    from onnx import load_from_string

    nodes = load_from_string(blob).graph.node
    roots = {name for node in nodes if node.op_type == "Sqrt" for name in node.input}
    maps, found = set(), []
    for node in nodes:
        if node.op_type == "ConvTranspose" or maps & set(node.input):
            maps |= set(node.output)
        if (maps | roots) & set(node.output):
            found.append(node.name)
    return found


def with_metadata(blob: bytes, of: bytes, quantization: str) -> bytes:
    """The quantised model with the original's metadata, and what quantisation cost."""
    from onnx import checker, helper, load_from_string

    model = load_from_string(blob)
    metadata = {p.key: p.value for p in load_from_string(of).metadata_props}
    del model.metadata_props[:]
    helper.set_model_props(model, metadata | {"quantization": quantization})
    checker.check_model(model, full_check=True)
    return model.SerializeToString()
