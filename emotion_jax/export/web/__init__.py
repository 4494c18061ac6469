"""A page that reads faces in the browser: static files, the same on every server.

The page is copied from page/ as it is; beside it go the network, the face detector,
and onnxruntime-web with its WebAssembly.
"""

import json
from importlib import resources
from pathlib import Path

from emotion_jax.evaluator import Restored
from emotion_jax.export import onnx
from emotion_jax.export.program import names
from emotion_jax.export.web import ort

check = ort.check


def make(restored: Restored, ort_web: Path | None) -> dict[str, bytes]:
    """The folder's files by name."""
    runtime = ort.files(ort_web)  # first: it may fail
    told = {
        "side": restored.meta.side,
        "classes": names(restored, "classes"),
        "points": names(restored, "points"),
        "expressive": any(task.expressive for task in restored.tasks.values()),
    }
    return {
        **page(),
        **detector(),
        **runtime,
        **onnx.make(restored),
        "model.json": json.dumps(told, indent=2).encode(),
    }


def page() -> dict[str, bytes]:
    """The page itself, and the licence of the runtime."""
    folder = resources.files(__name__) / "page"
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def detector() -> dict[str, bytes]:
    """The face detector, and its licence."""
    names = {
        "detector.onnx": "detector.onnx",
        "detector.LICENSE": "LICENSE.detector.txt",
    }
    folder = resources.files("emotion_jax.photo")
    return {written: (folder / name).read_bytes() for name, written in names.items()}
