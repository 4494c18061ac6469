"""What a network says of the faces whose class is known."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Bool, Float, Int

from emotion_jax.data.table import Split
from emotion_jax.report import mosaic
from emotion_jax.scores import softmax
from emotion_jax.tasks import Task


@dataclasses.dataclass(frozen=True)
class Answers:
    """The answers of one task, for one split; m of its faces have a label."""

    name: str
    task: Task
    split: Split
    output: Float[np.ndarray, "n k"]
    temperature: float

    @functools.cached_property
    def rows(self) -> Int[np.ndarray, " m"]:
        """Which of the split's faces these are."""
        return np.flatnonzero(self.split.faces["known"][self.name])

    @functools.cached_property
    def logits(self) -> Float[np.ndarray, "m k"]:
        """Of the classes that the data has; -inf for others."""
        return self.answers[0]

    @functools.cached_property
    def truth(self) -> Int[np.ndarray, " m"]:
        """The label of each."""
        return self.answers[1]

    @functools.cached_property
    def answers(self) -> tuple:
        """Both, as the task makes them."""
        faces, name = self.split.faces, self.name
        known = faces["known"][name]
        classes = self.split.classes
        return self.task.answers(self.output, faces["labels"][name], known, classes)

    @functools.cached_property
    def probability(self) -> Float[np.ndarray, "m k"]:
        """After temperature."""
        return softmax(self.logits.astype(np.float64) / self.temperature)

    @functools.cached_property
    def guess(self) -> Int[np.ndarray, " m"]:
        """The most probable class of each."""
        return self.probability.argmax(-1)

    @functools.cached_property
    def hit(self) -> Bool[np.ndarray, " m"]:
        """Whether that is its label."""
        return self.guess == self.truth

    @functools.cached_property
    def sure(self) -> Float[np.ndarray, " m"]:
        """Its probability."""
        return self.probability.max(-1)

    def captions(self, some: Int[np.ndarray, " s"]) -> list[str]:
        """What the network says of some of them, and the label where it is another."""
        lines = []
        for i in some:
            said = (
                f"{mosaic.short(self.task.names[self.guess[i]], 9)} {self.sure[i]:.0%}"
            )
            label = mosaic.short(self.task.names[self.truth[i]], 9)
            lines.append(said if self.hit[i] else f"{said}, is {label}")
        return lines
