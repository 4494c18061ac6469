"""Tasks: what a label is, its loss, its step metrics and its report.

A task declares the kind of its labels: `classes` (a distribution over names) or
`points` (x, y in pixels of the image). The table, the pipeline, the augmentation and
the model's heads read only that declaration, so a third task is one dataclass and a
line in TASKS. `output` below is what the task's head gives: logits, or pixels.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from emotion_jax import losses, registry, scores
from emotion_jax.data.table import FIVE, POINTS, SEVEN
from emotion_jax.errors import Mistake

FRAME = 96  # keypoint errors are in pixels of a frame of this side
CLASSES = {5: FIVE, 7: SEVEN}


@dataclasses.dataclass(frozen=True)
class Emotion:
    """Which of k expressions a face shows.

    Attributes:
      classes: 5, 7, or the names themselves.
      weight: of the loss beside other tasks'; "learned" weighs by uncertainty.
      focal_gamma: above 0, faces that are easy already count less.
      class_weights: "", "inverse", "effective", or a weight a class.
      counts: faces of each class in training; `with_counts` counts them.
    """

    classes: int | Sequence[str] = 5
    head: str = "pooled"
    weight: float | str = 1.0
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    class_weights: str | Sequence[float] = ""
    counts: Sequence[int] = ()

    kind: ClassVar[str] = "classes"
    headline: ClassVar[str] = "accuracy"

    def __post_init__(self):
        if isinstance(self.classes, int):
            known = self.classes in CLASSES
        else:
            known = len(set(self.classes)) == len(self.classes) > 1
        if not known:
            raise Mistake(
                "tasks.emotion.classes is 5, 7 or a tuple of names, got "
                f"{self.classes}; two at least, and each another"
            )
        check_weight("emotion", self.weight)
        if self.focal_gamma < 0 or not 0 <= self.label_smoothing < 1:
            raise Mistake(
                "tasks.emotion wants focal_gamma of at least 0 and label_smoothing in "
                f"[0, 1), got {self.focal_gamma} and {self.label_smoothing}"
            )
        given, known = self.class_weights, ("", "inverse", "effective")
        if isinstance(given, str) and given not in known:
            raise registry.unknown("tasks.emotion.class_weights", given, known)
        if not isinstance(given, str) and (
            len(given) != len(self.names) or min(given) < 0 or max(given) <= 0
        ):
            raise Mistake(
                f"tasks.emotion.class_weights has {len(given)} weights for "
                f"{len(self.names)} classes, at least 0 each; got {tuple(given)}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The class names, in the model's order."""
        if isinstance(self.classes, int):
            return CLASSES[self.classes]
        return tuple(self.classes)

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
            counts = np.array(self.counts, float)
            value *= label @ losses.class_weights(self.class_weights, counts)
        return value, known

    def metrics(self, output, label, known, side: int) -> dict[str, tuple]:
        """(per-example values, mask) of what the step logs beside the loss."""
        hit = output.argmax(-1) == label.argmax(-1)
        return {"accuracy": (hit.astype(jnp.float32), known)}

    def report(
        self,
        output: Float[np.ndarray, "n k"],
        label: Float[np.ndarray, "n k"],
        known: Bool[np.ndarray, " n"],
        side: int,
        classes: tuple[str, ...],
        extra: Mapping[str, np.ndarray],
        temperature: float = 1.0,
    ) -> scores.Numbers:
        """Every number of a classification, after temperature; @raw is before."""
        logits, truth = self.answers(output, label, known, classes)
        found = scores.classification(logits / temperature, truth, self.names)
        raw = scores.classification(logits, truth, self.names)
        found |= {f"{key}@raw": raw[key] for key in ("ece", "nll")}
        found["temperature"] = temperature
        hit = logits.argmax(-1) == truth
        if "intensity" in extra:
            found |= scores.by_thirds(hit, extra["intensity"][known])
        if "twin" in extra:
            alone = hit[~extra["twin"][known]]
            found["n@notwins"] = len(alone)
            found["accuracy@notwins"] = float(alone.mean()) if len(alone) else None
        return found

    def details(
        self, output, label, known, side: int, classes, extra, temperature: float
    ) -> scores.Numbers:
        """What a report has beside: curves' areas, coverage, every confusion."""
        logits, truth = self.answers(output, label, known, classes)
        return scores.choices(logits / temperature, truth, self.names)

    def answers(
        self,
        output: Float[np.ndarray, "n k"],
        label: Float[np.ndarray, "n k"],
        known: Bool[np.ndarray, " n"],
        classes: tuple[str, ...],
    ) -> tuple[Float[np.ndarray, "m k"], Int[np.ndarray, " m"]]:
        """Logits and true class of the faces whose class is known.

        A model of more classes than the data is renormalised over the data's.
        """
        present = np.isin(self.names, classes)
        return np.where(present, output[known], -np.inf), label[known].argmax(-1)


@dataclasses.dataclass(frozen=True)
class Keypoints:
    """Where a face's fifteen points are.

    Attributes:
      weight: of the loss beside other tasks'; "learned" weighs by uncertainty.
      loss: of POINT_LOSSES, or "heatmap", which wants the head "heatmap".
      delta_px: beyond it an error counts linearly; the width of the heat map's
        target. In pixels of the 96-pixel frame.
    """

    head: str = "flat"
    weight: float | str = 1.0
    loss: str = "smooth_l1"
    delta_px: float = 2.0

    kind: ClassVar[str] = "points"
    headline: ClassVar[str] = "rmse_px"
    names: ClassVar[tuple[str, ...]] = POINTS

    def __post_init__(self):
        check_weight("keypoints", self.weight)
        if self.delta_px <= 0:
            raise Mistake(
                f"tasks.keypoints.delta_px is {self.delta_px}, must be above 0"
            )
        known = (*losses.POINT_LOSSES, "heatmap")
        if self.loss not in known:
            raise registry.unknown("tasks.keypoints.loss", self.loss, known)
        if self.loss == "heatmap" and self.head != "heatmap":
            raise Mistake(
                "tasks.keypoints.loss is 'heatmap', which needs the head "
                f"'heatmap', got {self.head!r}"
            )

    def loss_of(
        self,
        output: Float[Array, "b p ..."],
        label: Float[Array, "b p 2"],
        known: Bool[Array, "b p"],
        side: int,
    ) -> tuple[Float[Array, "b p"], Bool[Array, "b p"]]:
        """The loss of x and y together, a point; and which values count.

        Unknown labels are 0, never NaN: a NaN would survive the mask's gradient.
        """
        if self.loss == "heatmap":
            sigma = self.delta_px * side / FRAME
            return losses.heatmap(output, label, side, sigma), known
        error = (as_points(output, side) - label) * (FRAME / side)
        value = losses.POINT_LOSSES[self.loss](error, self.delta_px)
        return value.sum(-1), known

    def metrics(self, output, label, known, side: int) -> dict[str, tuple]:
        """(per-example values, mask) of what the step logs beside the loss."""
        error = (as_points(output, side) - label) * (FRAME / side)
        return {"square_px": (jnp.square(error).mean(-1), known)}

    def report(
        self,
        output: Float[np.ndarray, "n p 2"],
        label: Float[np.ndarray, "n p 2"],
        known: Bool[np.ndarray, "n p"],
        side: int,
        classes: tuple[str, ...],
        extra: Mapping[str, np.ndarray],
        temperature: float = 1.0,
    ) -> scores.Numbers:
        """Every number of a regression of points, in pixels of the 96-pixel frame."""
        error, eye_px = self.errors(output, label, known, side)
        return scores.points(error, known, eye_px, self.names)

    def details(
        self, output, label, known, side: int, classes, extra, temperature: float
    ) -> scores.Numbers:
        """All numbers are in `report`."""
        return {}

    def errors(
        self,
        output: Float[np.ndarray, "n p 2"],
        label: Float[np.ndarray, "n p 2"],
        known: Bool[np.ndarray, "n p"],
        side: int,
    ) -> tuple[Float[np.ndarray, "n p 2"], Float[np.ndarray, " n"]]:
        """Differences, and the distance of the true eye centres, NaN where unknown."""
        error = (output - label).astype(np.float64) * (FRAME / side)
        eyes = [self.names.index(f"{eye}_eye_center") for eye in ("left", "right")]
        span = label[:, eyes[0]] - label[:, eyes[1]]
        eye_px = np.linalg.norm(span, axis=-1) * (FRAME / side)
        return error, np.where(known[:, eyes].all(-1), eye_px, np.nan)


TASKS = {"emotion": Emotion, "keypoints": Keypoints}
Task = Emotion | Keypoints


def make_tasks(sections: Mapping[str, Mapping]) -> dict[str, Task]:
    """A config's `tasks` section as tasks, in the order of TASKS."""
    if not sections:
        raise Mistake(f"config.tasks names none of {', '.join(TASKS)}")
    for name in sections:
        registry.pick("task", name, TASKS)
    return {
        name: registry.call(f"config.tasks.{name}", make, **sections[name])
        for name, make in TASKS.items()
        if name in sections
    }


def label_shape(task: Task) -> tuple[int, ...]:
    """The shape of one face's label."""
    return (len(task.names),) if task.kind == "classes" else (len(task.names), 2)


def mirrored(names: tuple[str, ...]) -> tuple[int, ...]:
    """For each point, the one that takes its place when the face is mirrored."""
    swap = {"left": "right", "right": "left"}
    other = ["_".join(swap.get(word, word) for word in n.split("_")) for n in names]
    return tuple(names.index(name) for name in other)


def total_and_count(
    values: Float[Array, "..."], mask: Bool[Array, "..."]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """A masked sum and what to divide it by: pairs add over batches and devices."""
    return jnp.where(mask, values, 0.0).sum(), mask.sum().astype(jnp.float32)


def as_points(output: Float[Array, "b p ..."], side: int) -> Float[Array, "b p 2"]:
    """Pixels as they are; heat maps, which their head gives in training, as pixels."""
    return output if output.ndim == 3 else losses.soft_argmax(output, side)


def check_weight(task: str, weight: float | str) -> None:
    """Raises unless a task's weight is a number or learned."""
    if weight != "learned" and (isinstance(weight, str) or weight < 0):
        raise Mistake(
            f'tasks.{task}.weight is at least 0, or "learned"; got {weight!r}'
        )


def with_counts(tasks: Mapping[str, Task], splits: Iterable) -> dict[str, Task]:
    """The tasks, told how many faces of each class they are trained on."""

    def count(name: str) -> tuple[int, ...]:
        faces = [split.faces for split in splits]
        known = [f["labels"][name][f["known"][name]] for f in faces]
        return tuple(np.concatenate(known).sum(0).round().astype(int).tolist())

    made = dict(tasks)
    for name, task in tasks.items():
        if task.kind == "classes":
            made[name] = dataclasses.replace(task, counts=count(name))
    return made


def losses_and_metrics(
    tasks: Mapping[str, Task], outputs: dict, labels: dict, known: dict, side: int
) -> tuple[Float[Array, ""], dict[str, tuple[jax.Array, jax.Array]]]:
    """The weighted sum of the tasks' mean losses; all metrics as (total, count)."""
    loss, metrics = jnp.zeros(()), {}
    for name, task in tasks.items():
        args = outputs[name], labels[name], known[name], side
        total, count = total_and_count(*task.loss_of(*args))
        mean = total / jnp.maximum(count, 1.0)
        if task.weight == "learned":
            loss += losses.uncertain(mean, outputs["log_variance"][name])
        else:
            loss += task.weight * mean
        metrics[f"{name}/loss"] = total, count
        for key, (values, mask) in task.metrics(*args).items():
            metrics[f"{name}/{key}"] = total_and_count(values, mask)
    return loss, {"loss": (loss, jnp.ones(()))} | metrics
