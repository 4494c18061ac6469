"""Laws of the order and of the feeds."""

from itertools import islice

import jax
import numpy as np
import pytest
import tiny

from emotion_jax.data import pipeline
from emotion_jax.data.pipeline import (
    Order,
    Resident,
    Streamed,
    batch_counts,
    batch_indices,
    make_feed,
)
from emotion_jax.data.table import Split
from emotion_jax.errors import Mistake
from emotion_jax.plan import Plan
from emotion_jax.sharding import make_mesh


def rows_of(*args) -> np.ndarray:
    return batch_indices(*args)[0]


def test_the_order_of_seed_0_is_this_one():
    found = [rows_of(step, 0, [np.arange(5)], [3]).tolist() for step in range(4)]
    assert found == GOLDEN, "changing the order breaks every run begun before"


GOLDEN = [[0, 3, 4], [2, 1, 2], [4, 0, 3], [1, 0, 3]]


@pytest.mark.parametrize("size, count", [(10, 4), (7, 7), (5, 12), (1, 3)])
def test_each_face_comes_once_per_epoch_of_its_group(size, count):
    steps = -(-3 * size // count)
    group = 100 + 7 * np.arange(size)
    batches = [batch_indices(s, 1, [group], [count]) for s in range(steps)]
    rows, epochs = map(np.concatenate, zip(*batches))
    for epoch in range(3):
        inside = slice(epoch * size, (epoch + 1) * size)
        assert sorted(rows[inside]) == group.tolist()
        np.testing.assert_array_equal(np.floor(epochs[inside]), epoch)


def test_a_faces_epoch_is_its_position_over_the_size_of_its_group():
    groups = [np.arange(5), np.arange(5, 7)]
    rows, epochs = batch_indices(2, 0, groups, [3, 1])
    np.testing.assert_allclose(epochs, [6 / 5, 7 / 5, 8 / 5, 2 / 2], rtol=1e-6)
    assert rows.dtype == np.int32 and epochs.dtype == np.float32
    late = batch_indices(10_000, 0, [np.arange(1000)], [1000])[1]
    np.testing.assert_array_equal(np.floor(late), 10_000)  # also of the last face


def test_a_faces_epoch_is_never_rounded_up_to_the_next():
    """In float32 it would be for the last of a million: its mirror would not turn."""
    size, count, epoch = 1_000_000, 1000, 40
    step = epoch * size // count + size // count - 1  # the last one of the epoch
    epochs = batch_indices(step, 0, [np.arange(size)], [count])[1]
    assert epochs.dtype == np.float32 and (np.floor(epochs) == epoch).all()


def test_epochs_and_seeds_differ():
    first, second = (rows_of(s, 0, [np.arange(50)], [50]) for s in (0, 1))
    other = rows_of(0, 1, [np.arange(50)], [50])
    assert (first != second).any() and (first != other).any()


def test_groups_of_one_size_have_orders_of_their_own():
    rows = rows_of(0, 0, [np.arange(50), np.arange(50, 100)], [50, 50])
    assert (rows[:50] != rows[50:] - 50).any()


def test_a_mixture_has_the_same_composition_in_every_batch():
    for step in range(20):
        rows = rows_of(step, 0, [np.arange(10), np.arange(10, 110)], [2, 6])
        assert (rows < 10).sum() == 2 and (rows >= 10).sum() == 6


def test_each_source_of_a_mixture_keeps_its_own_epochs():
    groups = [np.arange(4), np.arange(4, 13)]
    rows = np.concatenate([rows_of(s, 0, groups, [2, 3]) for s in range(6)])
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
    order = Order(3, [np.arange(12), np.arange(12, 20)], [6, 2])
    resident, streamed = Resident(table, order, mesh), Streamed(table, order, mesh)
    for a, b in islice(zip(resident.batches(5), streamed.batches(5)), 6):
        a, b = resident.gather(a), streamed.gather(b)
        assert set(a) == set(b) == {"image", "labels", "known", "row", "epoch"}
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)


def test_a_batch_holds_the_rows_of_its_step():
    table = tiny.faces(20)
    order = Order(3, [np.arange(20)], [8])
    feed = Streamed(table, order, make_mesh())
    for step, batch in islice(enumerate(feed.batches(4), 4), 3):
        row = order(step)["row"]
        np.testing.assert_array_equal(batch["image"], table["image"][row])
        np.testing.assert_array_equal(batch["row"], row)
        np.testing.assert_array_equal(batch["epoch"], order(step)["epoch"])


def test_each_row_is_taken_as_often_as_its_group_has_places_for_it():
    groups = [np.array([0, 3, 4, 7]), np.array([1, 2]), np.array([5, 6, 8])]
    order = Order(3, groups, [6, 1, 1], shuffled=True)
    rows = np.concatenate([order(step)["row"] for step in range(6)])
    np.testing.assert_allclose(6 * order.per_step, np.bincount(rows))


def test_a_batch_that_does_not_split_over_the_devices_is_told():
    split = make_split(20)
    with pytest.raises(Mistake, match="batch_size is 12.*over 8 devices"):
        plan = Plan(12, 10, 10, 2.0)
        make_feed({"a": split}, plan, 0, make_mesh(), name="resident", shares={})


@pytest.mark.parametrize(
    "named, told",
    [("a", "config.feed.shares lacks b"), ("abc", "source in config.feed.shares 'c'")],
)
def test_shares_name_every_source_and_no_other(named, told):
    plan, split = Plan(16, 10, 10, 2.0), make_split(20)
    train, shares = {"a": split, "b": split}, dict.fromkeys(named, 1.0)
    with pytest.raises(Mistake, match=told):
        make_feed(train, plan, 0, make_mesh(), name="resident", shares=shares)


def test_an_epoch_of_many_groups_is_drawn_once(monkeypatch):
    drawn, draw = [], pipeline.epoch_order
    monkeypatch.setattr(
        pipeline, "epoch_order", lambda *key: drawn.append(key) or draw(*key)
    )
    groups = list(np.arange(400).reshape(40, 10))
    order = Order(0, groups, [1] * 40)
    for step in range(20):  # two epochs
        order(step)
    assert len(drawn) == len(set(drawn)) == 80


def labelled(*counts: int, unknown: int = 0) -> Split:
    """A source of so many faces a class, mixed, and some without one."""
    label = np.repeat(np.arange(len(counts) + 1), (*counts, unknown))
    label = np.random.default_rng(0).permutation(label)
    n, known = len(label), label < len(counts)
    faces = {
        "image": np.zeros((n, 2, 2, 1), np.uint8),
        "labels": {
            "emotion": np.eye(5, dtype=np.float32)[label % 5] * known[:, None],
            "keypoints": np.zeros((n, 15, 2), np.float32),
        },
        "known": {"emotion": known, "keypoints": np.ones((n, 15), bool)},
    }
    return Split("synthetic", "", "train", faces, np.arange(n), tiny.offered(n), {})


def drawn(train, batch_size, balance, shares, steps) -> list[list[list[int]]]:
    """Faces of each class, then without one, that each source gives to each batch."""
    plan = Plan(batch_size, 10, 10, 2.0)
    feed = make_feed(
        train, plan, 0, make_mesh(), name="streamed", shares=shares, balance=balance
    )
    ends = np.cumsum([len(split) for split in train.values()])
    found = []
    for step in steps:
        row = feed.order(step)["row"]
        found.append([])
        for end, split in zip(ends, train.values(), strict=True):
            mine = row[(row >= end - len(split)) & (row < end)] - end + len(split)
            emotion = split.faces["labels"]["emotion"][mine]
            counts = np.bincount(emotion.argmax(1)[emotion.any(1)], minlength=5)
            found[-1].append([*counts.tolist(), int((~emotion.any(1)).sum())])
    return found


@pytest.mark.parametrize(
    "batch, power, counts",
    [
        (128, 1.0, [26, 26, 26, 25, 25, 0]),
        (120, 0.5, [40, 20, 30, 10, 20, 0]),  # as 20 : 10 : 15 : 5 : 10
        (120, 0.0, [56, 14, 32, 4, 14, 0]),  # as 400 : 100 : 225 : 25 : 100
    ],
)
def test_balance_levels_the_classes_of_every_batch(batch, power, counts):
    train = {"a": labelled(400, 100, 225, 25, 100)}
    found = drawn(train, batch, {"emotion": power}, {}, (0, 1, 13))
    assert found == [[counts]] * 3


def test_faces_without_a_class_are_a_group_of_their_own():
    train = {"a": labelled(40, 10, 30, 5, 5, unknown=90)}
    assert drawn(train, 48, {"emotion": 1.0}, {}, [2]) == [[[8, 8, 8, 8, 8, 8]]]


def test_neighbours_in_a_balanced_batch_are_of_any_class():
    """Mixing takes the face before: of one class alone there would be none to mix."""
    split = labelled(400, 100, 225, 25, 100)
    plan = Plan(80, 9, 9, 9.0)
    feed = make_feed(
        {"a": split},
        *(plan, 0, make_mesh()),
        **{"name": "streamed", "shares": {}, "balance": {"emotion": 1.0}},
    )
    same, orders = [], set()
    for batch in islice(feed.batches(0), 9):
        label = np.asarray(batch["labels"]["emotion"]).argmax(1)
        orders.add(tuple(label.tolist()))
        same += list(label == np.roll(label, 1))
        epochs = np.asarray(batch["epoch"])[label == 3]  # of 25 faces, 16 a batch
        assert np.ptp(epochs) == pytest.approx(15 / 25, abs=1e-5)
    assert 0.15 < np.mean(same) < 0.25  # a fifth by chance
    assert len(orders) == 9  # each batch is shuffled anew


def test_each_source_keeps_its_share_and_is_balanced_within():
    train = {"a": labelled(50, 10), "b": labelled(5, 5, 90)}
    level = {"emotion": 1.0}
    shared = drawn(train, 48, level, {"a": 3.0, "b": 1.0}, [0, 5])
    assert shared == [[[18, 18, 0, 0, 0, 0], [4, 4, 4, 0, 0, 0]]] * 2
    by_size = drawn(train, 16, level, {}, [0])  # 60 : 100 faces
    assert by_size == [[[3, 3, 0, 0, 0, 0], [4, 3, 3, 0, 0, 0]]]


def test_balance_shows_a_face_again_only_once_its_class_is_through():
    split = labelled(40, 8)
    plan = Plan(16, 10, 10, 2.0)
    feed = make_feed(
        {"a": split},
        plan,
        0,
        make_mesh(),
        name="resident",
        shares={},
        balance={"emotion": 1.0},
    )
    rows = np.concatenate([feed.order(step)["row"] for step in range(5)])
    seen = np.bincount(rows, minlength=48)
    label = split.faces["labels"]["emotion"].argmax(1)
    assert (seen[label == 0] == 1).all() and (seen[label == 1] == 5).all()


@pytest.mark.parametrize(
    "balance",
    [{"emotions": 1.0}, {"keypoints": 1.0}, {"emotion": 1.0, "keypoints": 1.0}],
)
def test_balance_names_one_task_of_classes(balance):
    with pytest.raises(Mistake, match=f"there is emotion.*got {', '.join(balance)}"):
        drawn({"a": labelled(8, 8)}, 8, balance, {}, [])


@pytest.mark.parametrize("power", [-0.5, 1.5])
def test_balance_levels_at_most_wholly_and_never_the_other_way(power):
    with pytest.raises(Mistake, match=f"balance.emotion is {power}, must be in"):
        drawn({"a": labelled(8, 8)}, 8, {"emotion": power}, {}, [])


def test_a_class_too_rare_for_the_batch_is_told():
    train = {"a": labelled(500, 1)}
    with pytest.raises(Mistake, match="batch of 8 leaves no place"):
        drawn(train, 8, {"emotion": 0.0}, {}, [])
    assert drawn(train, 8, {"emotion": 1.0}, {}, [0]) == [[[4, 4, 0, 0, 0, 0]]]


def make_split(n: int) -> Split:
    rows, offered = np.arange(n), tiny.offered(n)
    return Split("synthetic", "", "val", tiny.faces(n), rows, offered, {})
