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


def names(restored: Restored, kind: str) -> str:
    """The names of the task of a kind as a JSON list; of several, a list by task."""
    found = {n: t.names for n, t in restored.tasks.items() if t.kind == kind}
    return json.dumps(found if len(found) > 1 else next(iter(found.values()), ()))


def make_program(restored: Restored) -> Program:
    """The restored network in float32, from raw gray levels to probabilities."""
    network, meta = restored.evaluator.network, restored.meta
    variables = jax.device_get(restored.variables)
    kinds = {name: task.kind for name, task in restored.tasks.items()}

    def forward(image: UInt8[Array, "n h w 1"]) -> dict:
        answers = {}
        for name, output in step.forward(network, variables, image).items():
            if kinds[name] == "classes":
                answers[name] = jax.nn.softmax(output / meta.temperature)
                answers[f"{name}_logits"] = output
            else:
                answers[name] = output
        return answers

    metadata = {kind: names(restored, kind) for kind in ("classes", "points")} | {
        "side": str(meta.side),
        "temperature": str(meta.temperature),
        "format_version": str(meta.format_version),
        "preprocessing": PREPROCESSING.format(side=meta.side),
        "emotion_jax": __version__,
    }
    points = tuple(name for name, kind in kinds.items() if kind == "points")
    return Program(forward, meta.side, points, metadata)
