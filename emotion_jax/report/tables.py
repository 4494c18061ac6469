"""Numbers as text, and the data they were measured on."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from emotion_jax.data.table import Raw, Split
from emotion_jax.files import printable
from emotion_jax.report.page import count
from emotion_jax.tasks import Task

COLUMNS = {"classes": ("precision", "recall", "f1", "support"), "points": ("rmse_px",)}


def source(data: Split | Raw) -> str:
    """The data as a command line would name it, without the folder."""
    name = printable(Path(data.path).name)
    return f"{data.source}={name}" if data.path else data.source


def describe(split: Split) -> str:
    """Which faces a number was measured on, and what is unusual about them, if any."""
    faces = count(len(split), "face", "faces")
    told = f"{source(split)}, split {split.name}, {faces}"
    if split.trained_on:
        told += f", {split.trained_on:,} of them trained on"
    if split.labels != "original":
        told += f", labels {split.labels}"
    if split.unknown:
        others = count(split.unknown, "other has", "others have")
        told += f" ({others} no label that is used)"
    return told


def twins(split: Split) -> str:
    """What happened to the training faces that are also held out; "" for none."""
    if split.dropped:
        return (
            f"{split.dropped:,} more are left out because a held-out split has "
            "their twins"
        )
    if split.twins:
        return (
            f"warning: {split.twins:,} of them have a twin in a held-out split; "
            "--config.data.dedupe=True leaves them out"
        )
    return ""


def used(train: Mapping[str, Split], val: Mapping[str, Split]) -> list[str]:
    """What a run trains and validates on, one line each."""
    lines = []
    for use, splits in (("train", train), ("val", val)):
        for split in splits.values():
            lines.append(f"{use}: {describe(split)}")
            if use == "train" and (told := twins(split)):
                lines.append(told)
    return lines


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown: words in the first column, the others aligned right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def cell(value: float | int | None) -> str:
    """One number, ten characters wide."""
    if value is None:
        return f"{'-':>10}"
    return f"{value:>10,}" if isinstance(value, int) else f"{value:>10.3f}"


def numbers(found: Mapping[str, float | int | None], tasks: Mapping[str, Task]) -> str:
    """For each task with a known label: its numbers, then one row per name."""
    lines = []
    for name, task in tasks.items():
        mine = {
            k[len(name) + 1 :]: v for k, v in found.items() if k.startswith(f"{name}/")
        }
        if not mine["n"]:
            continue
        lines += ["", name, ""]
        if any(key.endswith("@low") for key in mine):
            lines.append(f"{'value':>38}{'95 % interval':>25}")
        for key, value in mine.items():
            if "/" not in key and not key.endswith(("@low", "@high")):
                ends = [mine.get(f"{key}@{end}") for end in ("low", "high")]
                span = "" if None in ends else "  " + " to".join(map(cell, ends))
                lines.append(f"  {key:<26}{cell(value)}{span}")
        columns = COLUMNS[task.kind]
        lines += ["", " " * 28 + "".join(f"{c:>10}" for c in columns)]
        for each in task.names:
            row = "".join(cell(mine[f"{c}/{each}"]) for c in columns)
            lines.append(f"  {each:<26}{row}")
    return "\n".join(lines[1:])
