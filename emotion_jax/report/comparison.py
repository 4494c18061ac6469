"""Two networks on the same faces: A, B, and how far each headline number differs."""

import dataclasses
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from emotion_jax.data.table import Split
from emotion_jax.errors import Mistake
from emotion_jax.evaluator import Restored
from emotion_jax.intervals import differences
from emotion_jax.report.page import Html, sentences, table
from emotion_jax.report.quantities import shown
from emotion_jax.scores import HEADLINES, Numbers, lower_is_better
from emotion_jax.tasks import Task
from emotion_jax.tasks.task import Seen
from emotion_jax.views import Outputs

SUFFIXES = ("", "@tta")  # of single views, and of averaged ones
PARTS = ("", "/against", "/difference", "/low", "/high")
COLUMNS = ("A", "B", "A - B", "from", "to")
EVEN = "no difference shown"


@dataclasses.dataclass(frozen=True)
class Answered:
    """A network, some faces, and its answers on them."""

    restored: Restored
    split: Split
    outputs: Outputs

    def seen(self, name: str) -> Seen:
        """What it gave for the task of this name, and what is known."""
        temperature = self.restored.meta.temperature.get(name, 1.0)
        return Seen.of(name, self.outputs[name], self.split, temperature)


def shared(one: Restored, other: Restored) -> dict[str, tuple[str, ...]]:
    """The tasks of both networks, each with the classes or points that both know.

    Raises:
      Mistake: there is no such task, or neither network knows all that the other does.
    """
    both = {}
    for name in (name for name in one.tasks if name in other.tasks):
        mine, theirs = one.tasks[name].names, other.tasks[name].names
        if not (set(mine) <= set(theirs) or set(theirs) <= set(mine)):
            raise Mistake(
                f"{one.title} knows {name} {', '.join(mine)}, {other.title} "
                f"{', '.join(theirs)}; to be compared, one must know all of the other's"
            )
        both[name] = tuple(n for n in mine if n in theirs)
    if not both:
        raise Mistake(
            f"{one.title} reads {' and '.join(one.tasks)}, {other.title} "
            f"{' and '.join(other.tasks)}; there is no task to compare them on"
        )
    return both


def compare(one: Answered, other: Answered) -> Numbers:
    """What `differences` gives for each task of both networks, and the faces' number.

    Args:
      one, other: on splits of one file. The faces that count are those in both whose
        label both networks know; the answers are renormalised over the classes that
        both know.
    """
    both = one, other
    _, *places = np.intersect1d(*(a.split.rows for a in both), return_indices=True)
    found: Numbers = {}
    for name, names in shared(one.restored, other.restored).items():
        tasks = [answered.restored.tasks[name] for answered in both]
        seen = [
            among(task, answered.seen(name).take(rows), names)
            for task, answered, rows in zip(tasks, both, places, strict=True)
        ]
        known = [s.known.reshape(len(s.known), -1).any(-1) for s in seen]
        rows = np.flatnonzero(known[0] & known[1])
        measures = [partial(t.headlines, s) for t, s in zip(tasks, seen, strict=True)]
        mine = differences(*measures, rows, seen[0].extra.get("person"))
        found |= {f"{name}/n": len(rows)}
        found |= {f"{name}/{key}": value for key, value in mine.items()}
    return found


def among(task: Task, seen: Seen, names: Sequence[str]) -> Seen:
    """The same faces, where only these classes or points may be named and count."""
    mask = np.isin(task.names, names)
    if task.kind == "points":
        return dataclasses.replace(seen, known=seen.known & mask)
    label = np.where(mask, seen.label, 0)
    fields = {"label": label, "known": seen.known & label.any(-1)}
    return dataclasses.replace(seen, offered=seen.offered & mask, **fields)


def suffixed(found: Numbers, suffix: str) -> Numbers:
    """The same numbers of other views: `emotion/accuracy@tta/low`."""
    keys = {key: key.split("/") for key in found}
    return {
        "/".join([t, m + suffix, *rest]): found[k] for k, (t, m, *rest) in keys.items()
    }


def rows_of(found: Mapping, name: str) -> Iterator[tuple[str, str, list, str]]:
    """(headline, suffix, the five numbers' keys, verdict) of all that is compared."""
    for headline in HEADLINES:
        for suffix in SUFFIXES:
            keys = [f"{name}/{headline}{suffix}{part}" for part in PARTS]
            if found.get(keys[2]) is not None:
                yield headline, suffix, keys, verdict(found, keys)


def verdict(found: Mapping, keys: Sequence[str]) -> str:
    """Which network is better, if the interval of the difference leaves out 0."""
    low, high = (found[key] for key in keys[3:])
    if low <= 0 <= high:
        return EVEN
    return "A is better" if (low > 0) != lower_is_better(keys[0]) else "B is better"


def told(found: Mapping, name: str, split: Split) -> str:
    """How to read the table of a task."""
    drawn = "people" if "person" in split.extra else "faces"
    return (
        f"A is {found['checkpoint']}, B is {found['against']}. Their difference lies "
        f"between the last two numbers for 95 of 100 draws of as many of these "
        f"{drawn}, the same for both; where 0 is between them, there is {EVEN} on "
        f"these {found[f'{name}/n']:,} faces. Other seeds may differ by more: this is "
        "about these two networks."
    )


def text(found: Mapping, split: Split) -> str:
    """The comparison as lines for the console, a table a task."""
    lines = []
    for name in names_of(found):
        size = f"{name}, {found[f'{name}/n']:,} faces"
        lines += ["", f"{size:<28}" + "".join(f"{c:>10}" for c in COLUMNS), ""]
        for headline, suffix, keys, what in rows_of(found, name):
            numbers = "".join(f"{found[key]:>10.4f}" for key in keys)
            lines.append(f"  {headline + suffix:<26}{numbers}  {what}")
        lines += ["", *textwrap.wrap(told(found, name, split), 80)]
    return "\n".join(lines[1:])


def part(found: Mapping, tasks: Mapping[str, Task], split: Split) -> list[Html]:
    """The comparison as a part of a report."""
    content = []
    for name in names_of(found):
        rows = [
            [
                HEADLINES[headline].format(unit=tasks[name].unit) + suffix,
                *(shown(key, found[key]) for key in keys),
                what,
            ]
            for headline, suffix, keys, what in rows_of(found, name)
        ]
        content += [
            table((name, *COLUMNS, ""), rows),
            sentences(told(found, name, split), " Percentages differ in points."),
        ]
    return content


def names_of(found: Mapping) -> list[str]:
    """The tasks that were compared."""
    return [
        key.removesuffix("/n") for key in found if key.endswith("/n") and found[key]
    ]
