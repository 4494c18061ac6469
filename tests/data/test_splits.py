"""Laws of the splits: which split a face is in, and what of it a model is given."""

import dataclasses
import hashlib

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from emotion_jax.data import splits, twins
from emotion_jax.data.table import FIVE, POINTS, SEVEN, Raw
from emotion_jax.errors import Mistake
from emotion_jax.tasks import Emotion, Keypoints

EMOTION, EMOTION7, KEYPOINTS = Emotion(), Emotion(classes=7), Keypoints()


def make_raw(num_faces=400, twin_rows=(), classes=SEVEN, seed=0, **fields):
    """Random faces of 4 x 4, face b made a twin of face a for each pair (a, b)."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (num_faces, 4, 4, 1), dtype=np.uint8)
    for a, b in twin_rows:
        image[b] = image[a]
    emotion = np.arange(num_faces) % len(classes)
    labels = {"emotion": np.eye(len(classes), dtype=np.float32)[emotion]}
    known = {"emotion": np.ones(num_faces, bool)}
    defaults = {"labels": labels, "known": known, "names": {"emotion": classes}}
    return Raw(source="fer2013", path="fer.csv", image=image, **(defaults | fields))


def fer_usage(training, public, private=0):
    names = (
        ["Training"] * training + ["PublicTest"] * public + ["PrivateTest"] * private
    )
    return np.array(names)


def take(raw, rows):
    """The same source with its rows in another order."""
    return dataclasses.replace(
        raw,
        image=raw.image[rows],
        labels={k: v[rows] for k, v in raw.labels.items()},
        known={k: v[rows] for k, v in raw.known.items()},
        usage=None if raw.usage is None else raw.usage[rows],
        person=None if raw.person is None else raw.person[rows],
    )


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


def test_dedupe_drops_twins_of_held_out_rows_from_training_only():
    pairs = [(0, 310), (1, 370), (2, 3), (320, 380)]
    raw = make_raw(twin_rows=pairs, usage=fer_usage(300, 60, 40))

    def rows(split):
        faces = splits.make_split(raw, split, {"emotion": EMOTION7}, 4, dedupe=True)
        return set(faces.rows.tolist())

    assert rows("Training") == set(range(300)) - {0, 1}
    assert rows("train+val") == set(range(300)) - {0, 1}
    assert rows("PublicTest") == set(range(300, 360))
    assert rows("test") == set(range(360, 400))
    everyone = splits.make_split(raw, "Training", {"emotion": EMOTION7}, 4)
    assert everyone.rows.tolist() == list(range(300))
    hopeless = make_raw(2, twin_rows=[(0, 1)], usage=fer_usage(1, 1))
    with pytest.raises(Mistake, match="every row of split 'Training' has a twin"):
        splits.make_split(hopeless, "Training", {"emotion": EMOTION7}, 4, dedupe=True)


def test_twins_are_counted_among_the_faces_that_the_model_uses():
    raw = make_raw(twin_rows=[(0, 310), (2, 312)], usage=fer_usage(300, 100))
    for dedupe, counts in [(False, (1, 0)), (True, (0, 1))]:  # of row 2, fear, nothing
        split = splits.make_split(raw, "Training", {"emotion": EMOTION}, 4, dedupe)
        assert (split.twins, split.dropped) == counts


def test_near_twins_of_held_out_rows_go_too_if_asked():
    """Row 0 is row 310 mirrored, row 1 row 370 exactly, rows 2 and 3 one another."""
    clouds = gaussian_filter(
        np.random.default_rng(0).normal(size=(400, 24, 24)), (0, 2, 2)
    )
    photo = (128 + 80 * clouds / np.abs(clouds).max()).astype(np.uint8)[..., None]
    photo[0], photo[1], photo[2] = photo[310, :, ::-1], photo[370], photo[3] + 9
    raw = make_raw(usage=fer_usage(300, 60, 40))
    raw = dataclasses.replace(raw, image=photo)

    def split(name, dedupe):
        return splits.make_split(raw, name, {"emotion": EMOTION7}, 24, dedupe)

    near, exact, plain = (split("Training", how) for how in ("near", True, False))
    assert set(range(300)) - set(near.rows.tolist()) == {0, 1}
    assert set(range(300)) - set(exact.rows.tolist()) == {1}
    assert [(s.twins, s.dropped) for s in (near, exact, plain)] == [
        (0, 2),
        (0, 1),
        (1, 0),
    ]
    raw = take(raw, np.arange(400)[::-1])  # the held-out ones first
    back = split("Training", "near")
    assert set(range(100, 400)) - set(back.rows.tolist()) == {398, 399}
    test = split("test", "near")
    assert (len(test), test.twins, test.dropped) == (40, 0, 0)


def test_twins_of_val_are_not_trained_on_either():
    """Else the best step and the temperature were chosen on faces known by heart."""
    usage = np.array(["train"] * 300 + ["val"] * 60 + ["test"] * 40)
    raw = make_raw(twin_rows=[(0, 310), (1, 311), (2, 380)], usage=usage)

    def split(name, dedupe):
        return splits.make_split(raw, name, {"emotion": EMOTION7}, 4, dedupe)

    train = split("train", True)
    assert set(range(300)) - set(train.rows.tolist()) == {0, 1, 2}
    assert split("train", False).twins == 3
    # Where val is trained on, too, the test's alone are held out.
    both = split("train+val", True)
    assert set(range(360)) - set(both.rows.tolist()) == {2}
    assert len(split("val", True)) == 60


def test_faces_that_are_alike_at_this_side_alone_are_near_twins():
    """As where the originals differed by less than a gray level of a smaller image."""
    image = np.random.default_rng(0).integers(0, 256, (400, 24, 24, 1), np.uint8)
    image[0], image[1] = image[380], image[2]
    raw = make_raw(usage=fer_usage(300, 60, 40))
    hashes = np.arange(400, dtype=np.uint64)  # as of originals that all differ
    raw = dataclasses.replace(raw, image=image, original_hashes=hashes)

    def split(dedupe):
        return splits.make_split(raw, "Training", {"emotion": EMOTION7}, 24, dedupe)

    near, exact = split("near"), split(True)
    assert set(range(300)) - set(near.rows.tolist()) == {0}
    assert len(exact) == 300 and (near.dropped, exact.dropped) == (1, 0)


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


def test_training_takes_its_own_labels_where_there_are_such():
    trained = np.zeros((7, 7), np.float32)
    trained[0, [0, 2]] = 0.75, 0.25
    trained[1, [0, 2]] = 0.5, 0.5
    raw = make_raw(7, trained={"emotion": trained}, trained_as="votes")
    tasks = {"emotion": EMOTION}
    split = splits.make_split(raw, "all", tasks, 4, trained=True)
    assert split.rows.tolist() == [0] and split.labels == "votes"
    assert split.faces["labels"]["emotion"].tolist() == [[1, 0, 0, 0, 0]]
    assert len(splits.make_split(raw, "all", tasks, 4)) == 5
    plain = splits.make_split(make_raw(7), "all", tasks, 4, trained=True)
    assert len(plain) == 5 and plain.labels == "original"


def test_seven_classes_for_a_model_of_five():
    raw = make_raw(7, extra={"intensity": np.arange(7) / 10})
    split = splits.make_split(raw, "all", {"emotion": EMOTION}, 4)
    assert split.rows.tolist() == [0, 1, 3, 4, 5]  # neither fear nor neutral
    assert split.faces["labels"]["emotion"].argmax(axis=1).tolist() == [0, 1, 3, 2, 4]
    assert split.faces["labels"]["emotion"].sum(axis=1).tolist() == [1] * 5
    assert split.faces["known"]["emotion"].all()
    assert split.offered["emotion"].all() and split.name == "all" and len(split) == 5
    assert split.extra["intensity"].tolist() == [0, 0.1, 0.3, 0.4, 0.5]
    assert (split.faces["image"] == raw.image[split.rows]).all()


def test_a_face_is_told_if_a_twin_of_it_is_trained_on():
    usage = fer_usage(6, 2, 2)
    twins_of = [(0, 6), (7, 8), (1, 2)]  # across; both held out; both to train on
    raw = make_raw(10, twin_rows=twins_of, usage=usage, classes=FIVE)
    extra = {
        name: splits.make_split(raw, name, {"emotion": EMOTION}, 4).extra
        for name in ("PublicTest", "PrivateTest", "Training", "all")
    }
    assert extra["PublicTest"]["twin"].tolist() == [True, False]
    assert extra["PrivateTest"]["twin"].tolist() == [False, False]
    # Nothing else is there to train on, so nothing can be said.
    assert "twin" not in extra["Training"] | extra["all"]


def test_who_is_shown_goes_with_the_face():
    raw = make_raw(40, person=np.array([f"p{i}" for i in range(40)]), classes=FIVE)
    split = splits.make_split(raw, "train", {"emotion": EMOTION}, 4)
    assert split.extra["person"].tolist() == [f"p{row}" for row in split.rows]


def test_five_classes_for_a_model_of_seven():
    raw = make_raw(5, classes=FIVE)
    split = splits.make_split(raw, "all", {"emotion": EMOTION7}, 4)
    assert split.faces["labels"]["emotion"].argmax(axis=1).tolist() == [0, 1, 4, 3, 5]
    assert split.offered["emotion"].tolist() == [[1, 1, 0, 1, 1, 1, 0]] * 5


def test_soft_labels_are_renormalised_over_what_the_model_knows():
    votes = [[4, 0, 2, 2, 0, 0, 2], [2, 0, 3, 0, 0, 0, 5], [5, 0, 5, 0, 0, 0, 0]]
    labels = {"emotion": np.array(votes, np.float32) / 10}
    raw = make_raw(3, labels=labels)
    split = splits.make_split(raw, "all", {"emotion": EMOTION}, 4)
    assert split.rows.tolist() == [0]
    expected = [[2 / 3, 0, 0, 1 / 3, 0]]
    np.testing.assert_allclose(split.faces["labels"]["emotion"], expected, rtol=1e-6)


def test_half_of_the_votes_is_not_most_however_it_is_rounded():
    votes = np.float32([[0, 0, 0, 4, 2, 1, 7], [0, 0, 0, 8, 0, 0, 6]]) / 14
    raw = make_raw(2, labels={"emotion": votes})  # the first adds up to 0.50000006
    assert splits.make_split(raw, "all", {"emotion": EMOTION}, 4).rows.tolist() == [1]


def test_unknown_labels_are_zeros():
    """Where a face stays for what is known of it besides."""
    votes = np.array([[0.4, 0, 0.6, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0]], np.float32)
    raw = make_raw(
        2,
        labels={"emotion": votes, "keypoints": np.ones((2, 15, 2), np.float32)},
        known={"emotion": np.ones(2, bool), "keypoints": np.ones((2, 15), bool)},
        names={"emotion": SEVEN, "keypoints": POINTS},
    )
    tasks = {"emotion": EMOTION, "keypoints": KEYPOINTS}
    faces = splits.make_split(raw, "all", tasks, 4).faces
    assert faces["known"]["emotion"].tolist() == [False, True]
    assert faces["labels"]["emotion"].tolist() == [[0] * 5, [1, 0, 0, 0, 0]]
    assert faces["known"]["keypoints"].all()


def test_points_move_with_the_resize():
    point = np.zeros((2, 15, 2), np.float32)
    point[0, :2] = [[0, 0], [1.5, 3]]
    known = np.zeros((2, 15), bool)
    known[0, :2] = True
    fields = {"labels": {"keypoints": point}, "known": {"keypoints": known}}
    raw = make_raw(2, names={"keypoints": POINTS}, **fields)
    split = splits.make_split(raw, "all", {"keypoints": KEYPOINTS}, 8)
    assert split.rows.tolist() == [0]  # of the other face nothing is known
    labels = split.faces["labels"]["keypoints"]
    assert labels[0, :3].tolist() == [[0.5, 0.5], [3.5, 6.5], [0, 0]]
    assert split.faces["known"]["keypoints"][0].tolist() == [True] * 2 + [False] * 13
    assert split.faces["image"].shape == (1, 8, 8, 1)
    same = splits.make_split(raw, "all", {"keypoints": KEYPOINTS}, 4)
    assert (same.faces["labels"]["keypoints"] == point[:1]).all()


def test_a_bright_pixel_stays_under_its_point():
    image = np.zeros((1, 24, 24, 1), np.uint8)
    image[0, 6:9, 15:18] = 255  # its centre is x 16, y 7
    points = np.full((1, 15, 2), [16, 7], np.float32)
    raw = Raw(
        source="keypoints",
        path="k.csv",
        image=image,
        labels={"keypoints": points},
        known={"keypoints": np.ones((1, 15), bool)},
        names={"keypoints": POINTS},
    )
    for side in (8, 17, 24, 48, 96):
        faces = splits.make_split(raw, "all", {"keypoints": KEYPOINTS}, side).faces
        weight = faces["image"][0, :, :, 0].astype(float)
        y, x = (np.indices(weight.shape) * weight).sum(axis=(1, 2)) / weight.sum()
        np.testing.assert_allclose(
            faces["labels"]["keypoints"][0, 0], (x, y), atol=0.05
        )


def test_a_task_that_the_source_does_not_know_is_zeros():
    tasks = {"emotion": EMOTION, "keypoints": KEYPOINTS}
    split = splits.make_split(make_raw(5, classes=FIVE), "all", tasks, 4)
    assert split.offered["keypoints"].all()  # it rules out none of its points
    faces = split.faces
    assert faces["labels"]["keypoints"].shape == (5, 15, 2)
    assert not faces["labels"]["keypoints"].any()
    assert faces["labels"]["keypoints"].dtype == np.float32
    assert faces["known"]["keypoints"].shape == (5, 15)
    assert not faces["known"]["keypoints"].any()


def test_nothing_known():
    with pytest.raises(
        Mistake,
        match="none of the 5 faces of split 'all'.* it learns keypoints .*left_eye_cent"
        ".*the source gives emotion",
    ):
        splits.make_split(make_raw(5), "all", {"keypoints": KEYPOINTS}, 4)
