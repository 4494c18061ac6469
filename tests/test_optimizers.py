"""Laws of the optimizers by name: each against its paper's recursion in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from emotion_jax.optim import make_optimizer
from emotion_jax.optimizers import OPTIMIZERS
from emotion_jax.plan import Plan
from emotion_jax.schedules import SCHEDULES

PLAN = Plan(batch_size=8, total=4, stop=4, epoch=2.0)
LINEAR = {"name": "linear", "warmup": 0}
RATES = [0.1, 0.075, 0.05]  # its first three
DECAY = 0.3


def make(name, rate=0.1, schedule=LINEAR, **fields):
    fields = {"weight_decay": DECAY, "options": {}} | fields
    return make_optimizer(
        PLAN, name=name, learning_rate=rate, schedule=schedule, **fields
    )


def walk(optimizer, params, gradients):
    """The last parameters and the last state after these gradients."""
    state = optimizer.tx.init(params)
    for gradient in gradients:
        moved, state = optimizer.tx.update(gradient, state, params)
        params = optax.apply_updates(params, moved)
    return params, state


def random_tree(seed, **shapes):
    rng = np.random.default_rng(seed)
    return {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}


SHAPES = {"kernel": (3, 4), "bias": (4,)}
PARAMS = jax.tree.map(jnp.asarray, random_tree(0, **SHAPES))
GRADIENTS = [random_tree(seed, **SHAPES) for seed in (1, 2, 3)]


def moments(gradients, b1, b2):
    """Adam's two averages at each step, corrected for their start at 0."""
    m = v = 0
    for t, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        yield m / (1 - b1**t), v / (1 - b2**t)


def sgd(p, decay, gradients):
    m = 0
    for rate, g in zip(RATES, gradients):
        g = g + decay * p
        m = 0.8 * m + g
        p = p - rate * (g + 0.8 * m)
    return p


def adamw(p, decay, gradients):
    for rate, (m, v) in zip(RATES, moments(gradients, 0.8, 0.95)):
        p = p - rate * (m / (np.sqrt(v) + 1e-8) + decay * p)
    return p


def lion(p, decay, gradients):
    m = 0
    for rate, g in zip(RATES, gradients):
        p = p - rate * (np.sign(0.8 * m + 0.2 * g) + decay * p)
        m = 0.95 * m + 0.05 * g
    return p


def lamb(p, decay, gradients):
    for rate, (m, v) in zip(RATES, moments(gradients, 0.8, 0.95)):
        step = m / (np.sqrt(v) + 1e-6) + decay * p
        ratio = np.linalg.norm(p) / np.linalg.norm(step) if p.ndim > 1 else 1.0
        p = p - rate * ratio * step
    return p


@pytest.mark.parametrize(
    "paper, options",
    [
        (sgd, {"momentum": 0.8}),
        (adamw, {"b1": 0.8, "b2": 0.95}),
        (lion, {"b1": 0.8, "b2": 0.95}),
        (lamb, {"b1": 0.8, "b2": 0.95}),
    ],
)
def test_three_steps_are_the_papers_and_only_kernels_decay(paper, options):
    found, _ = walk(make(paper.__name__, options=options), PARAMS, GRADIENTS)
    for name, decay in {"kernel": DECAY, "bias": 0.0}.items():
        start = np.float64(PARAMS[name])
        expected = paper(start, decay, [np.float64(g[name]) for g in GRADIENTS])
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_starts_at_zero_leaves_it_at_the_rate(name):
    """Heads, biases and a block's last scale do: they must not wait to have a norm."""
    shapes = {"output": (4, 3), "bias": (3,), "scale": (4,)}
    zero = jax.tree.map(jnp.zeros_like, random_tree(0, **shapes))
    options = {"momentum": 0.0} if name == "sgd" else {}
    found, _ = walk(make(name, options=options), zero, [random_tree(1, **shapes)])
    for moved in jax.tree.leaves(found):
        assert np.abs(moved).max() > 0.01  # the rate is 0.1


@pytest.mark.parametrize("name", ["sgd", "adamw", "lion", "muon", "schedule_free"])
def test_a_step_without_gradient_only_decays_kernels(name):
    options = {"momentum": 0.0} if name == "sgd" else {}
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    found, _ = walk(make(name, options=options), PARAMS, [zero])
    expected = PARAMS["kernel"] * (1 - 0.1 * DECAY)
    np.testing.assert_allclose(found["kernel"], expected, rtol=1e-5)
    np.testing.assert_array_equal(found["bias"], PARAMS["bias"])


@pytest.mark.parametrize(
    "shape, scale",
    [((3, 3, 4, 8), 1.0), ((1, 1, 4, 16), 2.0), ((5, 20), 2.0)],
)
def test_muon_moves_a_kernel_by_an_orthogonal_matrix(shape, scale):
    params = {"kernel": jnp.zeros(shape)}  # a wide matrix's step is sqrt(out / in)
    found, _ = walk(make("muon"), params, [random_tree(1, kernel=shape)])
    matrix = np.asarray(found["kernel"]).reshape(-1, shape[-1])
    values = np.linalg.svd(matrix, compute_uv=False) / (0.1 * scale)
    assert values.min() > 0.5 and values.max() < 1.5


@pytest.mark.parametrize("path", ["bias", "output"])
def test_muon_gives_the_rest_a_scaled_rate_of_adam_with_nesterovs_momentum(path):
    leaf = "bias" if path == "bias" else "kernel"  # of a head's last layer, "output"
    params, *gradients = [{path: {leaf: tree[leaf]}} for tree in (PARAMS, *GRADIENTS)]
    optimizer = make("muon", weight_decay=0.0, options={"adam_scale": 0.25})
    found, _ = walk(optimizer, params, gradients)
    p, m, v = np.float64(params[path][leaf]), 0, 0
    for t, (rate, gradient) in enumerate(zip(RATES, gradients), 1):
        g = np.float64(gradient[path][leaf])
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        ahead = 0.9 * m / (1 - 0.9 ** (t + 1)) + 0.1 * g / (1 - 0.9**t)
        p = p - 0.25 * rate * ahead / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(found[path][leaf], p, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_schedule_free_evaluates_the_average_of_its_fast_parameters(accumulate):
    optimizer = make(
        "schedule_free",
        schedule={"name": "constant"},
        options={"b1": 0.7, "b2": 0.95},
        accumulate=accumulate,
    )
    twice = [gradient for gradient in GRADIENTS for _ in range(accumulate)]
    moved, state = walk(optimizer, PARAMS, twice)
    now = {"params": moved, "batch_stats": {"mean": jnp.ones(2)}}
    average = optimizer.average({}, now, state, jnp.int32(len(twice) - 1))
    assert optimizer.averages and average["batch_stats"] is now["batch_stats"]
    for name, decay in {"kernel": DECAY, "bias": 0.0}.items():
        x = y = z = np.float64(PARAMS[name])
        v = 0
        for t, gradient in enumerate(GRADIENTS, 1):
            v = 0.95 * v + 0.05 * np.float64(gradient[name]) ** 2
            step = gradient[name] / (np.sqrt(v / (1 - 0.95**t)) + 1e-8)
            z = z - 0.1 * (step + decay * y)
            x = (1 - 1 / t) * x + z / t
            y = 0.3 * z + 0.7 * x
        np.testing.assert_allclose(moved[name], y, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(average["params"][name], x, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_moves_at_every_schedules_rate(name):
    params = {"a": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}}

    def two_steps(schedule):
        optimizer = make(name, schedule={"name": schedule})
        moved, state = params, optimizer.tx.init(params)
        for _ in range(2):  # the first may be a warm-up's, of rate 0
            updates, state = optimizer.tx.update(params, state, moved)
            moved = optax.apply_updates(moved, updates)
        return moved

    for moved in jax.jit(lambda: [two_steps(s) for s in SCHEDULES])():
        for leaf in jax.tree.leaves(moved):
            assert np.isfinite(leaf).all() and (leaf < 1).all()
