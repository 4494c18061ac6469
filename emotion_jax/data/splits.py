"""Fits a source's faces to a model: splits, twins, classes and side, in one place."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt64

from emotion_jax.data import twins
from emotion_jax.data.fer2013 import USAGES
from emotion_jax.data.image import resize
from emotion_jax.data.table import Faces, Raw, Split
from emotion_jax.errors import Mistake
from emotion_jax.tasks import Task

HELD_OUT = {"PublicTest", "PrivateTest", "test"}
DEDUPE = (False, True, "near")


def make_split(
    raw: Raw,
    split: str,
    tasks: Mapping[str, Task],
    side: int,
    dedupe: bool | str = False,
    trained: bool = False,
    unseen: UInt64[np.ndarray, " m"] | None = None,
) -> Split:
    """The faces of one split with any known label, in the form the model takes.

    Args:
      dedupe: whether to drop a row that has an exact twin among the held-out rows, or
        a near one ("near"); held-out rows stay, so evaluation splits never change. The
        rows of `val` count as held out unless the split contains some of them.
      trained: use the labels made for training, if the source has any.
      unseen: hashes of another file's faces, whose exact twins are treated likewise.
    """
    rows = split_rows(raw, split)
    own = raw.trained if trained else {}
    labels, known = {}, {}
    for name, task in tasks.items():
        convert = {"classes": _classes, "points": _points}[task.kind]
        given = own.get(name, raw.labels.get(name))
        labels[name], known[name] = convert(raw, name, given, task.names, rows, side)
    useful = np.zeros(len(rows), bool)
    for mask in known.values():
        useful |= mask.any(axis=tuple(range(1, mask.ndim)))
    unknown = len(rows) - int(useful.sum())
    leaks = _leaks(raw, rows, near=dedupe == "near")
    if unseen is not None:
        leaks |= np.isin(raw.hashes, unseen)
    leaks = useful & leaks[rows]
    if dedupe:
        useful &= ~leaks
    if not useful.any():
        raise Mistake(_why_nothing(raw, split, tasks, rows, bool(leaks.any())))
    extra = raw.extra | _of_training(raw, rows)
    if raw.person is not None:
        extra["person"] = raw.person
    rows = rows[useful]
    faces = Faces(
        image=resize(raw.image[rows], side),
        labels={name: value[useful] for name, value in labels.items()},
        known={name: value[useful] for name, value in known.items()},
    )
    offered = {
        name: np.isin(task.names, raw.names.get(name, task.names))
        for name, task in tasks.items()
    }
    return Split(
        source=raw.source,
        path=raw.path,
        name=split,
        faces=faces,
        rows=rows,
        offered={name: np.tile(mask, (len(rows), 1)) for name, mask in offered.items()},
        extra={name: value[rows] for name, value in extra.items()},
        labels=raw.trained_as if trained else "original",
        twins=0 if dedupe else int(leaks.sum()),
        dropped=int(leaks.sum()) if dedupe else 0,
        unknown=unknown,
    )


def split_rows(raw: Raw, split: str) -> Int64[np.ndarray, " n"]:
    """The rows of a split, or of several joined by `+`, in ascending order."""
    masks = splits(raw)
    chosen = np.zeros(len(raw.image), bool)
    for name in split.split("+"):
        if name not in masks or not masks[name].any():
            there = ", ".join(name for name, mask in masks.items() if mask.any())
            problem = "is empty" if name in masks else "does not exist"
            raise Mistake(f"{_name(raw)}: split {name!r} {problem}; there is {there}")
        chosen |= masks[name]
    return np.flatnonzero(chosen)


def has_splits(raw: Raw) -> bool:
    """Whether the file itself assigns its rows to splits."""
    return raw.usage is not None


def default_split(raw: Raw) -> str:
    """The split that an evaluation uses if none is named."""
    return "test" if has_splits(raw) else "all"


def partition(raw: Raw) -> dict[str, Int64[np.ndarray, " n"]]:
    """Every row exactly once: in the file's own splits, else in train, val and test."""
    own = ("train", "val", "test") if raw.usage is None else raw.usage.tolist()
    masks = splits(raw)
    rows = {name: np.flatnonzero(masks[name]) for name in dict.fromkeys(own)}
    return {name: at for name, at in rows.items() if len(at)}


def splits(raw: Raw) -> dict[str, Bool[np.ndarray, " n"]]:
    """Every split by name: a mask of the rows.

    Splits made here go by hashes, so exact twins stay together and a row stays in its
    split whatever other rows there are. Near twins cannot be kept together that way:
    nearness chains from face to face, so a number shared by all neighbours would be
    shared by all faces. They are reported, and `dedupe="near"` drops them.
    """
    everything = {"all": np.ones(len(raw.image), bool)}
    if raw.usage is None:
        tenth = raw.kin % 10
        masks = {"train": tenth > 1, "val": tenth == 0, "test": tenth == 1}
        return masks | everything
    own = {str(name): raw.usage == name for name in np.unique(raw.usage)}
    if not own.keys() & USAGES:
        return own | everything
    training = raw.usage == "Training"
    val = training & (raw.hashes % 10 == 0) & twins.alone(raw.hashes)
    test = raw.usage == ("PrivateTest" if "PrivateTest" in own else "PublicTest")
    return own | {"train": training & ~val, "val": val, "test": test} | everything


def _leaks(
    raw: Raw, rows: Int64[np.ndarray, " m"], near: bool
) -> Bool[np.ndarray, " n"]:
    """Rows that are not held out but have an exact (or near) twin that is.

    The test splits are held out, and so is `val` if none of it is among `rows`.
    """
    masks, held_out = splits(raw), np.zeros(len(raw.image), bool)
    for name, mask in masks.items():
        if name in HELD_OUT or name == "val" and not mask[rows].any():
            held_out |= mask
    leaks = np.isin(raw.hashes, raw.hashes[held_out])
    if near:
        # Images equal only at this side are neither near pairs nor exact twins.
        looks = twins.hash_images(raw.image)
        leaks |= np.isin(looks, looks[held_out])
        pairs = twins.near_pairs(raw.image)
        leaks[pairs[held_out[pairs[:, ::-1]]]] = True
    return ~held_out & leaks


def _of_training(raw: Raw, rows: Int64[np.ndarray, " n"]) -> dict[str, np.ndarray]:
    """`twin` for all rows: whether it has an exact twin among the other training rows.

    Empty if there are no other rows to train on.
    """
    others = np.ones(len(raw.image), bool)
    others[rows] = False
    for name, mask in splits(raw).items():
        if name in HELD_OUT:
            others &= ~mask
    return {"twin": np.isin(raw.hashes, raw.hashes[others])} if others.any() else {}


def _classes(
    raw: Raw,
    task: str,
    given: np.ndarray | None,
    names: Sequence[str],
    rows: Int64[np.ndarray, " n"],
    side: int,
) -> tuple[Float32[np.ndarray, "n k"], Bool[np.ndarray, " n"]]:
    """Labels over the model's classes; unknown unless these have most of the mass."""
    labels = np.zeros((len(rows), len(names)), np.float32)
    if given is None:
        return labels, np.zeros(len(rows), bool)
    for k, name in enumerate(names):
        if name in raw.names[task]:
            labels[:, k] = given[rows, raw.names[task].index(name)]
    mass = labels.sum(axis=1)
    known = raw.known[task][rows] & (mass > 0.5001)  # not half, however rounded
    labels[known] /= mass[known, None]
    labels[~known] = 0
    return labels, known


def _points(
    raw: Raw,
    task: str,
    given: np.ndarray | None,
    names: Sequence[str],
    rows: Int64[np.ndarray, " n"],
    side: int,
) -> tuple[Float32[np.ndarray, "n p 2"], Bool[np.ndarray, "n p"]]:
    """Labels in pixels of the resized image, 0 where unknown."""
    labels = np.zeros((len(rows), len(names), 2), np.float32)
    known = np.zeros((len(rows), len(names)), bool)
    if given is None:
        return labels, known
    height, width = raw.image.shape[1:3]
    scale = np.array([side / width, side / height])
    for p, name in enumerate(names):
        if name in raw.names[task]:
            point = raw.names[task].index(name)
            xy = given[rows, point].astype(np.float64)
            labels[:, p] = (xy + 0.5) * scale - 0.5
            known[:, p] = raw.known[task][rows, point]
    labels[~known] = 0
    return labels, known


def _why_nothing(
    raw: Raw,
    split: str,
    tasks: Mapping[str, Task],
    rows: Int64[np.ndarray, " n"],
    twins: bool,
) -> str:
    if twins:
        return f"{_name(raw)}: every row of split {split!r} has a twin that is held out"
    none = f"{_name(raw)}: none of the {len(rows)} faces of split {split!r} has"
    offered = [name for name in tasks if name in raw.names]
    if offered and not any(raw.known[name][rows].any() for name in offered):
        return f"{none} a label of {' or '.join(offered)} filled in"
    wanted = " and ".join(f"{n} ({', '.join(t.names)})" for n, t in tasks.items())
    given = " and ".join(f"{n} ({', '.join(names)})" for n, names in raw.names.items())
    return (
        f"{none} a label that the model uses; it learns {wanted}, and the source "
        f"gives {given}"
    )


def _name(raw: Raw) -> str:
    return f"{raw.source}={raw.path}" if raw.path else raw.source
