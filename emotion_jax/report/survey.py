"""A data set in numbers: what explore.json holds and its page shows.

Rows are the source's, from 0: row r is line r + 2 of a CSV file. A label's numbers are
under `labels` and its name; what may have to be cleaned is one list for all labels.
"""

import dataclasses
import functools
import itertools

import numpy as np
from jaxtyping import Bool, Float, Int64

from emotion_jax.data import suspects, twins
from emotion_jax.data.splits import has_splits, split_rows, splits
from emotion_jax.data.table import Raw
from emotion_jax.files import printable
from emotion_jax.report import tables
from emotion_jax.report.labels import Label, labels_of
from emotion_jax.tasks.points import FRAME

SUSPICIOUS = 6.0  # times a point's usual distance from its predicted position

Masks = dict[str, Bool[np.ndarray, " n"]]


@dataclasses.dataclass(frozen=True)
class Chosen:
    """The faces being surveyed."""

    raw: Raw  # these faces only
    rows: Int64[np.ndarray, " n"]  # each one's row in the source
    splits: Masks  # every split that contains some of them
    parts: tuple[str, ...]  # the splits that have no face in common

    @functools.cached_property
    def classes(self) -> list[Label]:
        """The labels that are classes."""
        return labels_of(self.raw, "classes")

    @functools.cached_property
    def points(self) -> list[Label]:
        """The labels that are points."""
        return labels_of(self.raw, "points")

    def name(self, row: int) -> str:
        """What identifies a row: its file, or else its number in the source."""
        if "file" not in self.raw.extra:
            return str(row)
        return str(self.raw.extra["file"][np.searchsorted(self.rows, row)])

    @property
    def unit(self) -> str:
        """What rows are called."""
        return "file" if "file" in self.raw.extra else "row"

    def classes_of(self, i: int) -> list[str]:
        """The classes of one of these faces, by its index here, where it has any."""
        return [each.names[each.number[i]] for each in self.classes if each.known[i]]

    @functools.cached_property
    def light(self) -> dict[str, Float[np.ndarray, " n"]]:
        """Each face's mean gray level, and the standard deviation of its levels."""
        flat = self.raw.image.reshape(len(self.rows), -1)
        starts = range(0, len(flat), 1024)  # a block's floats fit the cache
        blocks = [flat[i : i + 1024].astype(np.float32) for i in starts]
        return {
            "brightness": np.concatenate([block.mean(1) for block in blocks]),
            "contrast": np.concatenate([block.std(1) for block in blocks]),
        }


def choose(raw: Raw, split: str) -> Chosen:
    """The faces of one split, or of several joined by `+`."""
    rows = split_rows(raw, split)
    masks = {name: mask[rows] for name, mask in splits(raw).items()}
    apart = np.unique(raw.usage) if has_splits(raw) else ("train", "val", "test")
    there = {name: mask for name, mask in masks.items() if mask.any()}
    found = {}
    for field in dataclasses.fields(raw):
        value = getattr(raw, field.name)
        if isinstance(value, dict) and field.name != "names":
            value = {name: array[rows] for name, array in value.items()}
        found[field.name] = value[rows] if isinstance(value, np.ndarray) else value
    names = raw.names.items()
    found["names"] = {label: tuple(map(printable, each)) for label, each in names}
    parts = sorted(
        (str(name) for name in apart if name in there),
        key=lambda name: -there[name].sum(),
    )
    ordered = {name: there[name] for name in (*parts, *there)}
    return Chosen(Raw(**found), rows, ordered, tuple(parts))


def survey(chosen: Chosen, split: str) -> dict:
    """All the numbers, ready for JSON."""
    raw = chosen.raw
    found = {
        "data": tables.source(raw),
        "split": split,
        "faces": len(chosen.rows),
        "side": raw.image.shape[1],
        "lowest_pixel": int(raw.image.min()),
        "highest_pixel": int(raw.image.max()),
        "splits": {name: int(mask.sum()) for name, mask in chosen.splits.items()},
    }
    if raw.person is not None:
        found["people"] = len(set(raw.person) - {""})
    if any((value != raw.labels[name]).any() for name, value in raw.trained.items()):
        found["trained_as"] = raw.trained_as
    each = {label.name: classes(chosen, label) for label in chosen.classes}
    each |= {label.name: points(label, found["side"]) for label in chosen.points}
    found |= {"labels": each, "light": light(chosen)}
    if chosen.points:
        found["suspicious"] = suspicious(chosen)
    found |= copies(chosen)
    if chosen.unit == "file":
        found["files"] = {row: chosen.name(row) for row in doubtful(found)}
    return found


def classes(chosen: Chosen, label: Label) -> dict:
    """The number of faces in each class, by split and in percent."""
    total = max(int(label.known.sum()), 1)
    counts = {
        name: {s: int((mask & m).sum()) for s, m in chosen.splits.items()}
        | {"percent": round(100 * float(mask.sum()) / total, 2)}
        for name, mask in label.classes.items()
    }
    return {"classes": counts}


def groups_of(chosen: Chosen) -> Masks:
    """Groups of faces that may differ: all, by part, by class."""
    masks = {"all": np.ones(len(chosen.rows), bool)}
    masks |= {f"split {name}": chosen.splits[name] for name in chosen.parts}
    for label in chosen.classes:
        some = {name: mask for name, mask in label.classes.items() if mask.any()}
        masks |= {f"{label.name} {name}": mask for name, mask in some.items()}
    return masks


def light(chosen: Chosen) -> dict:
    """How bright and how contrasted the faces are, by split and class."""
    return {
        what: {
            name: dict(zip(("p5", "median", "p95"), rounded(span), strict=True))
            for name, mask in groups_of(chosen).items()
            for span in [np.quantile(values[mask], (0.05, 0.5, 0.95))]
        }
        for what, values in chosen.light.items()
    }


def rounded(values) -> list[float]:
    """Values for JSON: two decimals are enough for gray levels and pixels."""
    return [round(float(value), 2) for value in values]


def points(label: Label, side: int) -> dict:
    """How often each point is known, and where it lies, in pixels of the image."""
    xy, known = label.value, label.known
    outside = known & ((xy < 0) | (xy > side - 1)).any(-1)
    found = {}
    for p, name in enumerate(label.names):
        have = int(known[:, p].sum())
        numbers = {"known": have, "missing": len(xy) - have}
        numbers["missing_percent"] = round(100 * (1 - have / len(xy)), 2)
        numbers["outside"] = int(outside[:, p].sum())
        if have:
            mine = xy[known[:, p], p].astype(np.float64)
            columns = (mine.mean(0), mine.std(0), mine.min(0), mine.max(0))
            keys = ("mean", "spread", "min", "max")
            for key, (x, y) in zip(keys, map(rounded, columns), strict=True):
                numbers |= {f"{key}_x": x, f"{key}_y": y}
        found[name] = numbers
    return {
        "points": found,
        "faces_with_all_points": int(known.all(1).sum()),
        "faces_with_no_point": int((~known.any(1)).sum()),
        "faces_with_a_point_outside": int(outside.any(1).sum()),
    }


def suspicious(chosen: Chosen) -> list[dict] | None:
    """Faces with a point far from where the others predict it, worst first.

    None if no label has enough points, known on enough faces, to tell.
    """
    judged = [
        judge(chosen, label)
        for label in chosen.points
        if len(label.names) > suspects.OTHERS and suspects.enough(label.known)
    ]
    if not judged:
        return None
    worst = {}
    for one in sorted(itertools.chain(*judged), key=lambda one: -one["times_usual"]):
        worst.setdefault(one["row"], one)
    return list(worst.values())


def judge(chosen: Chosen, label: Label) -> list[dict]:
    """The faces on which a point of this label is suspicious, worst first."""
    scale = FRAME / chosen.raw.image.shape[1]
    px = suspects.distances(label.value * scale, label.known)
    times = suspects.times_usual(px)
    worst = times.argmax(1)
    order = np.argsort(-times.max(1), kind="stable")
    return [
        {
            "row": int(chosen.rows[i]),
            "point": label.names[worst[i]],
            "px": round(float(px[i, worst[i]]), 2),
            "times_usual": round(float(times[i, worst[i]]), 2),
        }
        for i in order[times.max(1)[order] > SUSPICIOUS]
    ]


def copies(chosen: Chosen) -> dict:
    """Exact twins, near twins, twins that disagree, blank images."""
    image, rows = chosen.raw.image, chosen.rows
    group = twins.groups(image)
    sizes = np.bincount(group)
    near = twins.near_pairs(image)
    return {
        "exact_twins": {
            "groups": int((sizes > 1).sum()),
            "faces": int(sizes[sizes > 1].sum()),
            "across": across(chosen, group),
        },
        "near_twins": {
            "pairs": len(near),
            "across": straddling(chosen, near),
            "rows": rows[near].tolist(),
        },
        "conflicts": [
            {
                "rows": rows[members].tolist(),
                "labels": [label.names[k] for k in label.number[members]],
            }
            for label in chosen.classes
            for members in disagreeing(group, label)
        ],
        "blank": rows[twins.blank(image)].tolist(),
    }


def disagreeing(
    group: Int64[np.ndarray, " n"], label: Label
) -> list[Int64[np.ndarray, " m"]]:
    """The members of each group of exact twins that are not all of one class."""
    labelled = np.flatnonzero(label.known)
    if not len(labelled):
        return []
    found = twins.conflicts(group[labelled], label.number[labelled])
    return [labelled[members] for members in found]


def doubtful(found: dict) -> list[int]:
    """The rows that a person should look at."""
    rows = [row for pair in found["near_twins"]["rows"] for row in pair]
    rows += [row for one in found["conflicts"] for row in one["rows"]]
    return sorted({*rows, *found["blank"]})


def across(chosen: Chosen, group: Int64[np.ndarray, " n"]) -> list[dict]:
    """For any two parts: how many faces of one are in the other too."""
    found = []
    for name in chosen.parts:
        for other in chosen.parts:
            mask = chosen.splits[name]
            shared = np.isin(group[mask], group[chosen.splits[other]]).sum()
            if name != other and shared:
                found.append({"faces": int(shared), "of": name, "in": other})
    return found


def straddling(chosen: Chosen, pairs: Int64[np.ndarray, "m 2"]) -> int:
    """How many pairs have their faces in different parts."""
    part = np.zeros(len(chosen.rows), int)
    for k, name in enumerate(chosen.parts):
        part[chosen.splits[name]] = k
    return int((part[pairs[:, 0]] != part[pairs[:, 1]]).sum())
