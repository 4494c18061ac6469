"""Laws of twins: exact ones by their pixels, near ones however they were copied."""

import io
import pathlib

import numpy as np
import pandas
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from emotion_jax.data import twins

SHARED = pathlib.Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    """Thirty blurred clouds of 48 x 48, of which no two are near."""
    rng = np.random.default_rng(0)
    clouds = gaussian_filter(rng.normal(size=(30, 52, 52)), (0, 3, 3))
    clouds = clouds / np.abs(clouds).max((1, 2), keepdims=True)
    return (128 + 80 * clouds).astype(np.uint8)


def window(photos, y=0, x=0):
    """What a camera sees of each, the window moved by so many pixels."""
    return photos[:, 2 + y : 50 + y, 2 + x : 50 + x, None]


def compressed(image, quality):
    file = io.BytesIO()
    Image.fromarray(image[..., 0]).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))[..., None]


COPIES = {
    "mirrored": lambda p: window(p)[:, :, ::-1],
    "brighter": lambda p: (window(p) * 1.2).astype(np.uint8),
    "lighter": lambda p: window(p) + np.uint8(40),
    "of less contrast": lambda p: window(p) // 2 + np.uint8(64),
    "shifted right": lambda p: window(p, x=1),
    "shifted up and left": lambda p: window(p, -1, -1),
    "mirrored and shifted": lambda p: window(p, y=1, x=1)[:, :, ::-1],
    "compressed": lambda p: np.stack([compressed(i, 90) for i in window(p)]),
}


@pytest.mark.parametrize("copy", COPIES)
def test_near_pairs_are_each_photo_and_its_copy(photos, copy):
    found = twins.near_pairs(np.concatenate([window(photos), COPIES[copy](photos)]))
    assert found.tolist() == [[i, i + 30] for i in range(30)]


def test_pairs_ascend_and_are_told_once_though_near_both_ways(photos):
    one, other, third = window(photos)[:3]
    even = third // 2 + third[:, ::-1] // 2  # its own mirror image
    image = np.stack([one, other, even, one[:, ::-1], other + 9, even + 9])
    assert twins.near_pairs(image).tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize("y", [-1, 0, 1])
@pytest.mark.parametrize("x", [-1, 0, 1])
def test_a_sharp_picture_is_found_wherever_a_pixel_moves_it(y, x):
    noise = np.random.default_rng(0).integers(0, 256, (1, 22, 22)).astype(np.uint8)
    moved = noise[:, 1 + y : 21 + y, 1 + x : 21 + x]
    assert twins._correlation(noise[:, 1:21, 1:21], moved)[0] > 0.999


@pytest.mark.parametrize("y, x", [(6, 0), (0, 6)])
def test_another_part_of_the_picture_is_no_twin(photos, y, x):
    far = np.roll(window(photos), (y, x), axis=(1, 2))
    assert len(twins.near_pairs(np.concatenate([window(photos), far]))) == 0


def test_exact_twins_and_blank_images_are_not_near(photos):
    black = np.zeros((2, 48, 48, 1), np.uint8)
    noise = np.random.default_rng(0).integers(0, 4, black.shape, dtype=np.uint8)
    image = np.concatenate([window(photos)[:3], window(photos)[:3], black, noise])
    assert len(twins.near_pairs(image)) == 0
    assert len(twins.near_pairs(black)) == len(twins.near_pairs(black[:0])) == 0


def test_near_pairs_do_not_depend_on_how_many_are_compared_at_once(photos, monkeypatch):
    image = np.concatenate([window(photos), window(photos, x=1), window(photos, y=1)])
    whole = twins.near_pairs(image)
    assert len(whole) == 90
    monkeypatch.setattr(twins, "BLOCK", 7 * len(image))
    monkeypatch.setattr(twins, "PAIRS", 2)
    np.testing.assert_array_equal(twins.near_pairs(image), whole)


def test_blank_is_a_single_gray_level_and_flat_nearly():
    image = np.full((4, 16, 16, 1), 90, np.uint8)
    image[1, 3, 3] = 97
    image[2, 3, 3] = 98
    image[3] = np.arange(256).reshape(16, 16, 1)
    assert twins.blank(image).tolist() == [True, False, False, False]
    assert twins.flat(image).tolist() == [True, True, False, False]


def test_groups_are_numbered_as_they_first_appear():
    image = np.array([9, 4, 4, 7, 9, 0, 4], np.uint8)[:, None, None, None]
    assert twins.groups(image).tolist() == [0, 1, 1, 2, 0, 3, 1]
    assert twins.groups(image[:0]).tolist() == []


def test_conflicts_are_the_groups_that_disagree_with_their_rows():
    group = np.array([0, 1, 1, 2, 0, 3, 1])
    label = np.array([5, 6, 6, 5, 4, 0, 2])
    assert [r.tolist() for r in twins.conflicts(group, label)] == [[0, 4], [1, 2, 6]]
    assert twins.conflicts(group, group) == []


def test_people_who_share_a_photo_are_one():
    """Ann and Bob have one photo in common, Bob and a nameless row another."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (8, 16, 16, 1), dtype=np.uint8)
    image[3], image[5] = image[0], image[2]
    image[[4, 7]] = 0  # of a blank photo nobody can tell who is on it
    person = np.array(["ann", "ann", "bob", "bob", "bob", "", "", "eve"])
    hashes = twins.hash_people(person, image)
    one = [0, 1, 2, 3, 4, 5]
    assert len(set(hashes[one])) == 1 and len(set(hashes)) == 3
    alone = [twins.hash_people(person[[row]], image[[row]])[0] for row in (0, 2, 5)]
    assert hashes[0] == min(alone)
    assert hashes[6] == twins.hash_images(image)[6]
    np.testing.assert_array_equal(
        twins.hash_people(person[::-1], image[::-1]), hashes[::-1]
    )


@pytest.fixture(scope="module")
def fer2013():
    """Image, label and whether it is PublicTest's, of FER2013's 32,298 rows."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data")
    labels = pandas.read_csv(SHARED / "fer2013_labels.csv")
    tiles = []
    for usage in ("Training", "PublicTest"):
        sheet = np.asarray(Image.open(SHARED / f"fer2013_{usage.lower()}.png"))
        sheet = sheet.reshape(len(sheet) // 48, 48, -1, 48).swapaxes(1, 2)
        count = int((labels["usage"] == usage).sum())
        tiles.append(sheet.reshape(-1, 48, 48, 1)[:count])
    public = (labels["usage"] == "PublicTest").to_numpy()
    return np.concatenate(tiles), labels["emotion"].to_numpy(), public


def test_the_twins_of_fer2013(fer2013):
    image, label, public = fer2013
    group = twins.groups(image)
    assert np.isin(group[public], group[~public]).sum() == 280
    assert len(twins.conflicts(group, label)) == 47
    blank = twins.blank(image)
    assert blank.sum() == 12 and (image[blank] == 0).all()
    assert twins.flat(image).sum() == 13 and blank[public].sum() == 1


@pytest.mark.long
def test_the_near_twins_of_fer2013(fer2013):
    image, _, public = fer2013
    pairs = twins.near_pairs(image)
    across = pairs[public[pairs[:, 0]] != public[pairs[:, 1]]]
    assert len(pairs) == pytest.approx(2801, abs=20)  # rounding decides a few
    assert len(np.unique(across[public[across]])) == pytest.approx(296, abs=5)
