"""Laws of BatchNorm: what Flax's own gives, forwards, backwards and running."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emotion_jax.models import norm

SHAPE = (16, 5, 3, 8)


def draw(seed: int) -> jax.Array:
    """Of channels that differ in mean and spread."""
    rng = np.random.default_rng(seed)
    return jnp.float32(rng.normal(3.0, rng.uniform(0.5, 4.0, SHAPE[-1]), SHAPE))


def made(layer, **fields):
    """A layer in training, with a scale and a bias that show."""
    layer = layer(use_running_average=False, momentum=0.9, epsilon=1e-3, **fields)
    variables = layer.init(jax.random.key(0), draw(0))
    rng = np.random.default_rng(1)
    params = {
        name: jnp.float32(rng.uniform(0.5, 2.0, SHAPE[-1]))
        for name in ("scale", "bias")
    }
    return layer, variables | {"params": params}


@pytest.mark.parametrize("dtype, rtol", [(jnp.float32, 2e-5), (jnp.bfloat16, 2e-2)])
def test_it_is_flaxs_with_its_gradients_and_running_statistics(dtype, rtol):
    x, toward, found = jnp.asarray(draw(2), dtype), draw(3), []
    for kind in (nn.BatchNorm, norm.BatchNorm):
        layer, variables = made(kind, dtype=dtype)

        def loss(params, x, layer=layer, stats=variables["batch_stats"]):
            both = {"params": params, "batch_stats": stats}
            y, new = layer.apply(both, x, mutable=["batch_stats"])
            assert y.dtype == dtype
            return (y.astype(jnp.float32) * toward).mean(), (y, new["batch_stats"])

        grad = jax.value_and_grad(loss, (0, 1), has_aux=True)
        found.append(jax.jit(grad)(variables["params"], x))
    theirs, ours = found
    assert jax.tree.structure(theirs) == jax.tree.structure(ours)
    for a, b in zip(jax.tree.leaves(theirs), jax.tree.leaves(ours)):
        assert a.dtype == b.dtype
        a, b = np.float32(a), np.float32(b)
        np.testing.assert_allclose(b, a, rtol, atol=rtol * np.abs(a).max())


def test_by_running_statistics_it_is_flaxs_to_the_bit():
    x, answers = draw(4), []
    for kind in (nn.BatchNorm, norm.BatchNorm):
        layer, variables = made(kind)
        variables["batch_stats"] = {"mean": x.mean((0, 1, 2)), "var": x.var((0, 1, 2))}
        still = layer.clone(use_running_average=True)
        answers.append(np.asarray(still.apply(variables, x)))
    np.testing.assert_array_equal(*answers)


def test_a_constant_channel_is_finite():
    layer, variables = made(norm.BatchNorm)
    x = jnp.full(SHAPE, 1e4)

    def loss(x):
        return layer.apply(variables, x, mutable=["batch_stats"])[0].sum()

    assert np.isfinite(jax.value_and_grad(loss)(x)[1]).all()


def test_sums_are_those_of_double_precision():
    x = jnp.concatenate([draw(seed) for seed in range(40)])
    exact = np.float64(x).sum((0, 1, 2))
    found = np.asarray(jax.jit(norm.channel_sums)(x))
    np.testing.assert_allclose(found, exact, rtol=1e-5)
