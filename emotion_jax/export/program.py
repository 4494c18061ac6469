"""What every export format contains: one function of images, and its metadata."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, UInt8

from emotion_jax import __version__, step
from emotion_jax.data.image import PREPROCESSING
from emotion_jax.evaluator import Restored
from emotion_jax.export.graph import BATCH
from emotion_jax.tasks import alone
from emotion_jax.views import Outputs

Reader = Callable[[UInt8[np.ndarray, "n h w 1"]], Outputs]  # files, once loaded


@dataclasses.dataclass(frozen=True)
class Program:
    """A self-contained network, the same for every format.

    Attributes:
      forward: from uint8[n side side 1] to each task's outputs, by name.
      points: the outputs that are points, in pixels; the others are for classes.
      metadata: what an artifact carries, each value a string.
    """

    forward: Callable[[UInt8[Array, "n h w 1"]], dict[str, Float[Array, "n ..."]]]
    side: int
    points: tuple[str, ...]
    metadata: dict[str, str]

    def trace(self) -> tuple[Any, dict[str, tuple[int, ...]]]:
        """`forward` as a jaxpr for any batch; its outputs' shapes by name, in order."""
        image = jax.ShapeDtypeStruct((BATCH, self.side, self.side, 1), np.uint8)
        jaxpr, answers = jax.make_jaxpr(self.forward, return_shape=True)(image)
        # JAX lists a dict's values in the order of its sorted keys.
        return jaxpr, {name: answers[name].shape for name in sorted(answers)}


def names(restored: Restored, kind: str) -> dict[str, tuple[str, ...]]:
    """The names of the classes or points of each task of a kind."""
    return {n: task.names for n, task in restored.tasks.items() if task.kind == kind}


def make_program(restored: Restored) -> Program:
    """The restored network in float32, from raw gray levels to probabilities."""
    network, meta = restored.evaluator.network, restored.meta
    variables = jax.device_get(restored.variables)
    classes, points = (names(restored, kind) for kind in ("classes", "points"))
    temperature = {name: meta.temperature[name] for name in classes}

    def forward(image: UInt8[Array, "n h w 1"]) -> dict:
        answers = {}
        for name, output in step.forward(network, variables, image).items():
            if name in classes:
                answers[name] = jax.nn.softmax(output / temperature[name])
                answers[f"{name}_logits"] = output
            else:
                answers[name] = output
        return answers

    metadata = {
        "classes": json.dumps(alone(classes)),
        "points": json.dumps(alone(points)),
        "side": str(meta.side),
        "temperature": json.dumps(alone(temperature, none=1.0)),
        "format_version": str(meta.format_version),
        "preprocessing": PREPROCESSING.format(side=meta.side),
        "emotion_jax": __version__,
    }
    return Program(forward, meta.side, tuple(points), metadata)
