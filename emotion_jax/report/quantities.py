"""The numbers of metrics.json as a person reads them, each with its unit."""

from collections.abc import Mapping

from emotion_jax.report.page import Html, Quantity, join, tag
from emotion_jax.scores import HEADLINES, Numbers, measure

SHARES = ("accuracy", "macro_f1", "balanced_accuracy", "top2", "ece", "precision")
SHARES += ("recall", "f1", "nme", "pck_10", "failure_10")


def written(key: str, value: float | int | None) -> str:
    """A number by its key: shares in percent, pixels with two places, others three."""
    name = measure(key)
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if name in SHARES:
        return f"{100 * value:.1f} %"
    return f"{value:.2f} px" if name.endswith("_px") else f"{value:.3f}"


class Told:
    """A task's numbers, as the page writes them: it has no others."""

    def __init__(self, found: Numbers, task: str):
        self.found, self.task = found, task

    def value(self, key: str) -> float | int | None:
        """What is compared, not shown."""
        return self.found[f"{self.task}/{key}"]

    def __call__(self, key: str) -> Html:
        """One number, which says under which key metrics.json has it."""
        return shown(f"{self.task}/{key}", self.value(key))

    def interval(self, key: str) -> Html:
        """Where it lies in 95 of 100 draws of the faces."""
        return join([self(f"{key}@low"), " to ", self(f"{key}@high")])

    def headlines(self) -> list[str]:
        """The keys that have a name of their own, and a value."""
        mine = (key for key in HEADLINES if f"{self.task}/{key}" in self.found)
        return [key for key in mine if self.value(key) is not None]


def shown(key: str, value: float | int | None) -> Quantity:
    """The number, its exact value and its key."""
    exact = "" if value is None else repr(value)
    return Quantity(tag("data", written(key, value), value=exact, title=key))


def everything(found: Mapping) -> list[list[str]]:
    """Every number under its key."""
    return [[key, shown(key, value)] for key, value in found.items()]
