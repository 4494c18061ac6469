"""Laws of the order and of the feeds."""

from itertools import islice

import jax
import numpy as np
import pytest
import tiny

from emotion_jax.data.pipeline import (
    Order,
    Resident,
    Streamed,
    batch_counts,
    batch_indices,
    concatenate,
    make_feed,
)
from emotion_jax.data.table import Split
from emotion_jax.errors import Mistake
from emotion_jax.optim import Plan
from emotion_jax.sharding import make_mesh


def test_the_order_of_seed_0_is_this_one():
    found = [batch_indices(step, 0, (5,), (3,)).tolist() for step in range(4)]
    assert found == GOLDEN, "changing the order breaks every run begun before"


GOLDEN = [[0, 3, 4], [2, 1, 2], [4, 0, 3], [1, 0, 3]]


@pytest.mark.parametrize("size, count", [(10, 4), (7, 7), (5, 12), (1, 3)])
def test_each_face_comes_once_per_epoch(size, count):
    steps = -(-3 * size // count)
    rows = np.concatenate(
        [batch_indices(s, 1, (size,), (count,)) for s in range(steps)]
    )
    for epoch in range(3):
        inside = rows[epoch * size : (epoch + 1) * size]
        assert sorted(inside) == list(range(size))


def test_epochs_and_seeds_differ():
    first, second = (batch_indices(s, 0, (50,), (50,)) for s in (0, 1))
    other = batch_indices(0, 1, (50,), (50,))
    assert (first != second).any() and (first != other).any()


def test_a_mixture_has_the_same_composition_in_every_batch():
    for step in range(20):
        rows = batch_indices(step, 0, (10, 100), (2, 6))
        assert (rows < 10).sum() == 2 and (rows >= 10).sum() == 6


def test_each_source_of_a_mixture_keeps_its_own_epochs():
    rows = np.concatenate([batch_indices(s, 0, (4, 9), (2, 3)) for s in range(6)])
    small, large = rows[rows < 4], rows[rows >= 4] - 4
    assert sorted(small[:4]) == sorted(small[4:8]) == list(range(4))
    assert sorted(large[:9]) == sorted(large[9:18]) == list(range(9))


@pytest.mark.parametrize(
    "batch, weights, counts",
    [
        (10, (1.0,), (10,)),
        (8, (3.0, 1.0), (6, 2)),
        (10, (1.0, 1.0, 1.0), (4, 3, 3)),
        (128, (17682.0, 2558.0), (112, 16)),
    ],
)
def test_shares_become_counts_by_largest_remainder(batch, weights, counts):
    assert batch_counts(batch, weights) == counts


def test_a_source_without_a_place_in_the_batch_is_told():
    with pytest.raises(Mistake, match="batch of 4 leaves no place"):
        batch_counts(4, (1000.0, 1.0))


def test_resident_and_streamed_give_the_same_bits():
    table, mesh = tiny.faces(20), make_mesh()
    order = Order(3, (20,), (8,))
    resident, streamed = Resident(table, order, mesh), Streamed(table, order, mesh)
    for a, b in islice(zip(resident.batches(5), streamed.batches(5)), 6):
        same = jax.tree.map(np.array_equal, resident.gather(a), streamed.gather(b))
        assert jax.tree.all(same)


def test_a_batch_holds_the_rows_of_its_step():
    table = tiny.faces(20)
    order = Order(3, (20,), (8,))
    feed = Streamed(table, order, make_mesh())
    for step, batch in islice(enumerate(feed.batches(4), 4), 3):
        np.testing.assert_array_equal(batch["image"], table["image"][order(step)])


def test_a_batch_that_does_not_split_over_the_devices_is_told():
    split = make_split(20)
    with pytest.raises(Mistake, match="batch_size is 12.*over 8 devices"):
        plan = Plan(12, 10, 10, 2.0)
        make_feed({"a": split}, plan, 0, make_mesh(), name="resident", shares={})


def test_shares_name_every_source():
    plan, split = Plan(16, 10, 10, 2.0), make_split(20)
    with pytest.raises(Mistake, match="'b'"):
        train = {"a": split, "b": split}
        make_feed(train, plan, 0, make_mesh(), name="resident", shares={"a": 1.0})


def make_split(n: int, **extra) -> Split:
    rows = np.arange(n)
    return Split("synthetic", "", "val", tiny.faces(n), rows, ("anger",), extra)


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
