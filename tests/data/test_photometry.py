"""Laws of light and cover: NumPy's and SciPy's pixels, and how much is covered."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from emotion_jax.data.augment import make_augment
from emotion_jax.data.photometry import PHOTOMETRY, SHAPES
from emotion_jax.errors import Mistake
from emotion_jax.tasks import Keypoints

TASKS = {"keypoints": Keypoints()}


def over_keys(name, image, n=300, **options) -> np.ndarray:
    """One image under n keys."""
    function = functools.partial(PHOTOMETRY[name], **options)
    keys = jax.random.split(jax.random.key(0), n)
    return np.asarray(jax.jit(jax.vmap(function, (0, None)))(keys, jnp.asarray(image)))


def check_fills(found, low, high):
    """What was drawn is within low..high and reaches both ends."""
    slack = 0.03 * (high - low)
    assert low - 1e-4 <= found.min() < low + slack
    assert high - slack < found.max() <= high + 1e-4


def test_brightness_adds_one_number(ten):
    image = ten["image"][0]
    added = over_keys("brightness", image, delta=0.3) - image
    assert np.ptp(added, axis=(1, 2, 3)).max() < 1e-6
    check_fills(added.mean((1, 2, 3)), -0.3, 0.3)


def test_contrast_scales_the_differences_from_the_mean(ten):
    image = ten["image"][1]
    found = over_keys("contrast", image, low=0.5, high=1.8)
    factor = found.std((1, 2, 3)) / image.std()
    check_fills(factor, 0.5, 1.8)
    expected = image.mean() + factor[:, None, None, None] * (image - image.mean())
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_gamma_is_a_power_as_often_twice_as_half(ten):
    image = 0.1 + 0.8 * ten["image"][2]
    found = over_keys("gamma", image, n=1000, low=0.5, high=2.0)
    power = np.log(found[:, 0, 0, 0]) / np.log(image[0, 0, 0])
    check_fills(power, 0.5, 2.0)
    assert np.median(power) == pytest.approx(1, abs=0.1)
    np.testing.assert_allclose(found, image ** power[:, None, None, None], rtol=1e-4)


def test_gamma_leaves_black_black():
    assert over_keys("gamma", np.zeros((2, 2, 1), np.float32)).max() < 1e-3


def test_stretch_goes_part_of_the_way_to_the_full_range(ten):
    image = 0.2 + 0.5 * ten["image"][3]
    full = (image - image.min()) / (image.max() - image.min())
    found = over_keys("stretch", image, most=0.8)
    way = (np.ptp(found, axis=(1, 2, 3)) - np.ptp(image)) / (1 - np.ptp(image))
    check_fills(way, 0.0, 0.8)
    expected = image + way[:, None, None, None] * (full - image)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_stretch_leaves_a_flat_image_finite():
    assert np.isfinite(over_keys("stretch", np.full((2, 2, 1), 0.5, np.float32))).all()


@pytest.mark.parametrize("sigma, radius", [(1.0, 3), (1.5, 5)])
def test_blur_is_scipys_gaussian(sigma, radius, ten):
    dot = np.zeros((24, 24, 1), np.float32)
    dot[12, 12] = 1
    spread = over_keys("blur", dot, sigma=sigma)[:, 12, :, 0]
    seen = spread[:, 13] > 1e-6  # below 0.2 pixels the neighbours get nothing
    drawn = np.sqrt(-0.5 / np.log(spread[seen, 13] / spread[seen, 12]))
    assert drawn.min() < 0.3 and 0.97 * sigma < drawn.max() <= sigma + 1e-3
    assert 0.05 < (~seen).mean() * sigma < 0.3
    image = ten["image"][4]
    found = over_keys("blur", image, sigma=sigma)
    np.testing.assert_allclose(found[~seen], found[~seen] * 0 + image, atol=1e-4)
    for i in range(20):
        expected = ndimage.gaussian_filter(
            image[..., 0].astype(np.float64), drawn[i], mode="nearest", radius=radius
        )
        np.testing.assert_allclose(found[seen][i, ..., 0], expected, atol=1e-4)


def test_noise_is_normal_and_of_any_deviation_up_to_its_own():
    added = over_keys("noise", np.full((24, 24, 1), 0.5, np.float32), std=0.1) - 0.5
    deviation = added.std((1, 2, 3))
    assert deviation.min() < 0.005 and 0.09 < deviation.max() < 0.11
    assert deviation.mean() == pytest.approx(0.05, abs=0.004)
    normal = added[deviation > 0.01] / deviation[deviation > 0.01, None, None, None]
    assert abs(normal.mean()) < 0.01
    assert (normal**4).mean() == pytest.approx(3, abs=0.1)  # a uniform one: 1.8


def inside(covered: np.ndarray) -> np.ndarray:
    """Those that touch no edge of the image."""
    return covered[
        ~(covered[:, [0, -1]].any((1, 2)) | covered[:, :, [0, -1]].any((1, 2)))
    ]


def boxes(covered: np.ndarray) -> np.ndarray:
    """The area of each one's bounding box."""
    return covered.any(1).sum(1) * covered.any(2).sum(1)


def test_erasing_fills_a_rectangle_of_its_area_with_noise():
    image = np.full((48, 48, 1), 2.0, np.float32)  # noise is below 1
    found = over_keys("erase", image, low=0.1, high=0.1)[..., 0]
    covered = inside(found != 2.0)
    assert len(covered) > 50
    assert covered.mean() == pytest.approx(0.1, rel=0.05)
    np.testing.assert_array_equal(covered.sum((1, 2)), boxes(covered))
    noise = found[found != 2.0]
    assert 0 <= noise.min() and noise.max() < 1
    assert noise.std() == pytest.approx(12**-0.5, abs=0.01)
    tall = covered.any(2).sum(1) / covered.any(1).sum(1)
    assert 0.25 < tall.min() < 0.4 and 2.5 < tall.max() < 4


def test_what_is_erased_is_of_any_area_in_its_range():
    image = np.full((48, 48, 1), 2.0, np.float32)
    found = over_keys("erase", image, low=0.05, high=0.3)[..., 0]
    share = inside(found != 2.0).mean((1, 2))
    assert 0.04 < share.min() < 0.08 and 0.2 < share.max() < 0.33


@functools.cache
def covers(shape: str):
    """The jitted function from keys and an area to masks of side 48."""
    return jax.jit(jax.vmap(lambda key, area: SHAPES[shape](key, 48, area), (0, None)))


def cover(shape: str, area: float) -> np.ndarray:
    keys = jax.random.split(jax.random.key(0), 500)
    return np.asarray(covers(shape)(keys, jnp.float32(area)))


@pytest.mark.parametrize("area", [0.05, 0.2])
@pytest.mark.parametrize("shape, fill", [("square", 1), ("circle", np.pi / 4)])
def test_a_square_and_a_disc_inside_the_image_cover_their_area(shape, fill, area):
    covered = inside(cover(shape, area))
    assert len(covered) > 50
    assert covered.mean() == pytest.approx(area, rel=0.03)
    assert (covered.sum((1, 2)) / boxes(covered)).mean() == pytest.approx(
        fill, abs=0.05
    )


@pytest.mark.parametrize("area", [0.05, 0.2])
@pytest.mark.parametrize("shape, slack", [("band", 0.2), ("checks", 0.03)])
def test_bands_and_checks_cover_their_area(shape, slack, area):
    assert cover(shape, area).mean() == pytest.approx(area, rel=slack)


@pytest.mark.parametrize("shape", ["band", "checks"])
def test_bands_and_checks_lie_anywhere(shape):
    often = cover(shape, 0.2).mean(0)  # how often each pixel is covered
    assert often.min() > 0.02 and often.max() < 0.5


@pytest.mark.parametrize("shape", ["square", "circle", "band"])
def test_a_shape_covers_one_edge_as_often_as_the_opposite(shape):
    keys = jax.random.split(jax.random.key(0), 20_000)
    found = jax.jit(jax.vmap(lambda key: SHAPES[shape](key, 8, 0.05)))(keys)
    for axis in (1, 2):
        touched = np.asarray(found).any(axis).mean(0)
        assert touched[0] == pytest.approx(touched[-1], abs=0.02)  # four errors


def test_checks_are_squares_that_repeat_eight_times():
    for covered in cover("checks", 0.2)[:50]:
        np.testing.assert_array_equal(covered[6:], covered[:-6])
        np.testing.assert_array_equal(covered[:, 6:], covered[:, :-6])
        tile = covered[:6, :6]
        np.testing.assert_array_equal(tile, tile.any(1)[:, None] & tile.any(0))
        assert 4 <= tile.sum() <= 9  # sqrt(0.2) * 6 is 2.7


def test_a_band_is_straight_and_of_one_width():
    slants = []
    for band in cover("band", 0.1)[:50]:
        assert ndimage.label(band, np.ones((3, 3)))[1] == 1
        y, x = np.nonzero(band)
        across = np.linalg.svd(np.array([y - y.mean(), x - x.mean()]), False)[0][:, 1]
        assert np.ptp(across @ [y, x]) < 0.1 * 48 + 1.5
        slants.append(across[0] * across[1])
    assert min(slants) < -0.4 and max(slants) > 0.4  # both ways, to 45 degrees


@pytest.mark.parametrize("shape", ["square", "checks"])
def test_cutout_covers_its_share_with_the_mean_and_keeps_the_rest(shape, ten):
    image = ten["image"][5]
    found = over_keys("cutout", image, shape=shape, low=0.05, high=0.3)
    covered = (found != image)[..., 0]
    np.testing.assert_allclose(found[covered], image.mean(), atol=1e-5)
    share = covered.mean((1, 2))
    assert 0.05 < share.mean() < 0.3
    assert share.std() > 0.03  # not one size


def test_noise_is_not_blurred_whatever_the_configs_order(ten):
    flat = ten | {"image": np.full_like(ten["image"], 0.5)}
    sections = {"noise": {"std": 0.1}, "blur": {"sigma": 3.0}}
    after = jax.jit(make_augment(TASKS, sections))(jax.random.key(0), flat)
    grain = np.asarray(after["image"]) - 0.5
    near = (grain[:, :, 1:] * grain[:, :, :-1]).mean()
    assert abs(near) < 0.1 * np.square(grain).mean()


def test_an_unknown_shape_is_told():
    with pytest.raises(Mistake, match="cutout.shape 'cicle'; did you mean circle"):
        make_augment(TASKS, {"cutout": {"shape": "cicle"}})


def test_all_of_it_keeps_the_range_and_moves_no_point(ten):
    sections = {name: {"probability": 1.0} for name in PHOTOMETRY}
    sections |= {"brightness": {"delta": 0.5}, "noise": {"std": 0.3}}
    after = jax.jit(make_augment(TASKS, sections))(jax.random.key(0), ten)
    image = np.asarray(after["image"])
    assert image.dtype == np.float32 and image.min() >= 0 and image.max() <= 1
    assert (image != ten["image"]).any((1, 2, 3)).all()
    for part in ("labels", "known"):
        for name, before in ten[part].items():
            np.testing.assert_array_equal(after[part][name], before)
