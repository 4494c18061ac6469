"""Laws of what a residual network may have besides: blur, gates, dropped branches."""

from functools import partial

import by_hand
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from emotion_jax.models.resnet import Block, ResNet, SqueezeExcite, blur

BINOMIAL = np.outer([1, 2, 1], [1, 2, 1])[None, :, :, None] / 16


@pytest.mark.parametrize("sides", [(6, 7), (5, 8)])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_blur_is_the_binomial_at_every_second_place_from_the_first(sides, stride):
    x = np.random.default_rng(0).normal(size=(2, *sides, 3)).astype(np.float32)
    expected = scipy.ndimage.convolve(x, BINOMIAL, mode="nearest")
    found = blur(jnp.array(x), stride)
    expected = expected[:, ::stride, ::stride]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_blur_of_a_constant_is_constant_up_to_the_edges():
    found = blur(jnp.full((1, 7, 6, 2), 3.0), 2)
    np.testing.assert_array_equal(found, np.full((1, 4, 3, 2), 3.0))


@pytest.mark.parametrize("side", [24, 25])
@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_antialiasing_changes_no_shape(side, block):
    image = jax.ShapeDtypeStruct((1, side, side, 1), jnp.float32)
    shapes = []
    for antialias in (False, True):
        trunk = ResNet((1, 1), 8, block=block, antialias=antialias)
        made = jax.eval_shape(trunk.init_with_output, jax.random.key(0), image)
        shapes.append(jax.tree.map(jnp.shape, made))
    assert shapes[0] == shapes[1]


def test_a_gate_weighs_a_faces_channels_by_the_means_of_all_of_them():
    x = np.random.default_rng(0).uniform(1, 2, (3, 4, 4, 12)).astype(np.float32)
    gate = SqueezeExcite(2)
    variables = by_hand.variables(gate, x)
    squeeze, excite = (variables["params"][name] for name in ("squeeze", "excite"))
    assert squeeze["kernel"].shape == (12, 6)
    hidden = np.maximum(x.mean((1, 2)) @ squeeze["kernel"] + squeeze["bias"], 0)
    weight = 1 / (1 + np.exp(-(hidden @ excite["kernel"] + excite["bias"])))
    found = jax.jit(gate.apply)(variables, x) / x
    assert 0 < found.min() < found.max() < 1
    expected = np.broadcast_to(weight[:, None, None, :], x.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_gates_hidden_layer_has_at_least_four_units():
    shapes = by_hand.variables(SqueezeExcite(16), np.zeros((1, 2, 2, 8), np.float32))
    assert shapes["params"]["squeeze"]["kernel"].shape == (8, 4)


@pytest.mark.parametrize("norm, alone", [("group", True), ("batch", False)])
def test_in_training_only_batch_norm_lets_faces_see_each_other(norm, alone):
    image = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)
    trunk = ResNet((1,), 8, norm=norm)
    variables = by_hand.variables(trunk, image)

    @jax.jit
    def train(image):
        return trunk.apply(variables, image, train=True, mutable=["batch_stats"])[0]

    together = train(image)
    other = train(np.concatenate([image[:1], np.square(image[1:])]))
    assert not np.allclose(together[1:], other[1:], rtol=1e-2)
    assert alone == np.allclose(together[0], other[0], rtol=1e-4, atol=1e-5)


def test_eight_groups_are_normed_over_their_channels_and_places():
    x = np.random.default_rng(0).normal(2, 3, (2, 4, 4, 16)).astype(np.float32)
    norm = ResNet(norm="group").style(True).norm()
    params = {"scale": np.ones(16), "bias": np.zeros(16)}
    found = jax.jit(norm.apply)({"params": params}, x)
    groups = x.reshape(2, 16, 8, 2)
    unit = groups - groups.mean((1, 3), keepdims=True)
    unit /= groups.std((1, 3), keepdims=True)
    np.testing.assert_allclose(found, unit.reshape(x.shape), rtol=1e-3, atol=1e-4)


def test_batch_norms_statistics_move_by_their_momentum():
    norm = ResNet(momentum=0.75).style(True).norm()
    x = np.full((2, 2, 2, 1), 9.0, np.float32)
    stats = {"mean": np.ones(1), "var": np.ones(1)}
    variables = {"params": {"scale": np.ones(1), "bias": np.zeros(1)}}
    variables["batch_stats"] = stats
    _, new = jax.jit(partial(norm.apply, mutable=["batch_stats"]))(variables, x)
    np.testing.assert_allclose(new["batch_stats"]["mean"], [3.0])
    np.testing.assert_allclose(new["batch_stats"]["var"], [0.75])


FACES = np.random.default_rng(0).normal(size=(400, 3, 3, 8)).astype(np.float32)


def branch(drop, train):
    """What a block adds to its inputs, always with the same variables."""
    options = {"preactivation": True, "norm": "group"}
    block = Block(8, 1, drop, ResNet(**options).style(train))
    variables = by_hand.variables(block, FACES)
    rngs = {"dropout": jax.random.key(5)}
    return np.array(jax.jit(block.apply)(variables, FACES, rngs=rngs)) - FACES


@pytest.mark.parametrize("rate", [0.5, 0.2])
def test_training_drops_a_faces_branch_or_scales_it_up(rate):
    whole, found = branch(0.0, True), branch(rate, True)
    dropped = (found == 0).all((1, 2, 3))
    assert dropped.mean() == pytest.approx(rate, abs=0.1)
    np.testing.assert_allclose(
        found[~dropped], whole[~dropped] / (1 - rate), rtol=1e-3, atol=1e-4
    )


def test_evaluation_drops_no_branch():
    np.testing.assert_array_equal(branch(0.5, False), branch(0.0, False))


def test_dropping_branches_grows_with_depth_from_none_to_the_rate():
    rates = {}

    def note(call, args, options, context):
        if isinstance(context.module, Block):
            rates[context.module.name] = context.module.drop
        return call(*args, **options)

    trunk = ResNet((2, 1, 2), 8, stochastic_depth=0.4)
    image = jax.ShapeDtypeStruct((1, 24, 24, 1), jnp.float32)
    with nn.intercept_methods(note):
        jax.eval_shape(trunk.init, jax.random.key(0), image)
    assert rates == {
        "stage1_block1": 0.0,
        "stage1_block2": 0.1,
        "stage2_block1": 0.2,
        "stage3_block1": pytest.approx(0.3),
        "stage3_block2": 0.4,
    }
