"""TensorFlow's SavedModel, for TensorFlow Serving: made of TensorFlow's own operations.

It is not a wrapped StableHLO program, so it runs without XLA and TFLite can read it.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from emotion_jax.evaluator import Restored
from emotion_jax.export.lower import lower
from emotion_jax.export.program import Program, Reader, make_program
from emotion_jax.export.tf_rules import TENSORFLOW
from emotion_jax.views import Outputs


def tensorflow():
    """TensorFlow, without its log messages about this machine."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow

    return tensorflow


def make(restored: Restored) -> dict[str, bytes]:
    """The folder's files, with the metadata as JSON beside them."""
    program = make_program(restored)
    with tempfile.TemporaryDirectory() as folder:
        save(program, folder)
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(Path(folder).rglob("*"))
            if path.is_file()
        }
    return files | {"model.json": json.dumps(program.metadata, indent=2).encode()}


def load(files: Mapping[str, bytes]) -> Reader:
    """Loads it in TensorFlow."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        loaded = tensorflow().saved_model.load(folder)

    def answer(image: UInt8[np.ndarray, "n h w 1"]) -> Outputs:
        found = loaded.signatures["serving_default"](image=image)
        return {name: value.numpy() for name, value in found.items()}

    return answer


def save(program: Program, folder: str) -> None:
    """Saves two signatures: the outputs for images, and the metadata as strings."""
    tf = tensorflow()
    jaxpr, shapes = program.trace()

    def answer(image):
        image = tf.ensure_shape(image, spec.shape)  # a signature takes any tensor
        return dict(zip(shapes, lower(tf, jaxpr, image, rules=TENSORFLOW), strict=True))

    spec = tf.TensorSpec([None, program.side, program.side, 1], tf.uint8, "image")
    module = tf.Module()
    module.answer = tf.function(answer, input_signature=[spec])
    module.metadata = tf.function(
        lambda: {name: tf.constant(text) for name, text in program.metadata.items()},
        input_signature=[],
    )
    tf.saved_model.save(
        module,
        folder,
        signatures={"serving_default": module.answer, "metadata": module.metadata},
    )
