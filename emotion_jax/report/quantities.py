"""The numbers of metrics.json in readable form, each with its unit."""

from collections.abc import Mapping

from emotion_jax.report.page import Html, Quantity, join, tag
from emotion_jax.scores import HEADLINES, Numbers, measure

SHARES = ("accuracy", "macro_f1", "balanced_accuracy", "top2", "ece", "precision")
SHARES += ("recall", "f1", "nme", "pck_10", "failure_10")


def written(key: str, value: float | int | None) -> str:
    """A number by its key: shares in percent, pixels to two decimals, others three."""
    name = measure(key)
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if name in SHARES:
        return f"{100 * value:.1f} %"
    return f"{value:.2f} px" if name.endswith("_px") else f"{value:.3f}"


class Told:
    """A task's numbers as the page writes them; the page has no others."""

    def __init__(self, found: Numbers, task: str):
        self.found, self.task = found, task

    def value(self, key: str) -> float | int | None:
        """The raw value, to compare rather than to show."""
        return self.found[f"{self.task}/{key}"]

    def __call__(self, key: str) -> Html:
        """One number, marked with its key in metrics.json."""
        return shown(f"{self.task}/{key}", self.value(key))

    def interval(self, key: str) -> Html:
        """Its 95 % bootstrap interval over the faces."""
        return join([self(f"{key}@low"), " to ", self(f"{key}@high")])

    def headlines(self) -> list[str]:
        """The keys of headline numbers that have a value."""
        mine = (key for key in HEADLINES if f"{self.task}/{key}" in self.found)
        return [key for key in mine if self.value(key) is not None]


def shown(key: str, value: float | int | None) -> Quantity:
    """The number as shown, with its exact value and its key."""
    exact = "" if value is None else repr(value)
    return Quantity(tag("data", written(key, value), value=exact, title=key))


def everything(found: Mapping) -> list[list[str]]:
    """Every number under its key."""
    return [[key, shown(key, value)] for key, value in found.items()]
