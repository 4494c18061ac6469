"""The model card: what a checkpoint is, what it is for, and what it is not for."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax

from emotion_jax.data.table import Split
from emotion_jax.evaluator import Restored
from emotion_jax.report.answers import ruled_out
from emotion_jax.report.quantities import written
from emotion_jax.report.tables import COLUMNS, describe, markdown
from emotion_jax.scores import HEADLINES, Numbers
from emotion_jax.tasks import Task, listed

USE = """\
It is meant for research and teaching, on single faces that are cropped as its training
faces are, and whose owners agree. It reads what a face shows to those who labelled the
faces, not what a person {does}.
"""
MISUSE = "It must not be used to judge, select or watch people."
BANNED = f"""\
{MISUSE} In the European Union, Article
5(1)(f) of the AI Act (Regulation (EU) 2024/1689) bans systems that infer the emotions
of people at work and in education, but for medical and safety reasons; elsewhere the
Act asks that people be told that such a system looks at them.
"""
LIMITS = """\
- The intervals tell how far luck in the choice of faces moves a number. They say
  nothing of faces from another source: another camera, light, crop or country.
- Nobody recorded whose faces the data shows. How the errors spread over age, sex and
  skin color is unknown, and was not measured.
{classes}\
- Labels are people's opinions, and some are wrong. A perfect score would be suspicious.
- The network answers for anything, even where there is no face.
"""
EXPRESSIONS = """\
- Classes are a few posed, acted or found expressions. Real faces mix them, mean other
  things by them, or show none; the network names one of its classes all the same.
"""
CLASSES = """\
- The classes of {name} are those of its labels. Real faces may be of several, of none,
  or in between; the network names one of them all the same.
"""
CALIBRATED = """\
Probabilities{of} are after the temperature {temperature}, fitted on the faces that \
training
validates on. On {where}, the calibration error is {after}; without the temperature it
is {before}.
"""
UNCALIBRATED = """\
No temperature{of} was fitted to this checkpoint. On {where}, its calibration error is
{before}.
"""
SECTIONS = ("model", "tasks", "optim", "train", "augment", "feed")
BY_NAME = ("tasks", "augment")  # whose keys are names, which count also if empty

Results = Sequence[tuple[Split, Numbers]]


def card(restored: Restored, found: Results) -> str:
    """A checkpoint's model card, with its results on these splits."""
    meta, tasks = restored.meta, restored.tasks
    leaves = jax.tree.leaves(restored.variables["params"])
    count = sum(leaf.size for leaf in leaves)
    reads = [f"- {name}: {', '.join(map(plain, tasks[name].names))}" for name in tasks]
    config = meta.config
    data = meta.data or [", ".join(config["data"]["sources"])]
    recipe = [
        f"- {name}: {plain(short(config[name], name in BY_NAME)) or 'none'}"
        for name in SECTIONS
    ]
    begun = Path(config["init_from"]).name
    start = f", from the weights of {plain(begun)}" if begun else ""
    parts = {
        f"A network that reads {listed(tasks)}": [
            f"A residual network of {count:,} parameters, for gray faces of "
            f"{meta.side} x {meta.side} pixels, trained with emotion_jax "
            f"({plain(restored.title)}). It reads:",
            "\n".join(reads),
        ],
        "Intended use": use(tasks),
        "Data": ["\n".join(f"- {plain(line)}" for line in data)],
        "Recipe": [f"Seed {config['seed']}{start}.", "\n".join(recipe)],
        "Results": [part for one in found for part in measured(tasks, *one)],
        "Calibration": [part for one in found for part in calibrated(restored, *one)],
        "Limits": [limits(tasks)],
    }
    lines = []
    for number, (title, content) in enumerate(parts.items()):
        if content:
            lines += [f"{'#' * min(number + 1, 2)} {title}", *content]
    return "\n\n".join(line.strip() for line in lines) + "\n"


def use(tasks: Mapping[str, Task]) -> list[str]:
    """What a network with these tasks is for, and what not."""
    does = sorted({"feels" if task.expressive else "is" for task in tasks.values()})
    return [USE.format(does=" or ".join(does)), BANNED if "feels" in does else MISUSE]


def limits(tasks: Mapping[str, Task]) -> str:
    """What a network with these tasks does not know."""
    expressive = any(task.expressive for task in tasks.values())
    mine = [EXPRESSIONS] if expressive else []
    mine += [
        CLASSES.format(name=plain(name))
        for name, task in tasks.items()
        if task.kind == "classes" and not task.expressive
    ]
    return LIMITS.format(classes="".join(mine))


def measured(tasks: Mapping[str, Task], split: Split, found: Numbers) -> list[str]:
    """The results on one split, with their confidence intervals."""
    drawn = "people" if "person" in split.extra else "faces"
    on = f"On {plain(describe(split))}; 95 % intervals by bootstrap over {drawn}."
    among = map(plain, ruled_out(tasks, split))
    return [on, *among, *(results(name, task, found) for name, task in tasks.items())]


def calibrated(restored: Restored, split: Split, found: Numbers) -> list[str]:
    """What each class task's probabilities are worth on one split."""
    names = [name for name, task in restored.tasks.items() if task.kind == "classes"]
    fitted = restored.meta.temperature
    return [
        (UNCALIBRATED if fitted[name] == 1 else CALIBRATED).format(
            of=f" of {plain(name)}" if len(names) > 1 else "",
            temperature=written(f"{name}/temperature", fitted[name]),
            after=written(f"{name}/ece", found[f"{name}/ece"]),
            before=written(f"{name}/ece", found[f"{name}/ece@raw"]),
            where=plain(describe(split)),
        )
        for name in names
        if found[f"{name}/n"]
    ]


def results(name: str, task: Task, found: Numbers) -> str:
    """A table of a task's headline numbers, and one by class or point."""
    if not found[f"{name}/n"]:
        return f"No face has a label of {name}."

    def cells(*keys: str) -> list[str]:
        return [written(key, found[key]) for key in (f"{name}/{k}" for k in keys)]

    keys = [key for key in HEADLINES if found.get(f"{name}/{key}") is not None]
    keys = [key for key in keys if key != "top2" or len(task.names) > 2]
    rows = [
        [HEADLINES[k].format(unit=task.unit), *cells(k, f"{k}@low", f"{k}@high")]
        for k in keys
    ]
    size = f"{name}, {found[f'{name}/n']:,} faces"
    columns = COLUMNS[task.kind]
    each = [[plain(n), *cells(*(f"{c}/{n}" for c in columns))] for n in task.names]
    first = markdown([size, "", "from", "to"], rows)
    return first + "\n\n" + markdown([name, *columns], each)


def short(section: Mapping, by_name: bool = False) -> str:
    """A config's section on one line, without empty fields, unless it goes by names."""
    said = []
    for key, value in section.items():
        deeper = isinstance(value, Mapping)
        text = short(value) if deeper else str(value)
        if text not in ("", "()", "[]"):
            said.append(f"{key} ({text})" if deeper else f"{key} {text}")
        elif by_name:
            said.append(key)
    return ", ".join(said)


def plain(text: str) -> str:
    """A name from a file, escaped so that Markdown sees only text."""
    return re.sub(r"([\\`*_{}\[\]<>#|~!&])", r"\\\1", " ".join(text.split()))
