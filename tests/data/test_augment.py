"""Laws of the augmentation: pixels and points move together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from emotion_jax.data import augment
from emotion_jax.data.augment import AUGMENTATIONS, GEOMETRY, PHOTOMETRY, make_augment
from emotion_jax.data.table import POINTS
from emotion_jax.errors import Mistake
from emotion_jax.tasks import Keypoints

SIDE = 48
TASKS = {"keypoints": Keypoints()}
STRONG = {
    "flip": {"probability": 1.0},
    "rotate": {"degrees": 30.0},
    "zoom": {"low": 0.8, "high": 1.25},
    "translate": {"fraction": 0.1},
}


def dots(points: np.ndarray) -> np.ndarray:
    """Small bright blobs, centred on the points to a fraction of a pixel."""
    y, x = np.mgrid[:SIDE, :SIDE]
    far = [(x - px) ** 2 + (y - py) ** 2 for px, py in points]
    return np.exp(-np.min(far, 0) / 2)[..., None].astype(np.float32)


def centre_of_mass(image: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Where the blob near a point is, x and y."""
    y, x = np.mgrid[:SIDE, :SIDE]
    weight = image[..., 0] * (np.hypot(x - near[0], y - near[1]) < 4)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


def face(point: np.ndarray) -> dict:
    """A black image with one dot, which is the left eye's centre; the rest unknown."""
    labels = np.zeros((15, 2), np.float32)
    labels[0] = point
    return on_device(dots(point[None]), labels, np.arange(15) == 0)


def on_device(image, points, known) -> dict:
    """One face as the step hands it over."""
    face = {"image": image, "labels": {"keypoints": points}}
    return jax.tree.map(jnp.asarray, face | {"known": {"keypoints": known}})


@pytest.mark.parametrize("names", [*[(n,) for n in GEOMETRY], tuple(GEOMETRY)])
def test_a_bright_dot_stays_under_its_keypoint(names):
    moved = jax.jit(make_augment(TASKS, {name: STRONG[name] for name in names}))
    rng = np.random.default_rng(0)
    for seed in range(10):
        after = moved(jax.random.key(seed), face(rng.uniform(16, 32, 2)))
        known = np.asarray(after["known"]["keypoints"])
        assert known.sum() == 1
        expected = after["labels"]["keypoints"][known][0]
        found = centre_of_mass(np.asarray(after["image"]), np.asarray(expected))
        assert np.abs(found - expected).max() < 0.5
        assert POINTS[known.argmax()].startswith("right" if "flip" in names else "left")


@pytest.mark.parametrize("name", PHOTOMETRY)
def test_photometry_moves_no_point(name):
    before = face(np.array([20.0, 30.0]))
    after = make_augment(TASKS, {name: {}})(jax.random.key(0), before)
    np.testing.assert_array_equal(
        after["labels"]["keypoints"], before["labels"]["keypoints"]
    )


def test_flipping_twice_is_the_identity():
    flip = make_augment(TASKS, {"flip": {"probability": 1.0}})
    rng = np.random.default_rng(0)
    known = rng.random(15) < 0.5
    points = np.where(known[:, None], rng.uniform(0, 47, (15, 2)), 0)
    image = rng.random((SIDE, SIDE, 1), np.float32)
    before = on_device(image, points.astype(np.float32), known)
    once = flip(jax.random.key(0), before)
    twice = flip(jax.random.key(1), once)
    np.testing.assert_array_equal(once["image"], before["image"][:, ::-1])
    np.testing.assert_allclose(twice["image"], before["image"], atol=1e-6)
    np.testing.assert_array_equal(twice["known"]["keypoints"], known)
    np.testing.assert_allclose(
        twice["labels"]["keypoints"][known], points[known], atol=1e-4
    )


def test_a_flip_maps_x_to_side_minus_one_minus_x_and_swaps_sides():
    flip = make_augment(TASKS, {"flip": {"probability": 1.0}})
    after = flip(jax.random.key(0), face(np.array([10.0, 20.0])))
    right_eye = POINTS.index("right_eye_center")
    np.testing.assert_allclose(after["labels"]["keypoints"][right_eye], [37, 20])


def test_the_warp_is_scipys_affine_transform():
    rng = np.random.default_rng(0)
    image = rng.random((SIDE, SIDE, 1), np.float32)
    matrix = augment.affine(0.9, -0.2, 3.0, 0.25, 1.1, -2.0)
    found = augment.warp(jnp.asarray(image), matrix)[..., 0]
    inverse = np.linalg.inv(np.asarray(matrix, np.float64))
    swap = [1, 0]  # SciPy counts rows first
    expected = ndimage.affine_transform(
        image[..., 0].astype(np.float64),
        inverse[:2, :2][swap][:, swap],
        inverse[:2, 2][swap],
        order=1,
        mode="nearest",
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_zoom_grows_the_face_and_translation_is_within_its_fraction():
    keys = jax.random.split(jax.random.key(0), 200)
    zooms = jax.vmap(lambda k: augment.zoom(k, SIDE, 1.1, 1.2)[0, 0])(keys)
    assert 1.1 <= zooms.min() and zooms.max() <= 1.2 + 1e-6
    shifts = jax.vmap(lambda k: augment.translate(k, SIDE, 0.1)[:2, 2])(keys)
    assert 4.0 < jnp.abs(shifts).max() <= 4.8


def test_rotation_is_within_its_degrees():
    keys = jax.random.split(jax.random.key(0), 200)
    matrices = jax.vmap(lambda k: augment.rotate(k, SIDE, 20.0))(keys)
    degrees = np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert 18 < np.abs(degrees).max() <= 20
    np.testing.assert_allclose(jax.vmap(augment.determinant)(matrices), 1, atol=1e-5)


def test_brightness_and_contrast_do_what_they_say():
    image = jnp.array([0.2, 0.4, 0.6, 0.8]).reshape(2, 2, 1)
    brighter = augment.brightness(jax.random.key(0), image, 0.1) - image
    assert np.ptp(brighter) < 1e-6 and 0 < abs(brighter.mean()) <= 0.1
    flatter = augment.contrast(jax.random.key(0), image, 0.5, 0.5)
    np.testing.assert_allclose(flatter.ravel(), [0.35, 0.45, 0.55, 0.65], atol=1e-6)


def test_erasing_covers_about_its_area_and_keeps_the_rest():
    image = jnp.full((SIDE, SIDE, 1), 2.0)  # noise is below 1
    keys = jax.random.split(jax.random.key(0), 300)
    erased = jax.vmap(lambda k: augment.erase(k, image, 0.5, 0.1, 0.1))(keys)
    covered = (erased != 2.0).mean((1, 2, 3))
    assert 0.4 < (covered > 0).mean() < 0.6
    assert 0.05 < covered[covered > 0].mean() < 0.12  # some reach over the edge


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_another_key_gives_another_face(name):
    function = make_augment(TASKS, {name: {}})
    before = face(np.array([20.0, 30.0]))
    before["image"] = jax.random.uniform(jax.random.key(0), (SIDE, SIDE, 1))
    faces = [np.asarray(function(jax.random.key(k), before)["image"]) for k in range(8)]
    assert any((f != faces[0]).any() for f in faces)


def test_images_stay_in_range():
    sections = {name: {} for name in AUGMENTATIONS}
    image = jax.random.uniform(jax.random.key(0), (SIDE, SIDE, 1))
    before = face(np.array([20.0, 30.0])) | {"image": image}
    after = make_augment(TASKS, sections)(jax.random.key(0), before)["image"]
    assert after.min() >= 0 and after.max() <= 1 and after.dtype == jnp.float32


def test_wrong_sections_are_told():
    with pytest.raises(Mistake, match="unknown augmentation 'flp'; did you mean flip"):
        make_augment(TASKS, {"flp": {}})
    with pytest.raises(Mistake, match="field of config.augment.zoom 'lo'.*low, high"):
        make_augment(TASKS, {"zoom": {"lo": 0.5}})
