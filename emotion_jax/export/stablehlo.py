"""StableHLO by `jax.export`: one artifact for CPU, CUDA and TPU that needs only jax."""

import json
from collections.abc import Mapping

import jax
import jax.export
import numpy as np

from emotion_jax.evaluator import Restored
from emotion_jax.export.program import Reader, make_program

PLATFORMS = ("cpu", "cuda", "tpu")


def make(restored: Restored) -> dict[str, bytes]:
    """The files by name: the serialised program for any number of images, and JSON."""
    program = make_program(restored)
    (n,) = jax.export.symbolic_shape("n")
    shape = (n, program.side, program.side, 1)
    exported = jax.export.export(jax.jit(program.forward), platforms=PLATFORMS)(
        jax.ShapeDtypeStruct(shape, np.uint8)
    )
    return {
        "model.stablehlo": bytes(exported.serialize()),
        "model.json": json.dumps(program.metadata, indent=2).encode(),
    }


def load(files: Mapping[str, bytes]) -> Reader:
    """Loads the artifact in JAX."""
    exported = jax.export.deserialize(bytearray(files["model.stablehlo"]))
    call = jax.jit(exported.call)
    return lambda image: jax.device_get(call(image))
