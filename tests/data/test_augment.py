"""Laws of the augmentation: what applies to whom, in which order, on any devices."""

import jax
import numpy as np
import pytest
from scipy import ndimage

from emotion_jax import sharding
from emotion_jax.data.augment import AUGMENTATIONS, GEOMETRY, key_of, make_augment
from emotion_jax.errors import Mistake
from emotion_jax.tasks import make_tasks

TASKS = make_tasks({"emotion": {}, "keypoints": {}})
# Where each of POINTS finds its label once the face is mirrored.
MIRROR = [1, 0, 4, 5, 2, 3, 8, 9, 6, 7, 10, 12, 11, 13, 14]


def applied(sections, epoch=0.0, n=600) -> dict[str, np.ndarray]:
    """Which of n faces, each in its epoch, each augmentation applies to."""
    draw = jax.jit(jax.vmap(make_augment(TASKS, sections).draw))
    keys = jax.random.split(jax.random.key(0), n)
    drawn = draw(keys, np.broadcast_to(np.float32(epoch), n))
    return {name: np.broadcast_to(faces, n) for name, faces in drawn.items()}


def run(sections, batch, seed=0) -> dict:
    """A batch augmented."""
    augment = jax.jit(make_augment(TASKS, sections))
    return jax.device_get(augment(jax.random.key(seed), batch))


@pytest.mark.parametrize("axis, name", [(0, "flip"), (1, "flip_vertical")])
def test_mirroring_trades_left_and_right_and_twice_is_no_change(axis, name, ten):
    known = np.random.default_rng(0).random((10, 15)) < 0.5
    points = ten["labels"]["keypoints"]
    batch = ten | {"known": ten["known"] | {"keypoints": known}}
    once = run({name: {"probability": 1.0}}, batch)
    expected = points[:, MIRROR].copy()
    expected[..., axis] = 23 - expected[..., axis]
    np.testing.assert_allclose(once["labels"]["keypoints"], expected, atol=1e-5)
    np.testing.assert_array_equal(once["known"]["keypoints"], known[:, MIRROR])
    np.testing.assert_array_equal(once["image"], np.flip(ten["image"], 2 - axis))
    twice = run({name: {"probability": 1.0}}, once, seed=1)
    np.testing.assert_array_equal(twice["image"], ten["image"])
    np.testing.assert_array_equal(twice["known"]["keypoints"], known)
    np.testing.assert_allclose(twice["labels"]["keypoints"], points, atol=1e-5)


def test_upside_down_left_stays_left(ten):
    always = {"probability": 1.0}
    after = run({"flip": always, "flip_vertical": always}, ten)
    points = ten["labels"]["keypoints"]
    np.testing.assert_allclose(after["labels"]["keypoints"], 23 - points, atol=1e-5)


def test_all_geometry_is_one_warp_in_one_order_whatever_the_configs(ten):
    order = ["rotate", "shear", "zoom", "translate"]
    after = run({name: {} for name in reversed(order)}, ten)

    @jax.jit
    @jax.vmap
    def draw(key, image):
        return [GEOMETRY[n](key_of(key, n), {"image": image}) for n in order]

    drawn = np.float64(draw(jax.random.split(jax.random.key(0), 10), ten["image"]))
    assert np.abs(drawn - np.eye(3)).max((2, 3)).min() > 0  # all of them do something
    for i, (image, points) in enumerate(zip(ten["image"], ten["labels"]["keypoints"])):
        whole = np.linalg.multi_dot(drawn[::-1, i])
        whole[:2, 2] += [11.5, 11.5] - whole[:2, :2] @ [11.5, 11.5]
        moved = points @ whole[:2, :2].T + whole[:2, 2]
        np.testing.assert_allclose(after["labels"]["keypoints"][i], moved, atol=1e-4)
        swap = np.array([1, 0, 2])  # SciPy counts rows first
        expected = ndimage.affine_transform(
            image[..., 0].astype(np.float64),
            np.linalg.inv(whole)[swap][:, swap],
            order=1,
            mode="nearest",
        )
        np.testing.assert_allclose(after["image"][i, ..., 0], expected, atol=1e-4)


def test_an_augmentation_applies_as_often_as_its_probability_each_by_itself():
    chances = {"flip": 0.7, "rotate": 0.2, "blur": 0.5, "erase": 0.5}
    sections = {name: {"probability": chance} for name, chance in chances.items()}
    never, always = {"shear": {"probability": 0.0}}, {"noise": {"probability": 1.0}}
    found = applied(sections | never | always)
    assert found.pop("noise").all() and not found.pop("shear").any()
    for name, faces in found.items():
        assert faces.mean() == pytest.approx(chances[name], abs=0.06), name
    together = np.corrcoef(np.array(list(found.values()), float))
    assert np.abs(together - np.eye(4)).max() < 0.15


def test_whether_an_augmentation_applies_says_nothing_of_how(ten):
    many = jax.tree.map(lambda x: np.repeat(x, 40, 0), ten)
    many["image"] = np.full_like(many["image"], 0.5)
    after = run({"brightness": {"probability": 0.5, "delta": 0.2}}, many)
    added = after["image"].mean((1, 2, 3)) - 0.5
    added = added[np.abs(added) > 1e-6]
    assert added.min() < -0.18 and added.max() > 0.18 and abs(added.mean()) < 0.03


def test_flips_and_covers_apply_half_of_the_time_unless_told():
    found = applied({name: {} for name in AUGMENTATIONS if "mix" not in name})
    sometimes = {"flip", "flip_vertical", "erase", "cutout"}
    for name, faces in found.items():
        expected = 0.5 if name in sometimes else 1.0
        told = f"{name}: if PROBABILITY has it, it belongs to `sometimes` here"
        assert faces.mean() == pytest.approx(expected, abs=0.06), told


THREE = {"rotate": {}, "blur": {}, "cutout": {"probability": 1.0}}


@pytest.mark.parametrize("count, applying", [(2, 2), (9, 3)])
def test_a_policy_applies_its_count_of_augmentations_to_each_face(count, applying):
    found = applied(THREE | {"flip": {}, "policy": {"count": count}})
    flipped = found.pop("flip")
    assert flipped.mean() == pytest.approx(0.5, abs=0.06)
    np.testing.assert_array_equal(np.sum(list(found.values()), 0), applying)
    for faces in found.values():  # none is preferred
        assert faces.mean() == pytest.approx(applying / 3, abs=0.06)


def test_strength_grows_over_the_epochs_and_leaves_flips_alone():
    factors = {0.0: 0, 1.0: 0.5, 1.5: 0.75, 2.0: 1, 9.0: 1}
    epochs = np.repeat(list(factors), 600)
    flips = {"flip": {}, "flip_vertical": {"probability": 1.0}}
    policy = {"policy": {"strength": ((0, 0.0), (2, 1.0))}}
    found = applied(THREE | flips | policy, epochs, len(epochs))
    for epoch, factor in factors.items():
        mean = {name: faces[epochs == epoch].mean() for name, faces in found.items()}
        assert mean.pop("flip") == pytest.approx(0.5, abs=0.06)
        assert mean.pop("flip_vertical") == 1
        for frequency in mean.values():
            assert frequency == pytest.approx(factor, abs=0.06 * (factor % 1 > 0))


def test_strength_follows_each_faces_own_epoch(ten):
    epochs = np.array([0, 2] * 5, np.float32)
    section = {"policy": {"strength": ((0, 0.0), (2, 1.0))}, "brightness": {}}
    after = run(section, ten | {"epoch": epochs})
    changed = (after["image"] != ten["image"]).any((1, 2, 3))
    np.testing.assert_array_equal(changed, epochs == 2)


def test_a_new_augmentation_does_not_change_what_another_draws(ten):
    alone = run({"rotate": {}, "noise": {}}, ten)
    never = {"probability": 0.0}
    others = {"shear": never, "zoom": {"low": 1.0, "high": 1.0}, "stretch": never}
    beside = run({"rotate": {}, "noise": {}} | others, ten)
    for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(beside), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_new_augmentation_does_not_change_which_faces_another_applies_to():
    half = {"probability": 0.5}
    alone = applied({"shear": half, "blur": half})
    beside = applied({"shear": half, "blur": half, "rotate": half, "noise": half})
    for name, faces in alone.items():
        np.testing.assert_array_equal(faces, beside[name], name)


@pytest.mark.parametrize(
    "names",
    [
        ("alternating_flip", "rotate", "noise", "cutmix"),
        pytest.param(tuple(AUGMENTATIONS), marks=pytest.mark.long),
    ],
)
def test_the_number_of_devices_changes_nothing(names, ten):
    """Mixing too, which reaches from one device to the next."""
    eight = jax.tree.map(lambda x: x[:8].copy(), ten)
    eight["known"]["emotion"][3] = False  # neither it nor 4 is mixed
    augment = make_augment(TASKS, {name: {"probability": 0.5} for name in names})
    augment = jax.jit(augment, compiler_options={"xla_backend_optimization_level": 0})
    results = []
    for count in (1, 4, 8):
        mesh = sharding.make_mesh(jax.devices()[:count])
        batch = sharding.place(eight, sharding.split(mesh))
        results.append(jax.device_get(augment(jax.random.key(3), batch)))
    one, *others = results
    assert (one["image"] != eight["image"]).any((1, 2, 3)).sum() > 4
    assert one["image"].min() >= 0 and one["image"].max() <= 1 + 1e-6
    mixed = ~one["known"]["keypoints"].any(1)
    assert mixed.any() and not mixed[[3, 4]].any()
    for other in others:
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)  # rounding only


@pytest.mark.parametrize(
    "sections, sentence",
    [
        ({"flp": {}}, "unknown augmentation 'flp'; did you mean flip"),
        ({"zoom": {"lo": 0.5}}, "field of config.augment.zoom 'lo'.*low, high"),
        ({"flip": {"prob": 0.5}}, "augment.flip 'prob'.*known: probability.$"),
        ({"mixup": {"beta": 0.5}}, "field of config.augment.mixup 'beta'.*alpha"),
        ({"policy": {"cout": 2}}, "field of config.augment.policy 'cout'.*count"),
        ({"blur": {"probability": 1.5}}, "config.augment.blur.probability is 1.5"),
        ({"blur": {"probability": -0.1}}, "config.augment.blur.probability is -0.1"),
    ],
)
def test_wrong_sections_are_told(sections, sentence):
    with pytest.raises(Mistake, match=sentence):
        make_augment(TASKS, sections)


def test_a_field_may_be_negative_where_its_default_is(monkeypatch):
    def slant(key, face, low: float = -0.2, high: float = 0.2):
        raise AssertionError("called")

    monkeypatch.setitem(AUGMENTATIONS, "slant", slant)
    made = make_augment(TASKS, {"slant": {"low": -0.5}})
    assert made.functions["slant"].keywords == {"low": -0.5}
    with pytest.raises(Mistake, match="slant.high is -0.1, must be at least 0"):
        make_augment(TASKS, {"slant": {"high": -0.1}})
    with pytest.raises(Mistake, match="slant.low is 0.3, above high, which is 0.2"):
        make_augment(TASKS, {"slant": {"low": 0.3}})


@pytest.mark.parametrize(
    "section, sentence",
    [
        ({"zoom": {"low": 0.0}}, "zoom.low is 0.0, must be above 0"),
        ({"crop": {"aspect": -1.0}}, "crop.aspect is -1.0, must be above 0"),
        ({"crop": {"aspect": 0.5}}, "crop.aspect is 0.5, must be at least 1"),
        ({"crop": {"high": 1.5}}, "crop.high is 1.5, must be at most 1"),
        ({"shear": {"degrees": 90.0}}, "shear.degrees is 90.0, must be at most 80"),
        ({"policy": {"strength": ((0, -1.0),)}}, "strength is -1.0, must be at least"),
        ({"zoom_out": {"low": 0.0}}, "zoom_out.low is 0.0, must be above 0"),
        ({"gamma": {"low": 0.0}}, "gamma.low is 0.0, must be above 0"),
        ({"mixup": {"alpha": 0.0}}, "mixup.alpha is 0.0, must be above 0"),
        ({"cutmix": {"alpha": 0.0}}, "cutmix.alpha is 0.0, must be above 0"),
        ({"zoom_in": {"high": 0.5}}, "zoom_in.high is 0.5, must be at least 1"),
        ({"zoom_out": {"low": 1.5}}, "zoom_out.low is 1.5, must be at most 1"),
        ({"zoom": {"low": 1.3}}, "zoom.low is 1.3, above high, which is 1.1"),
        (
            {"policy": {"strength": ((5, 1.0), (0, 0.0))}},
            r"policy.strength, \[5, 0\], do not rise",
        ),
        (
            {"policy": {"strength": ((3, 0.0), (3, 1.0))}},
            r"policy.strength, \[3, 3\], do not rise",
        ),
        ({"blur": {"sigma": -1.0}}, "blur.sigma is -1.0, must be at least 0"),
        ({"blur": {"sigma": "2"}}, "blur.sigma is '2', must be a finite number"),
        ({"flip": {"probability": "x"}}, "flip.probability is 'x', must be a finite"),
        ({"policy": {"count": -1}}, "policy.count is -1, not 0 or more"),
        ({"policy": {"strength": ((0,),)}}, "policy.strength is .* a pair of"),
    ],
)
def test_a_value_that_no_face_could_be_altered_by_is_a_mistake(section, sentence):
    with pytest.raises(Mistake, match=sentence):
        make_augment(make_tasks({"emotion": {}}), section)
