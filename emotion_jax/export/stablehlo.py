"""StableHLO by `jax.export`: one artifact for CPU, CUDA and TPU, read by jax alone."""

import json

import jax
import jax.export
import numpy as np
from jaxtyping import UInt8

from emotion_jax.evaluate import Outputs, Restored
from emotion_jax.export.program import make_program

PLATFORMS = ("cpu", "cuda", "tpu")


def make(restored: Restored) -> dict[str, bytes]:
    """The files by name: the serialised program, for any number of images, and JSON."""
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


def run(files: dict[str, bytes], image: UInt8[np.ndarray, "n h w 1"]) -> Outputs:
    """What the artifact answers, read back."""
    exported = jax.export.deserialize(bytearray(files["model.stablehlo"]))
    return jax.device_get(exported.call(image))
