"""The synthetic faces: who they are, where their points lie, and how hard they are."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from face_files import resized
from sklearn.linear_model import RidgeClassifier

from emotion_jax.data import anatomy, drawing, studio, synthetic
from emotion_jax.data.table import FIVE
from emotion_jax.errors import Mistake

# The mean of Kaggle's 2,140 complete rows, in the order of POINTS.
KAGGLE_MEAN = np.array(
    [
        *((66.22, 36.84), (29.64, 37.06)),
        *((59.27, 37.86), (73.41, 37.64), (36.60, 37.92), (22.36, 38.03)),
        *((56.15, 29.22), (79.62, 29.66), (39.27, 29.41), (15.76, 30.45)),
        (47.95, 57.25),
        *((63.42, 75.89), (32.97, 76.13)),
        *((48.08, 72.68), (48.15, 82.63)),
    ]
)


@functools.cache
def faces(n, seed=0):
    return synthetic.read(faces=n, seed=seed)


def test_the_same_seed_draws_the_same_bits_and_another_does_not():
    first, again, other = faces(20), synthetic.read(faces=20), faces(20, seed=1)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.labels["keypoints"], again.labels["keypoints"])
    assert not (first.image == other.image).all((1, 2, 3)).any()


def test_a_face_does_not_depend_on_how_many_are_drawn():
    few, many = faces(20), faces(1500)
    np.testing.assert_array_equal(few.image, many.image[:20])
    for name in few.labels:
        np.testing.assert_array_equal(few.labels[name], many.labels[name][:20])


def test_read_gives_the_table_that_it_promises():
    raw = faces(1500)
    assert raw.image.shape == (1500, 96, 96, 1) and raw.image.dtype == np.uint8
    assert raw.labels["emotion"].shape == (1500, 5)
    assert raw.labels["keypoints"].shape == (1500, 15, 2)
    assert {label.dtype for label in raw.labels.values()} == {np.dtype(np.float32)}
    assert raw.known["emotion"].shape == (1500,) and raw.known["emotion"].all()
    assert raw.known["keypoints"].shape == (1500, 15) and raw.known["keypoints"].all()
    assert raw.names["emotion"] == FIVE and raw.source == "synthetic"
    names, counts = np.unique(raw.usage, return_counts=True)
    assert dict(zip(names, counts, strict=True)) == {
        "train": 1200,
        "val": 150,
        "test": 150,
    }


def test_every_split_of_the_fewest_faces_has_one():
    assert synthetic.splits(10).tolist() == ["train"] * 8 + ["val", "test"]
    with pytest.raises(Mistake, match="at least 10 faces.*got 9"):
        synthetic.read(faces=9)


def test_emotions_are_balanced_and_of_every_strength():
    raw = faces(1500)
    assert (raw.labels["emotion"].sum(1) == 1).all()
    np.testing.assert_allclose(raw.labels["emotion"].mean(0), 0.2, atol=0.04)
    strength = raw.extra["intensity"]
    assert strength.shape == (1500,) and strength.dtype == np.float32
    assert strength.min() >= 0.2 and strength.max() <= 1
    for tenth in np.histogram(strength, 8, (0.2, 1.0))[0] / 1500:
        assert tenth == pytest.approx(1 / 8, abs=0.03)


def test_a_stronger_emotion_moves_the_points_further():
    who, _, _ = nobody()
    zero = dict.fromkeys(anatomy.ACTIONS, jnp.float32(0))
    one = dict.fromkeys(anatomy.ACTIONS, jnp.float32(1))

    @jax.jit
    def points(emotion, strength):
        return anatomy.keypoints(who, anatomy.act(emotion, strength, one, zero))

    for emotion in range(5):
        rest = points(emotion, 0.0)
        near, middle, far = (
            np.abs(points(emotion, strength) - rest).sum()
            for strength in (0.2, 0.6, 1.0)
        )
        assert 0.1 < near < middle < far


def test_keypoints_lie_inside_the_frame_and_on_their_own_side():
    points = faces(1500).labels["keypoints"]
    assert points.min() >= 0 and points.max() <= 95
    assert (points[:, 0, 0] > points[:, 1, 0] + 25).all()  # the left eye: larger x
    assert (points[:, 11, 0] > points[:, 12, 0] + 10).all()  # the mouth's corners
    assert (points[:, 14, 1] > points[:, 13, 1]).all()  # its bottom below its top


def test_keypoints_follow_kaggle():
    points = faces(1500).labels["keypoints"]
    mean = points.mean(0)
    np.testing.assert_allclose(mean, KAGGLE_MEAN, atol=1.2)
    rmse = np.sqrt(np.mean((points - mean) ** 2))
    assert rmse == pytest.approx(3.2, abs=0.3)  # Kaggle's own: 3.185


def nobody():
    """One average person, at rest in no pose, in a light from the front."""
    middle = {
        title: {name: jnp.float32(sum(span) / 2) for name, span in table.items()}
        for title, table in synthetic.RANGES.items()
    }
    bare = dict.fromkeys(("glasses", "beard", "moustache", "gaze"), jnp.float32(0))
    who = anatomy.person(middle["who"]) | bare
    return who, studio.pose(middle["pose"]), middle


def test_pixels_find_the_way_back_that_keypoints_went():
    who, pose, _ = nobody()
    pose = pose | {"yaw": jnp.float32(0.35), "pitch": jnp.float32(-0.2)}
    x, y = KAGGLE_MEAN.astype(np.float32).T
    flat = jax.jit(anatomy.unproject)(who, pose, x, y)
    there = np.stack(anatomy.project(who, pose, *flat), -1)
    np.testing.assert_allclose(there, KAGGLE_MEAN, atol=0.15)


def test_the_iris_is_drawn_at_the_eye_centre_in_any_pose():
    who, pose, middle = nobody()
    still = dict.fromkeys(anatomy.ACTIONS, jnp.float32(0))
    still["upper_lid_raiser"] = jnp.float32(1)  # or the lid hides half the iris
    pose = pose | {"yaw": jnp.float32(0.3), "roll": jnp.float32(0.12)}
    px, py = jnp.meshgrid(*[jnp.arange(96, dtype=jnp.float32)] * 2)
    light, scene = middle["light"], px * 0

    @jax.jit
    def draw(iris):
        changed = who | {"iris": iris}
        return drawing.render(changed, still, pose, light, scene, px, py, 1.0)

    change = np.abs(draw(jnp.float32(0.1)) - draw(jnp.float32(0.9)))
    eyes = anatomy.keypoints(who, still)[:2]
    for at in np.stack(anatomy.project(who, pose, *eyes.T), -1):
        near = change * (np.hypot(px - at[0], py - at[1]) < 8)
        found = np.array([(near * px).sum(), (near * py).sum()]) / near.sum()
        np.testing.assert_allclose(found, at, atol=0.6)


def test_a_linear_model_is_not_enough():
    raw = faces(1500)
    small = np.stack([resized(image, 24).ravel() for image in raw.image]) / 255
    emotion = raw.labels["emotion"].argmax(1)
    accuracy = [
        RidgeClassifier(alpha)
        .fit(small[:1200], emotion[:1200])
        .score(small[1200:], emotion[1200:])
        for alpha in (3, 10, 30, 100)
    ]
    assert 0.3 < max(accuracy) <= 0.60  # above chance, or nothing was drawn


def test_keypoints_are_in_pixels_of_the_side_that_is_asked_for():
    key = jax.random.fold_in(jax.random.key(0), 7)
    assert jax.eval_shape(lambda: synthetic.draw(key, 48))["image"].shape == (48, 48, 1)
    half = jax.jit(lambda: synthetic.draw(key, 48)["keypoints"])()
    whole = faces(20).labels["keypoints"][7]
    np.testing.assert_allclose(half, (whole + 0.5) / 2 - 0.5, atol=1e-3)
