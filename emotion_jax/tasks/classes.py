"""Tasks of classes: which of k names a face shows."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from emotion_jax import losses, registry, scores
from emotion_jax.errors import Mistake
from emotion_jax.tasks.task import Seen, Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classes(Task):
    """Which of k names a face shows; the head gives a logit for each.

    Attributes:
      focal_gamma: above 0, faces that are already easy count less.
      class_weights: "", "inverse", "effective", or one weight per class.
      teacher_temperature: softens both distributions (Hinton et al. 2015).
    """

    head: str = "pooled"
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    class_weights: str | Sequence[float] = ""
    teacher_temperature: float = 1.0

    kind: ClassVar[str] = "classes"
    headline: ClassVar[str] = "accuracy"

    def __post_init__(self):
        super().__post_init__()
        if self.teacher_temperature <= 0:
            raise Mistake(
                f"{self.where}.teacher_temperature is {self.teacher_temperature}, "
                "must be above 0"
            )
        if self.focal_gamma < 0 or not 0 <= self.label_smoothing < 1:
            raise Mistake(
                f"{self.where} wants focal_gamma of at least 0 and label_smoothing in "
                f"[0, 1), got {self.focal_gamma} and {self.label_smoothing}"
            )
        given, known = self.class_weights, ("inverse", "effective")
        if isinstance(given, str) and given not in ("", *known):
            raise registry.unknown(f"{self.where}.class_weights", given, known)
        if not isinstance(given, str) and (
            len(given) != len(self.names) or min(given) < 0 or max(given) <= 0
        ):
            raise Mistake(
                f"{self.where}.class_weights has {len(given)} weights for "
                f"{len(self.names)} classes, at least 0 each; got {tuple(given)}"
            )

    def counted(self, counts: Sequence[float]) -> "Classes":
        """The same task, its class weights as numbers for these training faces."""
        weights = ""
        if self.class_weights and any(counts):
            given = losses.class_weights(self.class_weights, np.array(counts, float))
            weights = tuple(given.tolist())
        return dataclasses.replace(self, class_weights=weights)

    def loss_of(
        self,
        output: Float[Array, "b k"],
        label: Float[Array, "b k"],
        known: Bool[Array, " b"],
        side: int,
    ) -> tuple[Float[Array, " b"], Bool[Array, " b"]]:
        """Cross-entropy with the smoothed distribution; and which values count."""
        smooth = optax.smooth_labels(label, self.label_smoothing)
        value = losses.focal(output, smooth, self.focal_gamma)
        if self.class_weights:
            value *= label @ jnp.array(self.class_weights)
        return value, known

    def lesson(
        self, output: Float[Array, "b k"], answer: Float[Array, "b k"], side: int
    ) -> Float[Array, " b"]:
        """Cross-entropy with the teacher's distribution, both at the same temperature.

        Its square keeps the gradient's size (Hinton et al. 2015, 2).
        """
        t = self.teacher_temperature
        return losses.focal(output / t, jax.nn.softmax(answer / t), 0.0) * t**2

    def metrics(self, output, label, known, side: int) -> dict[str, tuple]:
        """(per-example values, mask) of what the step logs besides the loss."""
        hit = output.argmax(-1) == label.argmax(-1)
        return {"accuracy": (hit.astype(jnp.float32), known)}

    def report(self, seen: Seen) -> scores.Numbers:
        """Every number of a classification, after temperature; @raw is before it."""
        logits, truth = self.answers(seen)
        found = scores.classification(logits / seen.temperature, truth, self.names)
        raw = scores.classification(logits, truth, self.names)
        found |= {f"{key}@raw": raw[key] for key in ("ece", "nll")}
        found["temperature"] = seen.temperature
        hit = logits.argmax(-1) == truth
        if "intensity" in seen.extra:
            found |= scores.by_thirds(hit, seen.extra["intensity"][seen.known])
        if "twin" in seen.extra:
            alone = hit[~seen.extra["twin"][seen.known]]
            found["n@notwins"] = len(alone)
            found["accuracy@notwins"] = float(alone.mean()) if len(alone) else None
        return found

    def headlines(self, seen: Seen, rows: Int[np.ndarray, " m"]) -> scores.Numbers:
        """The numbers of some of the faces, after temperature."""
        logits, truth = self.answers(seen.take(rows))
        return scores.classification(logits / seen.temperature, truth, self.names)

    def details(self, seen: Seen) -> scores.Numbers:
        """What a report has in addition: curves' areas, coverage, every confusion."""
        logits, truth = self.answers(seen)
        return scores.choices(logits / seen.temperature, truth, self.names)

    def answers(
        self, seen: Seen
    ) -> tuple[Float[np.ndarray, "m k"], Int[np.ndarray, " m"]]:
        """Logits and true class of the faces whose class is known.

        A model with more classes than a face's source is renormalised over those that
        the source offers.
        """
        labelled = seen.take(seen.known)
        logits = np.where(labelled.offered, labelled.output, -np.inf)
        return logits, labelled.label.argmax(-1)
