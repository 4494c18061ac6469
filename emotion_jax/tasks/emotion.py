"""Emotion: which of k expressions a face shows."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from emotion_jax.data.table import FIVE, SEVEN
from emotion_jax.errors import Mistake
from emotion_jax.tasks.classes import Classes

CLASSES = {5: FIVE, 7: SEVEN}


@dataclasses.dataclass(frozen=True)
class Emotion(Classes):
    """Which of k expressions a face shows.

    Attributes:
      classes: 5, 7, or the names themselves.
    """

    classes: int | Sequence[str] = 5

    section: ClassVar[str] = "emotion"
    expressive: ClassVar[bool] = True

    def __post_init__(self):
        if isinstance(self.classes, int):
            known = self.classes in CLASSES
        else:
            known = len(set(self.classes)) == len(self.classes) > 1
        if not known:
            raise Mistake(
                f"{self.where}.classes is 5, 7 or a tuple of at least two different "
                f"names, got {self.classes}"
            )
        super().__post_init__()

    @property
    def names(self) -> tuple[str, ...]:
        """The class names, in the model's order."""
        if isinstance(self.classes, int):
            return CLASSES[self.classes]
        return tuple(self.classes)
