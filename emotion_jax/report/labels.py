"""A source's labels, whatever they are called: an array tells what each one is."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Bool, Float, Int64

from emotion_jax.data.table import Raw


@dataclasses.dataclass(frozen=True)
class Label:
    """One label of some faces."""

    name: str
    names: tuple[str, ...]  # of its classes or points
    value: Float[np.ndarray, "n ..."]  # classes: [n k]; points: [n p 2]
    known: Bool[np.ndarray, "n ..."]  # classes: [n]; points: [n p]

    @property
    def kind(self) -> str:
        """As a task's: `classes`, a distribution over names, or `points`."""
        return "classes" if self.value.ndim == 2 else "points"

    @functools.cached_property
    def number(self) -> Int64[np.ndarray, " n"]:
        """Each face's class number; -1 where it has none."""
        return np.where(self.known, self.value.argmax(1), -1)

    @functools.cached_property
    def classes(self) -> dict[str, Bool[np.ndarray, " n"]]:
        """The faces of each class, by its name."""
        return {name: self.number == k for k, name in enumerate(self.names)}


def labels_of(raw: Raw, kind: str) -> list[Label]:
    """The source's labels of one kind."""
    found = [
        Label(name, raw.names[name], value, raw.known[name])
        for name, value in raw.labels.items()
    ]
    return [label for label in found if label.kind == kind]
