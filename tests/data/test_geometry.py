"""Laws of the geometry: SciPy's pixels, drawn ranges, and points under their pixels."""

import functools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from emotion_jax.data import geometry
from emotion_jax.data.augment import GEOMETRY, make_augment
from emotion_jax.tasks import Keypoints

SIDE, MIDDLE = 24, 11.5  # of the ten faces
TASKS = {"keypoints": Keypoints()}
OPTIONS = {
    "rotate": {"degrees": 20.0},
    "shear": {"degrees": 8.0},
    "zoom": {"low": 0.5, "high": 2.0},
    "zoom_in": {"high": 1.3},
    "zoom_out": {"low": 0.6},
    "crop": {"low": 0.3, "high": 1.0, "aspect": 1.5},
    "translate": {"fraction": 0.25},
}


@functools.cache
def drawer(name):
    """The jitted function from keys, rows and epochs to matrices."""
    function = functools.partial(GEOMETRY[name], **OPTIONS.get(name, {}))
    image = jnp.zeros((SIDE, SIDE, 1))

    def draw_one(key, row, epoch):
        return function(key, {"image": image, "row": row, "epoch": epoch})

    return jax.jit(jax.vmap(draw_one, (0, 0, None)))


def draw(name, seed=0, epoch=0.0) -> np.ndarray:
    """The matrices of a thousand keys, in rows 0 to 999."""
    keys = jax.random.split(jax.random.key(seed), 1000)
    matrices = drawer(name)(keys, np.arange(1000), np.float32(epoch))
    return np.asarray(matrices, np.float64)


@jax.jit
@jax.vmap
def warp(image, matrix):
    return geometry.warp(image, geometry.centred(matrix, SIDE))


def pull(image, y, x, shift=(0.0, 0.0)) -> np.ndarray:
    """SciPy's image whose pixel is read at (y, x) @ pixel + shift, from the middle."""
    matrix = np.array([y, x])
    offset = MIDDLE - matrix @ [MIDDLE, MIDDLE] + shift
    return ndimage.affine_transform(image, matrix, offset, order=1, mode="nearest")


def scaled(image, m) -> np.ndarray:
    """Read about the point that comes to the middle, in steps of 1 / scale."""
    centre = -m[1, 2] / m[1, 1], -m[0, 2] / m[0, 0]
    return pull(image, [1 / m[1, 1], 0], [0, 1 / m[0, 0]], centre)


def turned(image, m) -> np.ndarray:
    degrees = np.rad2deg(np.arctan2(m[0, 1], m[0, 0]))  # SciPy's y points up
    return ndimage.rotate(image, degrees, reshape=False, order=1, mode="nearest")


REFERENCE = {
    "flip": lambda image, m: np.flip(image, 1),
    "alternating_flip": lambda image, m: np.flip(image, 1) if m[0, 0] < 0 else image,
    "flip_vertical": lambda image, m: np.flip(image, 0),
    "rotate": turned,
    "shear": lambda image, m: pull(image, [1, 0], [-m[0, 1], 1]),
    "zoom": scaled,
    "zoom_in": scaled,
    "zoom_out": scaled,
    "crop": scaled,
    "translate": lambda image, m: ndimage.shift(
        image, (m[1, 2], m[0, 2]), order=1, mode="nearest"
    ),
}


def test_every_motion_has_its_reference_here():
    lacking = GEOMETRY.keys() - REFERENCE.keys()
    assert not lacking, f"REFERENCE in this file wants SciPy's pixels for {lacking}"


@pytest.mark.parametrize("name", REFERENCE)
def test_the_pixels_of_an_augmentation_are_scipys(name, ten):
    matrices = draw(name)[:10]
    found = np.asarray(warp(ten["image"], matrices.astype(np.float32)))[..., 0]
    for got, image, matrix in zip(found, ten["image"], matrices, strict=True):
        expected = REFERENCE[name](image[..., 0].astype(np.float64), matrix)
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_the_warp_of_any_matrix_is_scipys_affine_transform(ten):
    matrix = np.array([[0.9, -0.2, 3.0], [0.25, 1.1, -2.0], [0, 0, 1]])
    image = ten["image"][0]
    found = jax.jit(geometry.warp)(image, jnp.asarray(matrix, jnp.float32))
    back = np.linalg.inv(matrix)
    expected = ndimage.affine_transform(
        image[..., 0].astype(np.float64),
        back[:2, :2][::-1, ::-1],  # SciPy counts rows first
        back[:2, 2][::-1],
        order=1,
        mode="nearest",
    )
    np.testing.assert_allclose(found[..., 0], expected, atol=1e-4)


def angle(m):
    return np.rad2deg(np.arctan2(m[:, 1, 0], m[:, 0, 0]))


def slant(m):
    return np.rad2deg(np.arctan(m[:, 0, 1]))


def size(m):
    return np.sqrt(np.linalg.det(m))


@pytest.mark.parametrize(
    "name, measure, low, high",
    [
        ("rotate", angle, -20, 20),
        ("shear", slant, -8, 8),
        ("zoom", size, 0.5, 2),
        ("zoom_in", size, 1, 1.3),
        ("zoom_out", size, 0.6, 1),
        ("translate", lambda m: m[:, 0, 2], -6, 6),
        ("translate", lambda m: m[:, 1, 2], -6, 6),
        ("crop", lambda m: size(m) ** -2, 0.3, 1),
        ("crop", lambda m: m[:, 1, 1] / m[:, 0, 0], 2 / 3, 3 / 2),
    ],
)
def test_what_is_drawn_fills_its_range(name, measure, low, high):
    found, slack = measure(draw(name)), 0.05 * (high - low)
    assert low - 1e-4 <= found.min() < low + slack
    assert high - slack < found.max() <= high + 1e-4


def test_nothing_but_what_is_asked_for_is_drawn():
    np.testing.assert_allclose(np.linalg.det(draw("rotate")), 1, atol=1e-5)
    zoom = draw("zoom")
    np.testing.assert_array_equal(zoom[:, 0, 0], zoom[:, 1, 1])
    zoom[:, [0, 1], [0, 1]] = 1
    np.testing.assert_array_equal(zoom, np.broadcast_to(np.eye(3), zoom.shape))
    shift = draw("translate")[:, :2, 2]
    assert abs(np.corrcoef(shift.T)[0, 1]) < 0.1


def test_a_zoom_is_as_often_twice_as_large_as_half_as_large():
    assert np.median(size(draw("zoom"))) == pytest.approx(1, abs=0.1)


def test_a_crop_is_a_box_inside_the_image_that_reaches_every_edge():
    corners = np.array([[-12, -12, 1], [12, 12, 1]]).T
    box = (np.linalg.inv(draw("crop")) @ corners)[:, :2]
    assert box.min() >= -12.001 and box.max() <= 12.001
    small = box[np.ptp(box, axis=2).max(1) < 17]  # these have room to move
    assert len(small) > 100
    np.testing.assert_allclose(small[..., 0].min(0), -12, atol=0.2)
    np.testing.assert_allclose(small[..., 1].max(0), 12, atol=0.2)
    assert abs(np.corrcoef(small.mean(2).T)[0, 1]) < 0.3


def test_alternating_flips_show_a_face_once_plain_and_once_mirrored():
    first, late, second, third = (
        draw("alternating_flip", seed, epoch)[:, 0, 0]
        for seed, epoch in [(0, 0.0), (1, 0.99), (2, 1.25), (0, 2.0)]
    )
    assert set(first) == {-1.0, 1.0} and 0.45 < (first < 0).mean() < 0.55
    np.testing.assert_array_equal(first, late)  # of one epoch, whatever the key
    np.testing.assert_array_equal(first, -second)
    np.testing.assert_array_equal(first, third)


def dots(centres: np.ndarray, side: int) -> np.ndarray:
    """A small bright blob in each image, centred to a fraction of a pixel."""
    y, x = np.mgrid[:side, :side]
    far = np.square(x - centres[:, 0, None, None])
    far += np.square(y - centres[:, 1, None, None])
    return np.exp(-far / 2)[..., None].astype(np.float32)


def centre_of_mass(image: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Where the blob near a point is, x and y."""
    y, x = np.mgrid[: len(image), : len(image)]
    weight = image[..., 0] * (np.hypot(x - near[0], y - near[1]) < 5)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


def check_dots(after: dict) -> None:
    """Each image's dot is under the one point that is known."""
    known = after["known"]["keypoints"]
    assert (known.sum(1) == 1).all()
    points, side = after["labels"]["keypoints"][known], after["image"].shape[1]
    inside = ((points > 5) & (points < side - 6)).all(1)
    assert inside.sum() >= 10
    found = [centre_of_mass(*x) for x in zip(after["image"], points, strict=True)]
    np.testing.assert_allclose(np.array(found)[inside], points[inside], atol=0.25)


@pytest.fixture(scope="module")
def dotted() -> dict:
    """Twenty faces of side 48, each a dot on its left eye; no more is known."""
    centres = np.random.default_rng(0).uniform(18, 30, (20, 2)).astype(np.float32)
    points = np.zeros((20, 15, 2), np.float32)
    points[:, 0] = centres
    return {
        "image": dots(centres, 48),
        "labels": {"keypoints": points},
        "known": {"keypoints": np.zeros((20, 15), bool) | (np.arange(15) == 0)},
        "row": np.arange(20, dtype=np.int32),
        "epoch": np.zeros(20, np.float32),
    }


@functools.cache
def mover():
    """A warp and its points by hand, jitted once for every augmentation."""

    @jax.jit
    @jax.vmap
    def move(image, points, matrix):
        matrix = geometry.centred(matrix, 48)
        moved = geometry.move_points(points, matrix, tuple(range(15)))
        return geometry.warp(image, matrix), moved

    return move


@pytest.mark.parametrize("name", GEOMETRY)
def test_a_bright_dot_stays_under_its_keypoint(name, dotted):
    matrices = draw(name)[:20].astype(np.float32)
    image, points = mover()(dotted["image"], dotted["labels"]["keypoints"], matrices)
    labels = {"keypoints": np.asarray(points)}
    check_dots(dotted | {"image": np.asarray(image), "labels": labels})


def test_a_bright_dot_stays_under_its_keypoint_through_all_of_them(dotted):
    augment = make_augment(TASKS, {name: {} for name in GEOMETRY})
    check_dots(jax.device_get(jax.jit(augment)(jax.random.key(0), dotted)))


@pytest.mark.parametrize("side", [16, 33])
def test_products_warp_as_lookups_do(side):
    """On a TPU the one, elsewhere the other: the same picture to rounding."""
    rng = np.random.default_rng(side)
    image = jnp.asarray(rng.random((side, side, 1)), jnp.float32)
    for _ in range(5):
        matrix = jnp.eye(3).at[:2].add(jnp.asarray(rng.normal(0, 0.4, (2, 3))))
        matrix = geometry.centred(matrix.at[:2, 2].mul(side), side)
        found = jax.jit(geometry.warp_by_products)(image, matrix)
        expected = jax.jit(geometry.warp_by_lookups)(image, matrix)
        np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("platform, products", [("tpu", True), ("cpu", False)])
def test_only_a_tpu_warps_by_products(platform, products):
    warp = jax.jit(jax.vmap(geometry.warp))
    shapes = [jax.ShapeDtypeStruct((4, *s), jnp.float32) for s in [(8, 8, 1), (3, 3)]]
    program = jax.export.export(warp, platforms=[platform])(*shapes).mlir_module()
    assert ("dot_general" in program) is products
    assert ("gather" in program) is not products
