"""Laws of labels: an array says what it is, and its names are found."""

import numpy as np
import pytest

from emotion_jax.data.table import Raw
from emotion_jax.report.labels import labels_of


def raw_of(name: str, *shape: int, names=("man", "woman")) -> Raw:
    """Three faces with one label."""
    value = np.zeros((3, *shape), np.float32)
    known = np.ones(value.shape[: value.ndim - 1], bool)
    image = np.zeros((3, 24, 24, 1), np.uint8)
    return Raw("own", "", image, {name: value}, {name: known}, {name: names})


@pytest.mark.parametrize(
    "shape, names, kind",
    [((2,), ("man", "woman"), "classes"), ((2, 2), ("left", "right"), "points")],
)
def test_the_array_tells_the_kind_and_the_source_the_names(shape, names, kind):
    raw = raw_of("own", *shape, names=names)
    (label,) = labels_of(raw, kind)
    assert (label.name, label.kind, label.names) == ("own", kind, names)
    other = {"classes": "points", "points": "classes"}[kind]
    assert labels_of(raw, other) == []


def test_a_face_without_a_label_is_of_no_class():
    raw = raw_of("gender", 2)
    raw.labels["gender"][:2, 1], raw.known["gender"][2] = 1, False
    (label,) = labels_of(raw, "classes")
    assert label.number.tolist() == [1, 1, -1]
    assert {n: m.tolist() for n, m in label.classes.items()} == {
        "man": [False] * 3,
        "woman": [True, True, False],
    }
