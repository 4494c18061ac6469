"""TFLite: one file for LiteRT, on phones and small boards."""

import json
import os
import tempfile
from collections.abc import Mapping

import numpy as np

from emotion_jax.evaluator import Restored
from emotion_jax.export import savedmodel
from emotion_jax.export.program import Reader, make_program

ENTRY = "emotion_jax"  # the name of the file's metadata entry


def make(restored: Restored) -> dict[str, bytes]:
    """The file, in float32, with its metadata as JSON both inside and beside it."""
    program = make_program(restored)
    tf = savedmodel.tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        savedmodel.save(program, folder)
        blob = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=["serving_default"]
        ).convert()
    text = json.dumps(program.metadata, indent=2).encode()
    return {"model.tflite": with_metadata(blob, text), "model.json": text}


def load(files: Mapping[str, bytes]) -> Reader:
    """Loads it in LiteRT, on all cores."""
    from ai_edge_litert.interpreter import Interpreter

    model, cores = files["model.tflite"], os.cpu_count()
    runner = Interpreter(model_content=model, num_threads=cores).get_signature_runner()
    return lambda image: runner(image=image)


def with_metadata(blob: bytes, text: bytes) -> bytes:
    """The model with one more metadata entry."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(blob))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(text, np.uint8)
    entry.name, entry.buffer = ENTRY, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
