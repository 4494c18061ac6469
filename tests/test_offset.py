"""Labels that all lie to one side of the picture: learnt, and kept in its turns."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from emotion_jax import distill, sharding, step, tasks, views
from emotion_jax.data.augment import make_augment
from emotion_jax.errors import Mistake
from emotion_jax.evaluator import Evaluator
from emotion_jax.models import make_network
from emotion_jax.tasks import offset

SIDE = 24
OFF = np.float32([3.0, -1.0])  # pixels that the labels are off by
LEARNED = {"emotion": {}, "keypoints": {"learn_offset": True}}
TASKS = tasks.make_tasks(LEARNED)
PLAIN = tasks.make_tasks({"emotion": {}, "keypoints": {}})
ALWAYS = {"probability": 1.0}


@pytest.fixture(scope="module")
def ten() -> dict:
    """Ten faces as the augmentation takes them."""
    table = tiny.faces(10, SIDE)
    image = table["image"].astype(np.float32) / 255
    row, epoch = np.arange(10), np.zeros(10, np.float32)
    return table | {"image": image, "row": row, "epoch": epoch}


def in_units(pixels) -> jax.Array:
    return jnp.asarray(pixels) / (SIDE / offset.UNIT)


def turned(batch: dict, augment: dict) -> dict:
    """A batch augmented."""
    augment = jax.jit(make_augment(PLAIN, augment))
    return jax.device_get(augment(jax.random.key(3), batch))


@pytest.mark.parametrize(
    "augment",
    [
        {},
        {"erase": ALWAYS},
        {"flip": ALWAYS},
        {"flip": {}, "rotate": {"degrees": 40.0}, "zoom": {}, "translate": {}},
        {"flip_vertical": ALWAYS, "shear": {}, "crop": {}},
    ],
    ids=lambda augment: " ".join(augment) or "nothing",
)
def test_labels_of_turned_faces_are_off_as_those_of_all(augment, ten):
    true = turned(ten, augment)
    points = ten["labels"]["keypoints"]
    off = turned(ten | {"labels": ten["labels"] | {"keypoints": points + OFF}}, augment)
    turn, value = jnp.asarray(off["turn"]), {"keypoints": in_units(OFF)}
    kept = offset.keep(off["labels"], value, turn, SIDE)
    expected = true["labels"]["keypoints"] + OFF
    np.testing.assert_allclose(kept["keypoints"], expected, atol=1e-4)
    np.testing.assert_array_equal(kept["emotion"], true["labels"]["emotion"])


def test_an_offset_counts_in_units_of_the_images_side():
    """At side 48 a unit is two pixels."""
    value = np.float32([0.5, -0.25])
    found = offset.learnt(TASKS, {"offset_keypoints": value}, 48)
    np.testing.assert_allclose(found["keypoints"], [1.0, -0.5])
    labels = {"keypoints": jnp.zeros((1, 15, 2))}
    mirror = jnp.array([[[-1.0, 0.0], [0.0, 1.0]]])
    kept = offset.keep(labels, {"keypoints": jnp.array(value)}, mirror, 48)
    np.testing.assert_allclose(kept["keypoints"][0], [[2.0, 0.0]] * 15)


SGD = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1, 0.9, nesterov=True))


@pytest.mark.parametrize("tx", [optax.adam(0.05), SGD], ids=["adam", "sgd"])
def test_training_learns_what_labels_are_off_by(tx, ten):
    """Nothing of a face can be known here, but that its labels lie off the middle."""
    middle = np.full((10, 15, 2), (SIDE - 1) / 2, np.float32)
    batch = ten | {"labels": ten["labels"] | {"keypoints": middle + OFF}}
    batch["known"] = ten["known"] | {"keypoints": np.ones((10, 15), bool)}
    batch = jax.tree.map(jnp.asarray, batch)
    network = make_network(TASKS, **tiny.MODEL)
    variables = jax.jit(network.init)(jax.random.key(0), batch["image"])
    loss = step.make_loss(network, TASKS)
    augment = make_augment(TASKS, {"flip": {}})

    @jax.jit
    def train(params, state, number):
        moved = augment(jax.random.key(number), batch)
        moved["image"] = jnp.zeros_like(moved["image"])  # a mirror cannot be seen
        grads, _ = jax.grad(loss, has_aux=True)(
            params, variables["batch_stats"], moved, jax.random.key(number)
        )
        updates, state = tx.update(grads, state)
        return optax.apply_updates(params, updates), state

    params = variables["params"]
    assert not params["offset_keypoints"].any()
    state = tx.init(params)
    for number in range(400):
        params, state = train(params, state, number)
    learnt = params["offset_keypoints"] * SIDE / offset.UNIT
    np.testing.assert_allclose(learnt[0], OFF[0], atol=0.3)
    given = {"params": params, "batch_stats": variables["batch_stats"]}
    seen = network.apply(
        given, jnp.zeros((1, SIDE, SIDE, 1)), train=True, mutable=["batch_stats"]
    )
    points = seen[0]["keypoints"]
    np.testing.assert_allclose(points.mean((0, 1)), middle[0, 0] + OFF, atol=0.6)


def test_an_offset_is_learnt_from_mirrored_faces_alone():
    with pytest.raises(Mistake, match="learn_offset learns from mirrored faces: it"):
        make_augment(TASKS, {"rotate": {}})


def test_a_teacher_whose_points_lie_elsewhere_is_told(tmp_path):
    teacher = str(tiny.untrained(tmp_path / "run"))
    fields = {"learn_offset": True, "teachers": teacher}
    pupil = tasks.make_tasks({"keypoints": fields})
    with pytest.raises(Mistake, match="learn_offset=False, unlike this run"):
        distill.load(pupil, sharding.make_mesh())


def test_without_the_field_nothing_is_learnt_of_offsets(ten):
    plain = make_network(tasks.make_tasks({"keypoints": {}}), **tiny.MODEL)
    shapes = jax.eval_shape(plain.init, jax.random.key(0), ten["image"])
    assert "offset_keypoints" not in shapes["params"]


def test_mirrored_views_count_as_the_face_itself():
    """A network that is right but for the offset, whatever it looks at."""
    spot = np.float32([7, 4])

    def see(image):
        y, x = np.divmod(image.reshape(len(image), -1).argmax(1), SIDE)
        at = np.stack([x, y], -1)[:, None] + OFF
        return {"keypoints": np.repeat(at, 15, 1).astype(np.float32)}

    image = np.zeros((1, SIDE, SIDE, 1), np.uint8)
    image[0, 4, 7] = 200
    found = views.average(see, TASKS, image, {"keypoints": OFF})["keypoints"]
    np.testing.assert_allclose(
        found, np.broadcast_to(spot + OFF, (1, 15, 2)), atol=1e-5
    )


def test_an_evaluation_over_views_takes_the_offset_of_the_checkpoint():
    mesh = sharding.make_mesh()
    only = {"keypoints": TASKS["keypoints"]}
    evaluator = Evaluator(only, tiny.MODEL, mesh)
    network = make_network(only, **tiny.MODEL)
    image = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 1), np.uint8)
    variables = jax.jit(network.init)(jax.random.key(0), jnp.zeros(image.shape))
    plain = evaluator.run_tta(variables, image)["keypoints"]
    params = variables["params"] | {"offset_keypoints": in_units(OFF)}
    found = evaluator.run_tta(variables | {"params": params}, image)["keypoints"]
    # Half of the views are mirrored; each is off by twice as much.
    expected = plain + np.float32([OFF[0], 0])
    np.testing.assert_allclose(found, expected, atol=1e-4)
