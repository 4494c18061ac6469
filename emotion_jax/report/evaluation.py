"""The report of an evaluation: its pictures, its numbers, and what each one means."""

from collections.abc import Mapping
from pathlib import Path

from emotion_jax.data.table import Split
from emotion_jax.evaluator import Restored
from emotion_jax.report import classes, comparison, points
from emotion_jax.report.answers import Answers
from emotion_jax.report.page import (
    Html,
    code,
    document,
    folded,
    sentences,
    table,
    tag,
)
from emotion_jax.report.quantities import Told, everything
from emotion_jax.report.tables import describe
from emotion_jax.scores import HEADLINES, Numbers
from emotion_jax.tasks import listed

FIRST = ("accuracy", "macro_f1", "ece", "rmse_px", "nme", "failure_10")  # at the top


def page(
    folder: Path,
    restored: Restored,
    split: Split,
    outputs: dict,
    found: Numbers,
    compared: Mapping = {},
) -> str:
    """Draws every picture into the folder; returns the page that shows them.

    Args:
      compared: what compare.json holds, if anything.
    """
    parts = {"overview": ("In short", overview(restored, split, found))}
    if compared:
        title = f"Against {compared['against']}"
        parts["against"] = title, comparison.part(compared, restored.tasks, split)
    for name, task in restored.tasks.items():
        told = Told(found, name)
        if not told.value("n"):
            continue
        if task.kind == "classes":
            temperature = restored.meta.temperature[name]
            answers = Answers(name, task, split, outputs[name], temperature)
            network, variables = restored.evaluator.network, restored.variables
            parts |= classes.parts(folder, answers, told, network, variables)
        else:
            seen = points.Points(name, task, split, outputs[name])
            parts |= points.parts(folder, seen, told)
    numbers = folded("Every number, by its key", table(("key", ""), everything(found)))
    parts["numbers"] = ("All numbers", [numbers])
    known = [name for name in restored.tasks if found[f"{name}/n"]]
    return document(f"How well it reads {listed(known)}", describe(split), parts)


def overview(restored: Restored, split: Split, found: Numbers) -> list[Html]:
    """The headline numbers, and how to read the page."""
    cards, unknown = [], []
    for name, task in restored.tasks.items():
        told = Told(found, name)
        if not told.value("n"):
            unknown.append(name)
        for key in (key for key in FIRST if key in told.headlines()):
            what = HEADLINES[key].format(unit=task.unit)
            cards.append(
                tag(
                    "div",
                    tag("p", f"{name}: {what}", class_="soft"),
                    tag("p", told(key), class_="big"),
                    tag("p", told.interval(key), class_="soft"),
                )
            )
    drawn = "people" if "person" in split.extra else "faces"
    return [
        tag("div", *cards, class_="cards"),
        sentences(
            f"The checkpoint is {restored.title}. Below each number stands where it "
            f"lies for 95 of 100 draws of as many of these {drawn}, with replacement: "
            "how far luck in the choice of faces moves it. It says nothing of faces "
            "from elsewhere, such as another camera's."
        ),
        sentences(*(f"No face here has a label of {name}. " for name in unknown)),
        sentences(
            "Each number names its key when pointed at; ", code("metrics.json"),
            " has the same numbers. Probabilities are after temperature.",
        ),
    ]  # fmt: skip
