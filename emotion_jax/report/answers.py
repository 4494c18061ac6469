"""A network's answers on the faces whose class is known."""

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from emotion_jax.data.table import Split
from emotion_jax.report import mosaic
from emotion_jax.scores import softmax
from emotion_jax.tasks import Task, listed
from emotion_jax.tasks.task import Seen


@dataclasses.dataclass(frozen=True)
class Answers:
    """One task's answers on one split, of which m faces have a label."""

    name: str
    task: Task
    split: Split
    output: Float[np.ndarray, "n k"]
    temperature: float

    @functools.cached_property
    def rows(self) -> Int[np.ndarray, " m"]:
        """The indices of these m faces in the split."""
        return np.flatnonzero(self.split.faces["known"][self.name])

    @functools.cached_property
    def logits(self) -> Float[np.ndarray, "m k"]:
        """The logits of the classes that the face's source has; -inf for others."""
        return self.answers[0]

    @functools.cached_property
    def truth(self) -> Int[np.ndarray, " m"]:
        """Each face's label."""
        return self.answers[1]

    @functools.cached_property
    def answers(self) -> tuple:
        """Logits and labels, as the task gives them."""
        return self.task.answers(Seen.of(self.name, self.output, self.split))

    @functools.cached_property
    def probability(self) -> Float[np.ndarray, "m k"]:
        """Probabilities after temperature scaling."""
        return softmax(self.logits.astype(np.float64) / self.temperature)

    @functools.cached_property
    def guess(self) -> Int[np.ndarray, " m"]:
        """Each face's most probable class."""
        return self.probability.argmax(-1)

    @functools.cached_property
    def hit(self) -> Bool[np.ndarray, " m"]:
        """Whether the guess is the label."""
        return self.guess == self.truth

    @functools.cached_property
    def sure(self) -> Float[np.ndarray, " m"]:
        """The guess's probability."""
        return self.probability.max(-1)

    def captions(self, some: Int[np.ndarray, " s"]) -> list[str]:
        """The network's answer on some of the faces, and the label where it differs."""
        return captions(self.task.names, self.probability[some], self.truth[some])


def choices(name: str, task: Task, split: Split) -> list[str]:
    """The classes that the network answers among: those of the faces' source.

    Empty if no face has a label, or the task is one of points.
    """
    if task.kind == "points":
        return []
    there = split.offered[name][split.faces["known"][name]].any(0)
    return list(itertools.compress(task.names, there))


def ruled_out(tasks: Mapping[str, Task], split: Split) -> list[str]:
    """A sentence for each task whose answers are among some of its classes only."""
    lines = []
    for name, task in tasks.items():
        if 0 < len(there := choices(name, task, split)) < len(task.names):
            lines.append(
                f"Answers of {name} are among {listed(there)}, the classes of this "
                "data: the others are ruled out."
            )
    return lines


def captions(
    names: Sequence[str], shares: Float[np.ndarray, "m k"], truth: Int[np.ndarray, " m"]
) -> list[str]:
    """Each face's most probable class, and its label if another; -1 for none."""
    lines = []
    for share, label in zip(shares, truth, strict=True):
        guess = share.argmax()
        said = f"{mosaic.short(names[guess], 9)} {share[guess]:.0%}"
        if label not in (guess, -1):
            said += f", is {mosaic.short(names[label], 9)}"
        lines.append(said)
    return lines


def by_task(said: Mapping[str, str]) -> list[str]:
    """What tasks say of one face, each by its task's name if there are several."""
    if len(said) < 2:
        return list(said.values())
    return [f"{mosaic.short(name, 9)} {text}" for name, text in said.items()]
