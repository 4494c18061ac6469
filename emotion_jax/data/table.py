"""The one table format: a face is an image with whatever labels are known."""

import dataclasses
import functools
from typing import TypedDict

import jax
import numpy as np

from emotion_jax.data import twins

FIVE = ("anger", "disgust", "sad", "happy", "surprise")
SEVEN = ("anger", "disgust", "fear", "happy", "sad", "surprise", "neutral")

# Kaggle's names and order; left and right are the subject's own.
POINTS = (
    "left_eye_center",
    "right_eye_center",
    "left_eye_inner_corner",
    "left_eye_outer_corner",
    "right_eye_inner_corner",
    "right_eye_outer_corner",
    "left_eyebrow_inner_end",
    "left_eyebrow_outer_end",
    "right_eyebrow_inner_end",
    "right_eyebrow_outer_end",
    "nose_tip",
    "mouth_left_corner",
    "mouth_right_corner",
    "mouth_center_top_lip",
    "mouth_center_bottom_lip",
)


class Faces(TypedDict):
    """n faces with every task present: zeros and False where a label is unknown."""

    image: np.ndarray  # uint8[n side side 1]
    labels: dict[str, np.ndarray]  # classes: float32[n k]; points: float32[n p 2]
    known: dict[str, np.ndarray]  # classes: bool[n]; points: bool[n p]


@dataclasses.dataclass(frozen=True)
class Raw:
    """A source's faces as read: its own classes, points, side and splits.

    Points are x, y in pixels of `image`, with (0, 0) the centre of the top-left
    pixel, and 0 where unknown.
    """

    source: str  # a key of SOURCES
    path: str  # "" where the source needs none
    image: np.ndarray  # uint8[n h w 1]
    labels: dict[str, np.ndarray]  # classes: float32[n k]; points: float32[n p 2]
    known: dict[str, np.ndarray]  # classes: bool[n]; points: bool[n p]
    names: dict[str, tuple[str, ...]]  # of each label's classes or points
    usage: np.ndarray | None = None  # str[n], the split that the file itself names
    person: np.ndarray | None = None  # str[n]
    extra: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)  # [n]
    # What training uses instead of `labels`, by task; rows of zeros are left out.
    trained: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    trained_as: str = "original"  # what those labels are called
    # uint64[n], of what `image` was resampled from, so that splits are the same at
    # every side; None if it was not resampled.
    original_hashes: np.ndarray | None = None
    left_out: int = 0  # files that could not be read

    @functools.cached_property
    def hashes(self) -> np.ndarray:
        """uint64[n]: equal for rows of the same image."""
        if self.original_hashes is not None:
            return self.original_hashes
        return twins.hash_images(self.image)

    @functools.cached_property
    def kin(self) -> np.ndarray:
        """uint64[n]: equal for rows that no split parts: of an image, of a person."""
        if self.person is None:
            return self.hashes
        return twins.hash_people(self.person, self.image)


@dataclasses.dataclass(frozen=True)
class Split:
    """One split of one source, ready for a model's tasks and side."""

    source: str
    path: str
    name: str  # the split's name, as asked for
    faces: Faces
    rows: np.ndarray  # int64[n], each face's row in the source, from 0
    offered: dict[str, np.ndarray]  # bool[n k] by task: names that its source has
    extra: dict[str, np.ndarray]
    labels: str = "original"  # what its labels are called
    twins: int = 0  # faces of this split that a held-out split has too
    dropped: int = 0  # faces left out because a held-out split has them too
    unknown: int = 0  # faces left out because the network knows no label of theirs
    trained_on: int = 0  # faces that the network in question was trained on

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: np.ndarray) -> "Split":
        """The faces at these places of the split, in this order."""
        columns = {"faces": self.faces, "rows": self.rows, "offered": self.offered}
        columns = jax.tree.map(lambda x: x[rows], columns | {"extra": self.extra})
        return dataclasses.replace(self, **columns)


def concatenate(splits: list[Split]) -> Split:
    """Joins several splits; an extra column is kept if all of them have it."""
    if len(splits) == 1:
        return splits[0]
    extra = set.intersection(*(set(s.extra) for s in splits))
    columns = [(s.faces, s.rows, s.offered) for s in splits]
    faces, rows, offered = jax.tree.map(lambda *x: np.concatenate(x), *columns)
    return Split(
        source="+".join(s.source for s in splits),
        path="",
        name="+".join(dict.fromkeys(s.name for s in splits)),
        faces=faces,
        rows=rows,
        offered=offered,
        extra={k: np.concatenate([s.extra[k] for s in splits]) for k in sorted(extra)},
        unknown=sum(s.unknown for s in splits),
        trained_on=sum(s.trained_on for s in splits),
    )
