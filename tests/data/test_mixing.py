"""Laws of mixing: pixels and labels share a face in the same parts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emotion_jax.data.augment import make_augment
from emotion_jax.data.mixing import mixup
from emotion_jax.errors import Mistake
from emotion_jax.tasks import make_tasks

TASKS = make_tasks({"emotion": {}, "keypoints": {}})
ALWAYS = {"probability": 1.0, "alpha": 1.0}


@functools.cache
def mixer(name):
    """All faces are mirrored, and mixed by as much as their epochs say."""
    policy = {"count": 1, "strength": ((0, 0.0), (2, 1.0))}  # neither flips nor mixing
    sections = {"flip": {"probability": 1.0}, name: ALWAYS, "policy": policy}
    return jax.jit(make_augment(TASKS, sections))


def mix(name, batch, epoch=2.0) -> tuple[np.ndarray, dict]:
    """The mirrored images, and the batch mixed; by now every face is."""
    batch = batch | {"epoch": np.broadcast_to(np.float32(epoch), 10)}
    after = jax.device_get(mixer(name)(jax.random.key(0), batch))
    return batch["image"][:, :, ::-1], after


def other(part: np.ndarray) -> np.ndarray:
    """Each face's partner: the one before it."""
    return np.roll(part, 1, 0)


def check_labels(before, after) -> np.ndarray:
    """Each face's share in itself, as its label says; the partner has another class."""
    own, found = before["labels"]["emotion"], after["labels"]["emotion"]
    share = (own * found).sum(1, keepdims=True)
    np.testing.assert_allclose(found, share * own + (1 - share) * other(own), atol=1e-6)
    return share[:, 0]


def test_mixup_is_the_same_mean_of_pixels_and_labels(ten):
    image, after = mix("mixup", ten)
    share = check_labels(ten, after)
    assert 0 < share.min() < 0.4 and 0.6 < share.max() < 1
    weight = share[:, None, None, None]
    expected = weight * image + (1 - weight) * other(image)
    np.testing.assert_allclose(after["image"], expected, atol=1e-5)
    assert not after["known"]["keypoints"].any() and after["known"]["emotion"].all()


def test_the_share_of_mixup_is_from_a_beta_of_its_alpha():
    pixel = jnp.ones((1, 1, 1))
    keys = jax.random.split(jax.random.key(0), 4000)
    share = jax.jit(jax.vmap(lambda key: mixup(key, pixel, 0 * pixel, 0.4)[1]))(keys)
    assert share.mean() == pytest.approx(0.5, abs=0.03)
    assert share.var() == pytest.approx(1 / (8 * 0.4 + 4), rel=0.1)


def test_the_share_of_cutmix_is_the_share_of_pixels_kept(ten):
    noise = np.random.default_rng(0).random((10, 24, 24, 1), np.float32)
    image, after = mix("cutmix", ten | {"image": noise})
    kept = (after["image"] == image)[..., 0]
    pasted = (after["image"] == other(image))[..., 0]
    assert (kept ^ pasted).all()
    for mask in pasted:  # one box
        np.testing.assert_array_equal(mask, mask.any(1)[:, None] & mask.any(0))
    share = check_labels(ten, after)
    np.testing.assert_allclose(share, kept.mean((1, 2)), atol=1e-6)
    assert np.ptp(share) > 0.3
    assert not after["known"]["keypoints"][share < 1].any()


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_a_face_is_mixed_only_where_both_classes_are_known(name, ten):
    emotion = np.arange(10) != 3
    labels = ten["labels"] | {"emotion": ten["labels"]["emotion"] * emotion[:, None]}
    known = ten["known"] | {"emotion": emotion}
    image, after = mix(name, ten | {"known": known, "labels": labels})
    alone = np.isin(np.arange(10), [3, 4])  # 4 has 3 as its partner
    np.testing.assert_array_equal((after["image"] == image).all((1, 2, 3)), alone)
    points = after["known"]["keypoints"]
    assert points[alone].all() and not points[~alone].any()
    found = after["labels"]["emotion"]
    np.testing.assert_array_equal(found[alone], labels["emotion"][alone])
    np.testing.assert_allclose(found.sum(1), emotion, atol=1e-6)
    np.testing.assert_array_equal(after["known"]["emotion"], emotion)


def test_mixing_grows_with_the_policys_strength(ten):
    epochs = np.array([0, 2] * 5)
    image, after = mix("mixup", ten, epochs)
    mixed = (after["image"] != image).any((1, 2, 3))
    np.testing.assert_array_equal(mixed, epochs == 2)


def test_both_kinds_are_never_on_one_face_and_as_often_as_they_should():
    n, rng = 1000, np.random.default_rng(0)
    before = {
        "image": rng.random((n, 8, 8, 1), np.float32),
        "labels": {
            "emotion": np.eye(5, dtype=np.float32)[np.arange(n) % 5],
            "keypoints": np.zeros((n, 15, 2), np.float32),
        },
        "known": {"emotion": np.ones(n, bool), "keypoints": np.ones((n, 15), bool)},
        "row": np.arange(n, dtype=np.int32),
        "epoch": np.zeros(n, np.float32),
    }
    sections = {"mixup": ALWAYS | {"probability": 0.3}}
    sections["cutmix"] = ALWAYS | {"probability": 0.5}
    augment = jax.jit(make_augment(TASKS, sections))
    after = jax.device_get(augment(jax.random.key(0), before))
    own, partner = before["image"], other(before["image"])
    weight = (after["image"] - partner) / (own - partner)
    weight = np.where(np.abs(own - partner) < 0.1, np.nan, weight)  # ill-conditioned
    low, high = np.nanmin(weight, (1, 2, 3)), np.nanmax(weight, (1, 2, 3))
    plain = (after["image"] == own).all((1, 2, 3))
    meant = ~plain & (high - low < 1e-4)  # one weight for all pixels
    cut = ~plain & ((after["image"] == own) | (after["image"] == partner)).all(
        (1, 2, 3)
    )
    assert (plain | meant | cut).all()
    assert meant.mean() == pytest.approx(0.3, abs=0.05)
    assert cut.mean() == pytest.approx(0.5, abs=0.05)
    np.testing.assert_array_equal(after["known"]["keypoints"].all(1), plain)
    np.testing.assert_allclose(after["labels"]["emotion"].sum(1), 1, atol=1e-6)


def test_probabilities_that_add_up_to_more_than_one_are_told():
    with pytest.raises(Mistake, match="mixup and cutmix add up to more than 1"):
        make_augment(TASKS, {"mixup": {"probability": 0.7}, "cutmix": {}})
    make_augment(TASKS, {"mixup": {}, "cutmix": {}})  # each half of the time


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_mixing_without_classes_is_told(name):
    with pytest.raises(Mistake, match=f"augment.{name} mixes classes, and no task"):
        make_augment(make_tasks({"keypoints": {}}), {name: {}})
