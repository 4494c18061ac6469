"""How long a format takes, as its own runtime runs it on this CPU."""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

TIMES = ((1, 200), (256, 7))  # faces at once, and how often


def milliseconds(answer: Callable[[np.ndarray], object], image: np.ndarray) -> dict:
    """Medians, by the number of faces at once, once warm."""
    found = {}
    for n, count in TIMES:
        batch, took = image[:n], []
        for _ in range(count + 5):
            before = time.perf_counter()
            answer(batch)
            took.append(1000 * (time.perf_counter() - before))
        found[n] = float(np.median(took[5:]))
    return found


def jitted(files: dict[str, bytes]) -> Callable:
    exported = jax.export.deserialize(bytearray(files["model.stablehlo"]))
    call = jax.jit(exported.call)
    return lambda image: jax.device_get(call(image))


def in_onnxruntime(files: dict[str, bytes]) -> Callable:
    import onnxruntime

    session = onnxruntime.InferenceSession(
        files["model.onnx"], providers=["CPUExecutionProvider"]
    )
    return lambda image: session.run(None, {"image": image})


def in_litert(files: dict[str, bytes]) -> Callable:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(
        model_content=files["model.tflite"], num_threads=os.cpu_count()
    )
    runner = interpreter.get_signature_runner()
    return lambda image: runner(image=image)


def in_tensorflow(files: dict[str, bytes]) -> Callable:
    import tensorflow

    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            place = Path(folder) / name
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(content)
        loaded = tensorflow.saved_model.load(folder)
    signature = loaded.signatures["serving_default"]
    return lambda image: (loaded, signature(image=tensorflow.constant(image)))


SESSIONS = {
    "stablehlo": ("StableHLO, jitted", jitted),
    "onnx": ("ONNX in onnxruntime", in_onnxruntime),
    "onnx-int8": ("ONNX, int8", in_onnxruntime),
    "savedmodel": ("SavedModel in TensorFlow", in_tensorflow),
    "tflite": ("TFLite in LiteRT", in_litert),
}
