"""How long a run is, and durations as a person would write them."""

import dataclasses
import itertools
import math
import re
import reprlib
from collections.abc import Iterator, Mapping, Sized

from emotion_jax.errors import Mistake

DURATION = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+) ?(%|epochs?|steps?|)")
MOST_STEPS, MOST_FACES = 2**31, 65_536  # of a run, as steps are int32; of a batch


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long a run is, in steps.

    Attributes:
      total: steps of the whole run, which the schedule spans.
      stop: where this run ends, at most `total`.
      epoch: steps in which as many faces are seen as there are.
    """

    batch_size: int
    total: int
    stop: int
    epoch: float

    def to_steps(self, duration: int | float | str, field: str) -> int:
        """A field's steps: 500, "500 steps", "5%" of the run, or "2 epochs"."""
        if match := DURATION.fullmatch(str(duration).strip()):
            number, unit = float(match[1]), match[2].rstrip("s")
            steps = number * {"%": self.total / 100, "epoch": self.epoch}.get(unit, 1)
            fits = number <= 100 if unit == "%" else unit == "epoch" or number % 1 == 0
            if fits and steps < MOST_STEPS:
                return round(steps)
        raise Mistake(
            f"config.{field}: {reprlib.repr(duration)} is no duration; write 500, "
            "'5%' or '2 epochs'"
        )

    def every(self, duration: int | float | str, field: str) -> int:
        """A cadence in steps: as `to_steps`, but at least one."""
        return max(1, self.to_steps(duration, field))

    def accumulated(self, count: int) -> "Plan":
        """The same run counted in updates, each of `count` steps' gradients."""
        return dataclasses.replace(
            self,
            batch_size=self.batch_size * count,
            total=self.total // count,
            stop=self.stop // count,
            epoch=self.epoch / count,
        )


class Patience:
    """Ends a run once its score has not become better for so many steps; 0 waits on.

    Attributes:
      best: the step with the best score; the first, if several have the same.
      over: whether the run is to end.
    """

    def __init__(self, steps: int):
        self.steps, self.best, self.score, self.over = steps, 0, -math.inf, False

    def take(self, step: int, score: float) -> None:
        """Takes the score of an evaluation, of which the larger is the better."""
        if score > self.score:
            self.best, self.score = step, score
        self.over = 0 < self.steps <= step - self.best

    def through(self, steps: range) -> Iterator[int]:
        """These steps, until the run is to end."""
        return itertools.takewhile(lambda step: not self.over, steps)


def make_plan(
    train: Mapping[str, Sized],
    stop_at: int,
    *,
    batch_size: int,
    steps: int = 0,
    epochs: float = 0.0,
) -> Plan:
    """The plan of a config's `train` section; steps take precedence over epochs."""
    if not 1 <= batch_size <= MOST_FACES:
        raise Mistake(
            f"config.train.batch_size is {batch_size}, must be at least 1, at most "
            f"{MOST_FACES}"
        )
    if stop_at < 0:
        raise Mistake(f"config.stop_at is {stop_at}, must be 0 or a step")
    epoch = sum(len(split) for split in train.values()) / batch_size
    total = steps or round(epochs * epoch)
    if total >= MOST_STEPS:
        raise Mistake(f"config.train makes {total} steps, must be fewer than 2^31")
    if total < 1:
        raise Mistake(
            "config.train needs steps or epochs above 0, "
            f"got steps={steps}, epochs={epochs}"
        )
    return Plan(batch_size, total, min(stop_at or total, total), epoch)
