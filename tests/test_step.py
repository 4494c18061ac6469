"""Laws of the step: devices, masks, averages, one trace, and what it can learn."""

from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
import tiny

from emotion_jax import step
from emotion_jax.data import geometry
from emotion_jax.data.augment import make_augment
from emotion_jax.models import make_network
from emotion_jax.sharding import make_mesh
from emotion_jax.tasks import make_tasks


def losses(table, n, **options):
    """The losses of n steps, and the last state."""
    state, train_step, feed = tiny.make_step(table, **options)
    found = []
    for inputs in islice(feed.batches(0), n):
        state, metrics = train_step(state, inputs)
        found.append(float(metrics["loss"][0]))
    return np.array(found), state


def test_one_device_equals_four_equals_eight():
    table = tiny.faces()
    expected, one = losses(table, 4, devices=jax.devices()[:1])
    for count in (4, 8):
        found, many = losses(table, 4, devices=jax.devices()[:count])
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(many.params)):
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-5)


def test_resident_and_streamed_train_to_the_same_bits():
    table = tiny.faces()
    resident, a = losses(table, 3, feed="resident")
    streamed, b = losses(table, 3, feed="streamed")
    np.testing.assert_array_equal(resident, streamed)
    assert jax.tree.all(jax.tree.map(np.array_equal, a, b))


def test_the_first_step_is_this_one():
    state, train_step, feed = tiny.make_step(tiny.faces())
    _, metrics = train_step(state, next(feed.batches(0)))
    found = {k: float(t / n) for k, (t, n) in metrics.items()}
    expected = GOLDEN
    message = "if you meant to change the step, update GOLDEN; otherwise this is a bug"
    assert found.keys() == expected.keys(), message
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, err_msg=message)


GOLDEN = {
    "emotion/accuracy": 0.25,
    "emotion/loss": 1.609438,
    "keypoints/loss": 20.94459,
    "keypoints/square_px": 664.3186,
    "grad_norm": 19.18854,
    "learning_rate": 0.0,
    "loss": 22.55403,
}


def test_faces_without_any_label_give_finite_gradients_and_no_loss():
    table = tiny.faces()
    table["known"] = jax.tree.map(np.zeros_like, table["known"])
    table["labels"] = jax.tree.map(np.zeros_like, table["labels"])
    found, state = losses(table, 2)
    np.testing.assert_array_equal(found, 0)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))


def test_what_an_unknown_label_holds_changes_nothing():
    table, other = tiny.faces(), tiny.faces()
    unknown = ~other["known"]["keypoints"]
    other["labels"]["keypoints"][unknown] = 1e6
    other["labels"]["emotion"][~other["known"]["emotion"]] = 0.2
    a, b = losses(table, 2)[0], losses(other, 2)[0]
    np.testing.assert_array_equal(a, b)


def test_the_step_compiles_once():
    state, train_step, feed = tiny.make_step(tiny.faces())
    for inputs in islice(feed.batches(0), 4):
        state, _ = train_step(state, inputs)
    assert train_step._cache_size() == 1


def test_one_batch_can_be_learnt_by_heart():
    rng = np.random.default_rng(0)
    table = tiny.faces(8)
    table["known"] = jax.tree.map(np.ones_like, table["known"])
    table["labels"]["emotion"] = np.eye(5, dtype=np.float32)[rng.integers(0, 5, 8)]
    table["labels"]["keypoints"] = rng.uniform(4, 19, (8, 15, 2)).astype(np.float32)
    optim = tiny.OPTIM | {
        "name": "adamw",
        "learning_rate": 1e-2,
        "schedule": {"name": "constant", "warmup": 0},
    }
    found, _ = losses(table, 150, augment={}, optim=optim, total=150)
    # Smoothed labels leave the entropy of the smoothing, 0.5 nats, even when learnt.
    assert found[0] > 10 and found[-5:].mean() < 1.0


def test_the_average_follows_the_parameters_and_the_norms_statistics():
    state, train_step, feed = tiny.make_step(tiny.faces())

    expected = jax.tree.map(np.array, state.ema)
    for now, inputs in enumerate(islice(feed.batches(0), 4)):
        state, _ = train_step(state, inputs)
        decay = min(0.9, (1 + now) / (10 + now))
        expected = jax.tree.map(
            lambda e, p, d=decay: d * e + (1 - d) * np.asarray(p),
            expected,
            {"params": state.params, "batch_stats": state.batch_stats},
        )
    for a, b in zip(jax.tree.leaves(state.ema), jax.tree.leaves(expected)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert state.variables() is state.ema


def test_streams_of_other_names_and_steps_differ():
    keys = [step.stream(0, "init"), step.stream(0, "augment"), step.stream(1, "init")]
    keys += [step.stream(0, "augment", 1), step.stream(0, "dropout", 1)]
    assert len({tuple(jax.random.key_data(k).tolist()) for k in keys}) == len(keys)


def test_every_step_augments_anew_both_views():
    _, _, feed = tiny.make_step(tiny.faces())
    augment = make_augment(make_tasks(tiny.TASKS), tiny.AUGMENT)
    make = jax.jit(step.make_batch(augment, feed, make_mesh(), 0, views=2))
    inputs = next(feed.batches(0))
    first, second = (np.array(make(jnp.int32(n), inputs)["image"]) for n in (0, 1))
    assert (first != second).any((1, 2, 3)).all()


def test_every_step_hides_other_features():
    model = tiny.MODEL | {"dropout": 0.5}
    state, train_step, feed = tiny.make_step(tiny.faces(), augment={}, model=model)
    inputs, norms = next(feed.batches(0)), set()
    for number in (0, 1):
        given = jax.tree.map(jnp.copy, state).replace(step=jnp.int32(number))
        norms.add(float(train_step(given, inputs)[1]["grad_norm"][0]))
    assert len(norms) == 2


def test_gray_levels_map_to_the_networks_range():
    image = jnp.array([0, 255], jnp.uint8).reshape(2, 1, 1, 1)
    found = step.standardise(step.normalise(image)).ravel()
    np.testing.assert_allclose(found, [-2, 2])


def test_no_weight_decay_and_no_loss_leave_parameters_alone():
    table = tiny.faces()
    table["known"] = jax.tree.map(np.zeros_like, table["known"])
    optim = tiny.OPTIM | {"weight_decay": 0.0}
    first, _, _ = tiny.make_step(table, optim=optim)
    before = jax.tree.map(np.array, first.params)
    _, state = losses(table, 3, optim=optim)
    same = jax.tree.map(np.array_equal, before, jax.tree.map(np.array, state.params))
    assert jax.tree.all(same)


def test_an_evaluations_products_are_float32_on_every_platform():
    tasks = make_tasks({"emotion": {}, "keypoints": {}})
    network = make_network(tasks, name="resnet", width=8, blocks=(1, 1))
    image = jnp.zeros((8, 24, 24, 1), jnp.uint8)
    variables = network.init(jax.random.key(0), step.normalise(image))
    program = step.make_eval_step(network, make_mesh()).lower(variables, image)
    lines = program.as_text().splitlines()
    products = [x for x in lines if "convolution(" in x or "dot_general " in x]
    assert len(products) > 5 and all("HIGHEST" in product for product in products)


def test_points_are_moved_in_float32_on_every_platform():
    """A TPU would else round them to half a pixel."""
    same = tuple(range(15))
    moved = jax.jit(lambda p, m: geometry.move_points(p, geometry.centred(m, 48), same))
    text = moved.lower(jnp.zeros((15, 2)), geometry.affine()).as_text()
    products = [line for line in text.splitlines() if "dot_general " in line]
    assert len(products) == 3 and all("HIGHEST" in product for product in products)
