"""Laws of splits that are joined."""

import dataclasses

import jax
import numpy as np
import tiny

from emotion_jax.data.table import Split, concatenate


def make_split(n: int, **extra) -> Split:
    rows, offered = np.arange(n), tiny.offered(n)
    return Split("synthetic", "", "val", tiny.faces(n), rows, offered, extra)


def test_concatenation_tells_what_it_is_of():
    a, b = make_split(3), make_split(2)
    rows, some = np.array([7, 4]), {"emotion": np.eye(2, 5, dtype=bool)}
    b = dataclasses.replace(
        b, source="folder", name="all", rows=rows, offered=b.offered | some, unknown=4
    )
    both = concatenate([a, b])
    assert (both.source, both.name) == ("synthetic+folder", "val+all")
    assert both.rows.tolist() == [0, 1, 2, 7, 4]
    assert both.offered["emotion"].sum(1).tolist() == [5, 5, 5, 1, 1]
    assert concatenate([a, a]).name == "val"
    assert both.unknown == 4 and concatenate([b, b]).unknown == 8


def test_concatenation_keeps_every_face_and_shared_columns():
    a = make_split(3, intensity=np.ones(3, np.float32), other=np.zeros(3))
    b = make_split(4, intensity=np.zeros(4, np.float32))
    both = concatenate([a, b])
    assert len(both) == 7 and len(both.faces["image"]) == 7
    assert list(both.extra) == ["intensity"]
    np.testing.assert_array_equal(both.extra["intensity"], [1, 1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(
        both.faces["labels"]["keypoints"][3:], b.faces["labels"]["keypoints"]
    )


def test_what_is_taken_of_a_concatenation_is_as_it_was():
    a, b = make_split(3, person=np.array(["x", "y", "z"])), make_split(2)
    some = {"emotion": np.eye(2, 5, dtype=bool)}
    extra = {"person": np.array(["x", "w"])}
    b = dataclasses.replace(b, offered=b.offered | some, extra=extra)
    found = concatenate([a, b]).take(np.array([4, 3]))
    for field in ("faces", "rows", "offered", "extra"):
        expected = jax.tree.map(lambda column: column[::-1], getattr(b, field))
        jax.tree.map(np.testing.assert_array_equal, getattr(found, field), expected)
