"""Laws of the splits: which split a face is in."""

import hashlib

import numpy as np
import pytest
from raws import fer_usage, make_raw, take

from emotion_jax.data import splits, twins
from emotion_jax.errors import Mistake

SOURCES = {
    "usage": make_raw(usage=fer_usage(300, 60, 40)),
    "public": make_raw(usage=fer_usage(300, 100)),
    "none": make_raw(),
    "twins": make_raw(twin_rows=[(i, i + 200) for i in range(150)]),
    "people": make_raw(person=np.array([f"p{i // 4}" for i in range(400)])),
    "own": make_raw(usage=np.array((["train"] * 8 + ["val", "test"]) * 40)),
}


@pytest.fixture(params=SOURCES)
def raw(request):
    return SOURCES[request.param]


def test_splits_share_no_row(raw):
    parts = [splits.split_rows(raw, s) for s in ("train", "val", "test")]
    together = np.concatenate(parts)
    assert len(set(together.tolist())) == len(together)
    assert all(part.tolist() == sorted(part.tolist()) for part in parts)
    assert parts[0].dtype == np.int64
    everything = splits.split_rows(raw, "all").tolist()
    assert everything == list(range(400))
    if raw is not SOURCES["usage"]:  # whose PublicTest is none of the three
        assert sorted(together.tolist()) == everything
    union = splits.split_rows(raw, "train+val")
    assert union.tolist() == sorted([*parts[0], *parts[1]])


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_splits_do_not_depend_on_the_order_of_rows(raw, split):
    order = np.random.default_rng(1).permutation(400)
    shuffled = splits.split_rows(take(raw, order), split)
    assert sorted(order[shuffled]) == splits.split_rows(raw, split).tolist()


def test_splits_do_not_depend_on_other_rows():
    raw = SOURCES["none"]
    test = splits.split_rows(raw, "test")
    half = take(raw, np.arange(200))
    assert splits.split_rows(half, "test").tolist() == test[test < 200].tolist()


def test_the_hash_never_changes():
    raw = SOURCES["none"]
    digest = hashlib.blake2b(raw.image[7].tobytes(), digest_size=8).digest()
    assert twins.hash_images(raw.image)[7] == int.from_bytes(digest, "big")
    zeros = np.zeros((1, 48, 48, 1), np.uint8)
    assert twins.hash_images(zeros).tolist() == [10074308506815576095]
    sizes = [len(splits.split_rows(raw, s)) for s in ("train", "val", "test")]
    assert sizes == [310, 54, 36]


def test_twins_and_people_never_straddle():
    sides = np.full((2, 400), "", dtype="U5")
    for i, source in enumerate(("twins", "people")):
        for name in ("train", "val", "test"):
            sides[i, splits.split_rows(SOURCES[source], name)] = name
    assert (sides[0, :150] == sides[0, 200:350]).all()
    assert (sides[1].reshape(100, 4) == sides[1].reshape(100, 4)[:, :1]).all()


def test_nameless_people_are_split_by_pixels():
    nameless = make_raw(person=np.array([""] * 400))
    for split in ("train", "val", "test"):
        rows = splits.split_rows(SOURCES["none"], split)
        assert splits.split_rows(nameless, split).tolist() == rows.tolist()


def test_files_own_splits():
    raw, public = SOURCES["usage"], SOURCES["public"]
    rows = {s: splits.split_rows(raw, s) for s in ("PublicTest", "PrivateTest", "test")}
    assert rows["PublicTest"].tolist() == list(range(300, 360))
    assert rows["PrivateTest"].tolist() == list(range(360, 400))
    assert rows["test"].tolist() == list(range(360, 400))
    assert splits.split_rows(public, "test").tolist() == list(range(300, 400))
    assert 15 < len(splits.split_rows(raw, "val")) < 45
    assert splits.split_rows(raw, "val").max() < 300


def test_val_has_no_twins_and_train_keeps_them():
    alone = make_raw(usage=fer_usage(300, 100))
    val = splits.split_rows(alone, "val")
    a, b, c = val[:3].tolist()
    other = [row for row in range(300) if row not in val][0]
    pairs = [(a, other), (b, 350)]
    raw = make_raw(usage=fer_usage(300, 100), twin_rows=pairs)
    assert splits.split_rows(raw, "val").tolist() == sorted(set(val) - {a, b})
    assert {a, b, other} <= set(splits.split_rows(raw, "train").tolist())
    assert c in splits.split_rows(raw, "val")


@pytest.mark.parametrize(
    "source, split, problem",
    [
        ("public", "PrivateTest", "'PrivateTest' does not exist; there is PublicTest"),
        ("public", "Test", "'Test' does not exist; .*Training, train, val, test, all"),
        (
            "none",
            "Training",
            "'Training' does not exist; there is train, val, test, all",
        ),
        ("none", "", "'' does not exist"),
        ("none", "train+", "'' does not exist"),
        ("own", "Training", "'Training' .* there is test, train, val, all"),
    ],
)
def test_split_that_is_not_there(source, split, problem):
    with pytest.raises(Mistake, match=f"fer2013=fer.csv: split {problem}"):
        splits.split_rows(SOURCES[source], split)


def test_empty_split():
    with pytest.raises(Mistake, match="split 'val' is empty; there is PublicTest, te"):
        splits.split_rows(make_raw(4, usage=fer_usage(0, 4)), "val")


def test_default_split():
    assert splits.default_split(SOURCES["usage"]) == "test"
    assert splits.default_split(SOURCES["none"]) == "all"
    assert splits.has_splits(SOURCES["own"]) and not splits.has_splits(SOURCES["none"])


def test_a_photo_under_two_names_takes_both_people_to_one_side():
    """Each odd person has one photo of the even one before."""
    person = np.array([f"p{i // 4}" for i in range(400)])
    pairs = [(8 * i, 8 * i + 5) for i in range(50)]
    raw = make_raw(twin_rows=pairs, person=person)
    side = np.full(400, "", dtype="U5")
    for name in ("train", "val", "test"):
        side[splits.split_rows(raw, name)] = name
    assert (side.reshape(50, 8) == side.reshape(50, 8)[:, :1]).all()
    assert set(side) == {"train", "val", "test"}
