"""What the table, the pipeline, the network and the evaluation know about any task.

There are two kinds of tasks, Classes and Points; a new one is a subclass of either.
"""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from emotion_jax.data.table import Split
from emotion_jax.errors import Mistake
from emotion_jax.scores import Numbers


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a network gave for a task on n faces, and what is known of them.

    Attributes:
      output: logits [n k], or points in pixels of the image [n p 2].
      side: of the image.
      offered: the task's names that each face's source labels.
      extra: the split's further columns.
      temperature: that of the logits.
    """

    output: Float[np.ndarray, "n ..."]
    label: Float[np.ndarray, "n ..."]
    known: Bool[np.ndarray, "n ..."]
    side: int
    offered: Bool[np.ndarray, "n _"]
    extra: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    temperature: float = 1.0

    @classmethod
    def of(
        cls, name: str, output: np.ndarray, split: Split, temperature: float = 1.0
    ) -> "Seen":
        """The output for the task of this name on all faces of a split."""
        faces, offered = split.faces, split.offered[name]
        label, known = faces["labels"][name], faces["known"][name]
        side = faces["image"].shape[2]
        return cls(output, label, known, side, offered, split.extra, temperature)

    def take(self, rows: np.ndarray) -> "Seen":
        """The same of some of the faces."""
        fields = ("output", "label", "known", "offered")
        some = {name: getattr(self, name)[rows] for name in fields}
        extra = {name: column[rows] for name, column in self.extra.items()}
        return dataclasses.replace(self, **some, extra=extra)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task(abc.ABC):
    """A label, its loss, its step metrics and its report.

    `output` below is what the task's head gives: logits, or pixels of an image of
    `side`. Unknown labels are 0, never NaN: a mask does not stop NaN in the gradient.

    Attributes:
      section: its name in TASKS and in config.tasks.
      kind: what its labels are: `classes` (a distribution over names) or `points` (x, y
        in pixels of the image).
      names: of the classes or points, in the network's order.
      headline: the number that sums the task up in one.
      expressive: whether it tells of expressions, and so of what people may feel: model
        cards and pages then say what that is not good for.
      unit: what relative errors are divided by; "" for classes.
      head: one of HEADS.
      weight: of its loss relative to other tasks'; "learned" weighs by uncertainty.
      teachers: checkpoints to learn from, besides the labels.
      teacher_share: the teachers' share of the loss; the rest is the labels'.
    """

    head: str
    weight: float | str = 1.0
    teachers: str | Sequence[str] = ()
    teacher_share: float = 0.5

    section: ClassVar[str]
    kind: ClassVar[str]
    names: ClassVar[tuple[str, ...]]
    headline: ClassVar[str]
    expressive: ClassVar[bool] = False
    unit: ClassVar[str] = ""
    learn_offset: ClassVar[bool] = False

    def __init_subclass__(cls):
        kind = getattr(cls, "kind", "classes")
        if kind not in ("classes", "points"):
            raise TypeError(f"{cls.__name__}.kind is {kind!r}, not classes or points")

    def __post_init__(self):
        named = isinstance(self.weight, str)
        if self.weight != "learned" and (named or self.weight < 0):
            raise Mistake(
                f'{self.where}.weight is at least 0, or "learned"; got {self.weight!r}'
            )
        if not 0 <= self.teacher_share <= 1:
            raise Mistake(
                f"{self.where}.teacher_share is {self.teacher_share}, must be in [0, 1]"
            )

    @property
    def where(self) -> str:
        """Its section of the config, to name in an error."""
        return f"config.tasks.{self.section}"

    @property
    def all_teachers(self) -> tuple[str, ...]:
        """The checkpoints to learn from: one, several or none."""
        one = isinstance(self.teachers, str) and self.teachers
        return (self.teachers,) if one else tuple(self.teachers)

    def counted(self, counts: Sequence[float]) -> "Task":
        """The same task, told how many faces of each class it is trained on."""
        return self

    @abc.abstractmethod
    def loss_of(
        self,
        output: Float[Array, "b ..."],
        label: Float[Array, "b ..."],
        known: Bool[Array, "b ..."],
        side: int,
    ) -> tuple[Float[Array, "b ..."], Bool[Array, "b ..."]]:
        """The loss of each label; and which values count."""

    @abc.abstractmethod
    def lesson(
        self, output: Float[Array, "b ..."], answer: Float[Array, "b ..."], side: int
    ) -> Float[Array, "b ..."]:
        """The loss against a teacher's answer: logits, or points in pixels."""

    @abc.abstractmethod
    def metrics(self, output, label, known, side: int) -> dict[str, tuple]:
        """(per-example values, mask) of what the step logs besides the loss."""

    @abc.abstractmethod
    def report(self, seen: Seen) -> Numbers:
        """Every number that training logs."""

    def headlines(self, seen: Seen, rows: Int[np.ndarray, " m"]) -> Numbers:
        """At least the headline numbers of some of the faces, for a thousand draws."""
        return self.report(seen.take(rows))

    def details(self, seen: Seen) -> Numbers:
        """What a report has in addition, and training does not log."""
        return {}
