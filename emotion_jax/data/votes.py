"""FER+: what ten people saw in each face of FER2013, as labels to train on.

The file is fer2013new.csv (Barsoum et al. 2016, MIT licence), whose rows are those of
fer2013.csv, Usage by Usage. Evaluation still uses the original labels.
"""

import dataclasses

import numpy as np
from jaxtyping import Float32

from emotion_jax import registry
from emotion_jax.data.table import SEVEN, Raw
from emotion_jax.errors import Mistake, first_line

# The file's columns: FER2013's seven in their order, then everything else.
NAMES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
COLUMNS = (*NAMES, "contempt", "unknown", "NF")
UNKNOWN, NO_FACE = COLUMNS.index("unknown"), COLUMNS.index("NF")
MIN_AGREEMENT = 0.4  # of majority votes with labels: 0.64 if matched, 0.2 if not

Labels = Float32[np.ndarray, "n 7"]
Shares = Float32[np.ndarray, "n 10"]


@dataclasses.dataclass(frozen=True)
class Votes:
    """A file's rows: each one's Usage, and the share of its votes for each column."""

    path: str
    usage: np.ndarray  # str[n]
    shares: np.ndarray  # float32[n 10]


def majority(original: Labels, shares: Shares) -> Labels:
    """The class that most voted for; ties are shared."""
    top = (shares == shares.max(1, keepdims=True)).astype(np.float32)
    return (top / top.sum(1, keepdims=True))[:, : len(SEVEN)]


def distribution(original: Labels, shares: Shares) -> Labels:
    """The votes themselves."""
    return shares[:, : len(SEVEN)]


def mean(original: Labels, shares: Shares) -> Labels:
    """The mean of the votes and FER2013's own label."""
    return (original + shares[:, : len(SEVEN)]) / 2


LABELS = {
    "original": lambda original, shares: original,
    "majority": majority,
    "distribution": distribution,
    "mean": mean,
}


def read(path: str, labels: str, drop_no_face: bool) -> Votes | None:
    """The file's votes, if there is one and the options of `fer2013` ask for them."""
    if path and not labels and not drop_no_face:
        raise Mistake(
            "fer2013 with votes=PATH alone trains as without: add labels=majority, "
            "distribution or mean, or drop_no_face=True; or write labels=original"
        )
    labels = labels or "original"
    registry.pick("labels of fer2013", labels, LABELS)
    if not path and (labels != "original" or drop_no_face):
        wants = "drop_no_face" if drop_no_face else f"labels={labels!r}"
        raise Mistake(f"fer2013 with {wants} needs votes=PATH, FER+'s fer2013new.csv")
    return _read(path) if path else None


def with_votes(raw: Raw, votes: Votes, labels: str, drop_no_face: bool) -> Raw:
    """The faces with labels to train on beside the original ones.

    A label keeps only its share for FER2013's seven, so a row with most of its votes
    for contempt, "unknown" or "not a face" sums to at most half, and `make_split`
    leaves it out. If a model has no neutral, `make_split` also leaves out a happy face
    that 6 of 10 call neutral: the voters are taken at their word, and four of them are
    not enough to call it happy for certain. By the same rule a neutral face that 8 call
    happy is trained on as happy.

    Args:
      labels: a key of LABELS.
      drop_no_face: do not train on images that most voters call "not a face"; voters
        who cannot tell the emotion ("unknown") do see a face.
    """
    original, shares = raw.labels["emotion"], _join(raw, votes)
    trained = LABELS[labels](original, shares)
    if drop_no_face:
        trained = np.where(shares[:, NO_FACE, None] > 0.5, np.float32(0), trained)
    name = "original" if labels == "original" else f"FER+ {labels}"
    return dataclasses.replace(raw, trained={"emotion": trained}, trained_as=name)


def _read(path: str) -> Votes:
    import pandas  # takes a while to import

    try:
        table = pandas.read_csv(path, dtype=str, keep_default_na=False)
    except OSError as error:
        raise Mistake(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # pandas': not a table; Python's: not text
        raise Mistake(f"{path} is no CSV file: {first_line(error)}") from None
    if missing := [name for name in ("Usage", *COLUMNS) if name not in table]:
        raise Mistake(
            f"{path} is no file of FER+ votes: expected the columns Usage, "
            f"{', '.join(COLUMNS)}, got no {missing[0]}"
        )
    text = table[list(COLUMNS)].to_numpy(str)
    wrong = ~(np.char.isdecimal(text) & (np.char.str_len(text) <= 3))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise Mistake(
            f"{path}, line {row + 2}: expected {COLUMNS[column]} to be a number of "
            f"votes, got {text[row, column][:40]!r}"
        )
    counts = text.astype(np.float32)
    counts[counts.sum(1) == 0, UNKNOWN] = 1  # nobody voted
    shares = counts / counts.sum(1, keepdims=True)
    return Votes(path, table["Usage"].to_numpy(str), shares)


def _join(raw: Raw, votes: Votes) -> Shares:
    """Each face's votes: the n-th row of a Usage matches the file's n-th of it."""
    file = raw.path or "the prepared fer2013"
    if raw.usage is None or raw.names["emotion"] != SEVEN:
        raise Mistake(
            f"{file}: votes are by row of FER2013's seven classes with a column "
            "Usage; a file of five classes or without Usage does not tell which row"
        )
    shares = np.empty((len(raw.usage), len(COLUMNS)), np.float32)
    for usage in np.unique(raw.usage):
        mine, theirs = raw.usage == usage, votes.usage == usage
        if mine.sum() != theirs.sum():
            raise Mistake(
                f"{votes.path} has votes on {theirs.sum():,} rows of {usage}, and "
                f"{file} has {mine.sum():,} such rows: they do not belong together"
            )
        shares[mine] = votes.shares[theirs]
    best = shares[:, : len(SEVEN)].argmax(1)
    agreement = float((best == raw.labels["emotion"].argmax(1)).mean())
    if agreement < MIN_AGREEMENT:
        raise Mistake(
            f"{votes.path} agrees with {file} on {agreement:.0%} of the rows, and "
            "FER+ with FER2013 on 64 %: the rows are in different orders"
        )
    return shares
