"""The law of the whole step that accumulates."""

from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
import tiny

from emotion_jax import optim, step
from emotion_jax.data.augment import make_augment
from emotion_jax.data.pipeline import Order, Resident
from emotion_jax.models import make_network
from emotion_jax.plan import Plan
from emotion_jax.sharding import make_mesh, whole
from emotion_jax.tasks import make_tasks

OPTIM = {
    "name": "sgd",
    "learning_rate": 0.5,
    "weight_decay": 0.1,
    "base_batch_size": 64,
    "schedule": {"name": "constant"},
    "options": {"momentum": 0.9},
}


def test_four_accumulated_steps_are_one_step_of_four_times_the_batch():
    table = tiny.faces(32)
    table["known"] = {"emotion": np.ones(32, bool)}
    table["labels"] = {"emotion": np.eye(5, dtype=np.float32)[np.arange(32) % 5]}
    tasks, mesh = make_tasks({"emotion": {}}), make_mesh(jax.devices()[:1])
    # BatchNorm would see the smaller batch.
    network = make_network(tasks, **tiny.MODEL, norm="group")

    def train(batch_size, accumulate, steps):
        plan = Plan(batch_size, steps, steps, 32 / batch_size)
        optimizer = optim.make_optimizer(plan, **OPTIM, accumulate=accumulate)
        feed = Resident(table, Order(0, [np.arange(32)], [batch_size]), mesh)
        state = jax.eval_shape(step.make_init(network, optimizer, 0, 24))
        rng = np.random.default_rng(0)  # quicker than to compile the network's own
        draw = jax.tree.map(lambda p: rng.normal(0, 0.5, p.shape), state.params)
        start = jax.tree.map(jnp.float32, draw)
        state = state.replace(
            step=jnp.int32(0), params=start, opt_state=optimizer.tx.init(start)
        )
        state = jax.device_put(state, whole(mesh))
        train_step = step.make_train_step(
            network=network,
            tasks=tasks,
            optimizer=optimizer,
            augment=make_augment(tasks, {}),
            feed=feed,
            mesh=mesh,
            seed=0,
            layout=whole(mesh),
        )
        for inputs in islice(feed.batches(0), steps):
            state, _ = train_step(state, inputs)
        assert train_step._cache_size() == 1
        return draw, state.params

    start, one = train(32, 1, 1)
    _, four = train(8, 4, 4)
    for p, a, b in zip(*map(jax.tree.leaves, (start, one, four))):
        moved = np.abs(a - p).max()
        assert moved > 1e-5
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-3 * moved)
