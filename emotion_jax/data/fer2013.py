"""FER2013 in any CSV form in circulation: seven classes, or the course's five.

emotion,pixels,Usage    emotion, Usage, pixels    emotion,pixels    emotion, pixels
"""

import numpy as np
from jaxtyping import Int64

from emotion_jax.data import csv_table, prepared
from emotion_jax.data import votes as fer_plus
from emotion_jax.data.table import FIVE, SEVEN, Raw
from emotion_jax.errors import Mistake

USAGES = ("Training", "PublicTest", "PrivateTest")


def read(
    path: str = "",
    classes: int | None = None,
    votes: str = "",
    labels: str = "",
    drop_no_face: bool = False,
) -> Raw:
    """Reads one file, or the prepared set.

    Args:
      classes: 5 or 7, which says what its numbers mean.
      votes: FER+'s file for the same rows; the next two say how training uses it.
      labels: "original" if empty, or "majority", "distribution" or "mean".
      drop_no_face: do not train on images that most voters call "not a face".
    """
    if classes not in (None, 5, 7):
        raise Mistake(f"fer2013 has 5 or 7 classes, got {classes!r}")
    given = fer_plus.read(votes, labels, drop_no_face)
    labels = labels or "original"
    raw = _from_csv(path, classes) if path else _prepared(classes)
    return fer_plus.with_votes(raw, given, labels, drop_no_face) if given else raw


def _prepared(classes: int | None) -> Raw:
    raw = prepared.read("fer2013")
    count = len(raw.names["emotion"])
    if classes not in (None, count):
        raise Mistake(
            f"the prepared fer2013 has {count} classes, not {classes}; "
            f"name the file, fer2013:{classes}=PATH"
        )
    return raw


def _from_csv(path: str, classes: int | None) -> Raw:
    table = csv_table.read(path, "pixels", ["emotion"], ["Usage"])
    emotion = table.choices("emotion", "0123456")
    usage = None
    if "Usage" in table.columns:
        usage = np.array(USAGES)[table.choices("Usage", USAGES)]
    names = _classes(table, emotion, classes or (7 if usage is not None else None))
    return Raw(
        source="fer2013",
        path=table.path,
        image=table.image,
        labels={"emotion": np.eye(len(names), dtype=np.float32)[emotion]},
        known={"emotion": np.ones(len(emotion), bool)},
        names={"emotion": names},
        usage=usage,
    )


def _classes(
    table: csv_table.Table, emotion: Int64[np.ndarray, " n"], forced: int | None
) -> tuple[str, ...]:
    """Five classes or seven: a 3 is happy in both, but a 4 is surprise or sad."""
    if forced == 7:
        return SEVEN
    if emotion.max() <= 4:
        return FIVE
    row = int(np.argmax(emotion > 4))
    got = f"got emotion {emotion[row]}"
    if forced == 5:
        raise table.mistake(row, f"expected one of five classes, 0 to 4, {got}")
    if all(100 * np.sum(emotion == number) >= len(emotion) for number in (5, 6)):
        return SEVEN
    raise table.mistake(
        row,
        f"{got}, yet 5 and 6 are not both on 1 % of the rows, as in seven classes; "
        f"write fer2013:7={table.path} if it has seven, correct the row if it has five",
    )
