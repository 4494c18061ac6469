"""What FER2013's labels agree with: ten people's votes, and the labels of twins."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from emotion_jax import data
from emotion_jax.data import twins
from emotion_jax.data.table import FIVE, SEVEN, Raw
from emotion_jax.errors import Mistake

COLUMNS = [SEVEN.index(name) for name in FIVE]
BINS = (0.0, 0.3, 0.5, 0.7, 0.9, 1.01)  # shares of votes for the first of the five
VOTERS = 10

Right = Float[np.ndarray, " n"]  # how far each face is right: ties are shared


@dataclasses.dataclass(frozen=True)
class Voted:
    """The faces whose label is one of the five, with their votes for the seven."""

    raw: Raw
    rows: Int[np.ndarray, " n"]
    label: Int[np.ndarray, " n"]  # among the five
    share: Float[np.ndarray, "n 7"]  # together with contempt, unknown, no face: 1

    @property
    def five(self) -> Float[np.ndarray, "n 5"]:
        """The votes for the five."""
        return self.share[:, COLUMNS]

    def of(self, usage: str) -> "Voted":
        """The faces of a Usage."""
        here = self.raw.usage[self.rows] == usage
        return Voted(self.raw, self.rows[here], self.label[here], self.share[here])


def load(path: str, votes: str) -> Voted:
    """FER2013 with FER+."""
    raw = data.load("fer2013", path, votes=votes, labels="distribution")
    if raw.names["emotion"] != SEVEN or "PublicTest" not in (
        raw.usage if raw.usage is not None else ()
    ):
        raise Mistake(f"{path} has no PublicTest of seven classes")
    label = raw.labels["emotion"].argmax(1)
    rows = np.flatnonzero(np.isin(label, COLUMNS))
    order = np.argsort(COLUMNS)
    among = order[np.searchsorted(np.sort(COLUMNS), label[rows])]
    return Voted(raw, rows, among, raw.trained["emotion"][rows])


def first(votes: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """The class that most vote for, ties shared; with no votes, all equally."""
    top = votes == votes.max(1, keepdims=True)
    return top / top.sum(1, keepdims=True)


def agreement(faces: Voted) -> Right:
    """A reader who names the one of the five that most of the ten voted for."""
    return first(faces.five)[np.arange(len(faces.rows)), faces.label]


def next_vote(faces: Voted) -> Right:
    """The same reader with one vote left out as the label, where there are two votes.

    This is how well labels given like FER+'s, by one person per face, could be read.
    """
    count = np.round(faces.five * VOTERS)
    count = count[count.sum(1) >= 2]
    right = np.zeros(len(count))
    for k in range(len(FIVE)):
        others = count - np.eye(len(FIVE))[k]
        right += count[:, k] * first(others.clip(0))[:, k]
    return right / count.sum(1)


def taught(train: Voted, test: Voted, *more: tuple[np.ndarray, np.ndarray]) -> Right:
    """A reader of the votes who has learnt how FER2013's labels relate to them.

    Args:
      more: further columns, for the training faces and for the test faces.
    """
    from sklearn.linear_model import LogisticRegression

    known = np.concatenate([train.share, *(a for a, _ in more)], axis=1)
    asked = np.concatenate([test.share, *(b for _, b in more)], axis=1)
    reader = LogisticRegression(max_iter=1000).fit(known, train.label)
    return (reader.predict(asked) == test.label).astype(float)


def by_clarity(faces: Voted, right: Right) -> list[tuple[str, int, float]]:
    """By how clear the votes are: the range, its faces, and the share that is right."""
    top = faces.five.max(1)
    found = []
    for low, high in zip(BINS, BINS[1:]):
        here = (top >= low - 1e-6) & (top < high - 1e-6)
        name = f"{low:.1f} to {min(high, 1):.1f}"
        if here.any():
            found.append((name, int(here.sum()), float(right[here].mean())))
    return found


def twin_pairs(raw: Raw, near: bool) -> Int[np.ndarray, "m 2"]:
    """Pairs of rows that show one photo: the same pixels, or nearly."""
    if near:
        return twins.near_pairs(raw.image)
    group, shown = twins.groups(raw.image), np.flatnonzero(~twins.blank(raw.image))
    order = shown[np.argsort(group[shown], kind="stable")]
    pairs = [
        np.stack([order[:-step], order[step:]], axis=1)[
            group[order[:-step]] == group[order[step:]]
        ]
        for step in range(1, np.bincount(group).max())
    ]
    return np.concatenate([np.empty((0, 2), np.int64), *pairs])


def agree(pairs: Int[np.ndarray, "m 2"], label: Int[np.ndarray, " n"]) -> Right:
    """For each photo that has pairs: the share of them whose labels are the same.

    Connected pairs are one photo: one that occurs five times counts once.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size, ones = len(label), np.ones(len(pairs), bool)
    _, photo = connected_components(coo_array((ones, pairs.T), shape=(size, size)))
    _, photo = np.unique(photo[pairs[:, 0]], return_inverse=True)
    same = label[pairs[:, 0]] == label[pairs[:, 1]]
    return np.bincount(photo, same) / np.bincount(photo)


def panels_agree(share: Float[np.ndarray, "n 7"]) -> Right:
    """Whether two panels of ten, drawn from a face's votes, would name one class."""
    rng = np.random.default_rng(0)
    rest = np.clip(1 - share.sum(1, keepdims=True), 0, 1)
    chances = np.concatenate([share, rest], axis=1).astype(np.float64)
    chances /= chances.sum(1, keepdims=True)
    a, b = (rng.multinomial(VOTERS, chances)[:, :-1].argmax(1) for _ in range(2))
    return (a == b).astype(float)
