"""Laws of make_split: what of its faces a model is given, and in what form."""

import dataclasses

import numpy as np
import pytest
from raws import fer_usage, make_raw, take
from scipy.ndimage import gaussian_filter

from emotion_jax.data.splits import make_split
from emotion_jax.data.table import FIVE, POINTS, SEVEN, Raw, Split
from emotion_jax.errors import Mistake
from emotion_jax.tasks import Emotion, Keypoints

POINTED = {"keypoints": Keypoints()}
BOTH = {"emotion": Emotion()} | POINTED


def split_of(raw: Raw, name="all", classes=5, side=4, **options) -> Split:
    """A split for a model of five or seven emotions."""
    tasks = {"emotion": Emotion(classes=classes)}
    return make_split(raw, name, tasks, side, **options)


def test_dedupe_drops_twins_of_held_out_rows_from_training_only():
    pairs = [(0, 310), (1, 370), (2, 3), (320, 380)]
    raw = make_raw(twin_rows=pairs, usage=fer_usage(300, 60, 40))

    def rows(name):
        return set(split_of(raw, name, 7, dedupe=True).rows.tolist())

    assert rows("Training") == set(range(300)) - {0, 1}
    assert rows("train+val") == set(range(300)) - {0, 1}
    assert rows("PublicTest") == set(range(300, 360))
    assert rows("test") == set(range(360, 400))
    assert split_of(raw, "Training", 7).rows.tolist() == list(range(300))
    hopeless = make_raw(2, twin_rows=[(0, 1)], usage=fer_usage(1, 1))
    with pytest.raises(Mistake, match="every row of split 'Training' has a twin"):
        split_of(hopeless, "Training", 7, dedupe=True)


def test_twins_are_counted_among_the_faces_that_the_model_uses():
    raw = make_raw(twin_rows=[(0, 310), (2, 312)], usage=fer_usage(300, 100))
    for dedupe, counts in [(False, (1, 0)), (True, (0, 1))]:  # of row 2, fear, nothing
        split = split_of(raw, "Training", dedupe=dedupe)
        assert (split.twins, split.dropped) == counts
        assert len(split) + split.dropped + split.unknown == 300


def test_near_twins_of_held_out_rows_go_too_if_asked():
    """Row 0 is row 310 mirrored, row 1 row 370 exactly, rows 2 and 3 one another."""
    clouds = gaussian_filter(
        np.random.default_rng(0).normal(size=(400, 24, 24)), (0, 2, 2)
    )
    photo = (128 + 80 * clouds / np.abs(clouds).max()).astype(np.uint8)[..., None]
    photo[0], photo[1], photo[2] = photo[310, :, ::-1], photo[370], photo[3] + 9
    raw = dataclasses.replace(make_raw(usage=fer_usage(300, 60, 40)), image=photo)

    def split(raw, dedupe, name="Training"):
        return split_of(raw, name, 7, side=24, dedupe=dedupe)

    near, exact, plain = (split(raw, how) for how in ("near", True, False))
    assert set(range(300)) - set(near.rows.tolist()) == {0, 1}
    assert set(range(300)) - set(exact.rows.tolist()) == {1}
    assert [(s.twins, s.dropped) for s in (near, exact, plain)] == [
        (0, 2),
        (0, 1),
        (1, 0),
    ]
    raw = take(raw, np.arange(400)[::-1])  # the held-out ones first
    back = split(raw, "near")
    assert set(range(100, 400)) - set(back.rows.tolist()) == {398, 399}
    test = split(raw, "near", "test")
    assert (len(test), test.twins, test.dropped) == (40, 0, 0)


def test_twins_of_val_are_not_trained_on_either():
    """Else the best step and the temperature were chosen on faces known by heart."""
    usage = np.array(["train"] * 300 + ["val"] * 60 + ["test"] * 40)
    raw = make_raw(twin_rows=[(0, 310), (1, 311), (2, 380)], usage=usage)
    train = split_of(raw, "train", 7, dedupe=True)
    assert set(range(300)) - set(train.rows.tolist()) == {0, 1, 2}
    assert split_of(raw, "train", 7).twins == 3
    # Where val is trained on, too, the test's alone are held out.
    both = split_of(raw, "train+val", 7, dedupe=True)
    assert set(range(360)) - set(both.rows.tolist()) == {2}
    assert len(split_of(raw, "val", 7, dedupe=True)) == 60


def test_faces_that_are_alike_at_this_side_alone_are_near_twins():
    """As where the originals differed by less than a gray level of a smaller image."""
    image = np.random.default_rng(0).integers(0, 256, (400, 24, 24, 1), np.uint8)
    image[0], image[1] = image[380], image[2]
    raw = make_raw(usage=fer_usage(300, 60, 40))
    hashes = np.arange(400, dtype=np.uint64)  # as of originals that all differ
    raw = dataclasses.replace(raw, image=image, original_hashes=hashes)
    options = {"name": "Training", "classes": 7, "side": 24}
    near, exact = (split_of(raw, dedupe=how, **options) for how in ("near", True))
    assert set(range(300)) - set(near.rows.tolist()) == {0}
    assert len(exact) == 300 and (near.dropped, exact.dropped) == (1, 0)


def test_training_takes_its_own_labels_where_there_are_such():
    trained = np.zeros((7, 7), np.float32)
    trained[0, [0, 2]] = 0.75, 0.25
    trained[1, [0, 2]] = 0.5, 0.5
    raw = make_raw(7, trained={"emotion": trained}, trained_as="votes")
    split = split_of(raw, trained=True)
    assert split.rows.tolist() == [0] and split.labels == "votes"
    assert split.faces["labels"]["emotion"].tolist() == [[1, 0, 0, 0, 0]]
    assert len(split_of(raw)) == 5
    plain = split_of(make_raw(7), trained=True)
    assert len(plain) == 5 and plain.labels == "original"


def test_seven_classes_for_a_model_of_five():
    raw = make_raw(7, extra={"intensity": np.arange(7) / 10})
    split = split_of(raw)
    assert split.rows.tolist() == [0, 1, 3, 4, 5]  # neither fear nor neutral
    assert split.unknown == 2 and split_of(raw, classes=7).unknown == 0
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
        name: split_of(raw, name).extra
        for name in ("PublicTest", "PrivateTest", "Training", "all")
    }
    assert extra["PublicTest"]["twin"].tolist() == [True, False]
    assert extra["PrivateTest"]["twin"].tolist() == [False, False]
    # Nothing else is there to train on, so nothing can be said.
    assert "twin" not in extra["Training"] | extra["all"]


def test_who_is_shown_goes_with_the_face():
    raw = make_raw(40, person=np.array([f"p{i}" for i in range(40)]), classes=FIVE)
    split = split_of(raw, "train")
    assert split.extra["person"].tolist() == [f"p{row}" for row in split.rows]


def test_five_classes_for_a_model_of_seven():
    split = split_of(make_raw(5, classes=FIVE), classes=7)
    assert split.faces["labels"]["emotion"].argmax(axis=1).tolist() == [0, 1, 4, 3, 5]
    assert split.offered["emotion"].tolist() == [[1, 1, 0, 1, 1, 1, 0]] * 5


def test_soft_labels_are_renormalised_over_what_the_model_knows():
    votes = [[4, 0, 2, 2, 0, 0, 2], [2, 0, 3, 0, 0, 0, 5], [5, 0, 5, 0, 0, 0, 0]]
    labels = {"emotion": np.array(votes, np.float32) / 10}
    split = split_of(make_raw(3, labels=labels))
    assert split.rows.tolist() == [0]
    expected = [[2 / 3, 0, 0, 1 / 3, 0]]
    np.testing.assert_allclose(split.faces["labels"]["emotion"], expected, rtol=1e-6)


def test_half_of_the_votes_is_not_most_however_it_is_rounded():
    votes = np.float32([[0, 0, 0, 4, 2, 1, 7], [0, 0, 0, 8, 0, 0, 6]]) / 14
    raw = make_raw(2, labels={"emotion": votes})  # the first adds up to 0.50000006
    assert split_of(raw).rows.tolist() == [1]


def test_unknown_labels_are_zeros():
    """Where a face stays for what is known of it besides."""
    votes = np.array([[0.4, 0, 0.6, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0]], np.float32)
    raw = make_raw(
        2,
        labels={"emotion": votes, "keypoints": np.ones((2, 15, 2), np.float32)},
        known={"emotion": np.ones(2, bool), "keypoints": np.ones((2, 15), bool)},
        names={"emotion": SEVEN, "keypoints": POINTS},
    )
    faces = make_split(raw, "all", BOTH, 4).faces
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
    split = make_split(raw, "all", POINTED, 8)
    assert split.rows.tolist() == [0]  # of the other face nothing is known
    labels = split.faces["labels"]["keypoints"]
    assert labels[0, :3].tolist() == [[0.5, 0.5], [3.5, 6.5], [0, 0]]
    assert split.faces["known"]["keypoints"][0].tolist() == [True] * 2 + [False] * 13
    assert split.faces["image"].shape == (1, 8, 8, 1)
    same = make_split(raw, "all", POINTED, 4)
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
        faces = make_split(raw, "all", POINTED, side).faces
        weight = faces["image"][0, :, :, 0].astype(float)
        y, x = (np.indices(weight.shape) * weight).sum(axis=(1, 2)) / weight.sum()
        np.testing.assert_allclose(
            faces["labels"]["keypoints"][0, 0], (x, y), atol=0.05
        )


def test_a_task_that_the_source_does_not_know_is_zeros():
    split = make_split(make_raw(5, classes=FIVE), "all", BOTH, 4)
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
        make_split(make_raw(5), "all", POINTED, 4)


def test_labels_that_are_all_empty_are_told_as_such():
    raw = make_raw(5)
    raw = dataclasses.replace(raw, known={"emotion": np.zeros(5, bool)})
    told = "none of the 5 faces of split 'all' has a label of emotion filled in$"
    with pytest.raises(Mistake, match=told):
        make_split(raw, "all", {"emotion": Emotion(FIVE)}, 4)
