"""TFLite: one file for LiteRT, on phones and small boards."""

import json
import tempfile

import numpy as np
from jaxtyping import UInt8

from emotion_jax.evaluate import Outputs, Restored
from emotion_jax.export import savedmodel
from emotion_jax.export.program import make_program

ENTRY = "emotion_jax"  # of the file's metadata


def make(restored: Restored) -> dict[str, bytes]:
    """The file, in float32, and its metadata as JSON in it and beside it."""
    program = make_program(restored)
    tf = savedmodel.tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        savedmodel.save(program, folder)
        blob = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=["serving_default"]
        ).convert()
    text = json.dumps(program.metadata, indent=2).encode()
    return {"model.tflite": with_metadata(blob, text), "model.json": text}


def run(files: dict[str, bytes], image: UInt8[np.ndarray, "n h w 1"]) -> Outputs:
    """What LiteRT answers."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=files["model.tflite"])
    return interpreter.get_signature_runner()(image=image)


def with_metadata(blob: bytes, text: bytes) -> bytes:
    """The model with one more entry among its metadata."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(blob))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(text, np.uint8)
    entry.name, entry.buffer = ENTRY, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
