"""Laws of the residual network: its counts, its sides, and its block in NumPy."""

from functools import cache

import by_hand
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from emotion_jax.models import MODELS
from emotion_jax.models.resnet import Block, ResNet

KERNELS = {1: 3, 2: 5, 4: 7}  # of the stem, by its stride


def parameters(
    blocks=(2, 2, 2, 2),
    width=64,
    growth=2.0,
    stem_stride=2,
    block="basic",
    preactivation=False,
    shortcut=True,
    gate=0,
):
    """Layer by layer: a norm has two vectors, a convolution has no bias."""
    before, norms = width, 0 if preactivation else width
    total = KERNELS[stem_stride] ** 2 * width
    for stage, repeat in enumerate(blocks):
        c = round(width * growth**stage)
        out = 4 * c if block == "bottleneck" else c
        for number in range(repeat):
            if block == "bottleneck":
                convs = [(1, before, c), (3, c, c), (1, c, out)]
            else:
                convs = [(3, before, c), (3, c, out)]
            total += sum(kernel**2 * a * b for kernel, a, b in convs)
            norms += sum(a if preactivation else b for _, a, b in convs)
            halves = stage > 0 and number == 0
            if shortcut and (halves or before != out):
                total += before * out
                norms += 0 if preactivation else out
            if gate:
                hidden = max(out // gate, 4)
                total += (out + 1) * hidden + (hidden + 1) * out
            before = out
    return total + 2 * (norms + (before if preactivation else 0)), norms


def shapes_of(trunk, side=48):
    image = jax.ShapeDtypeStruct((1, side, side, 1), jnp.float32)
    return jax.eval_shape(trunk.init, jax.random.key(0), image)


BASIC, BOTTLENECK = {"block": "basic"}, {"block": "bottleneck"}


@pytest.mark.parametrize(
    "name, blocks, kind",
    [
        ("resnet", (2, 2, 2, 2), BASIC),
        ("resnet10", (1, 1, 1, 1), BASIC),
        ("resnet18", (2, 2, 2, 2), BASIC),
        ("resnet26", (2, 2, 2, 2), BOTTLENECK),
        ("resnet34", (3, 4, 6, 3), BASIC),
        ("resnet50", (3, 4, 6, 3), BOTTLENECK),
    ],
)
def test_a_named_network_has_the_parameters_of_its_layers(name, blocks, kind):
    found = by_hand.count(shapes_of(MODELS[name]())["params"])
    assert found == parameters(blocks, **kind)[0]


@pytest.mark.parametrize(
    "blocks, kind, torchvision, features",
    [
        ((2, 2, 2, 2), BASIC, 11_689_512, 512),
        ((3, 4, 6, 3), BASIC, 21_797_672, 512),
        ((3, 4, 6, 3), BOTTLENECK, 25_557_032, 2048),
    ],
)
def test_the_layers_counted_here_are_torchvisions(blocks, kind, torchvision, features):
    # But for its thousand classes, and two of its three colours.
    found, _ = parameters(blocks, stem_stride=4, **kind)
    assert found == torchvision - 1000 * (features + 1) - 2 * 7 * 7 * 64


@pytest.mark.parametrize(
    "options",
    [
        {"stem_stride": 1},
        {"stem_stride": 4},
        {"growth": 1.0},
        {"growth": 1.25},  # widths 16, 20 and 25
        {"preactivation": True},
        {"preactivation": True, "block": "bottleneck"},
        {"shortcut": False},
        {"squeeze_excite": 2},
        {"squeeze_excite": 16, "block": "bottleneck"},
    ],
    ids=str,
)
def test_a_variant_has_the_parameters_of_its_layers(options):
    sizes = {"blocks": (2, 1, 1), "width": 16}
    variables = shapes_of(ResNet(**sizes, **options), 24)
    gate = {"gate": options.pop("squeeze_excite", 0)}
    total, _ = parameters(**sizes, **gate, **options)
    assert by_hand.count(variables["params"]) == total


def test_every_channel_of_a_batch_norm_has_a_mean_and_a_variance_and_groups_have_none():
    sizes = {"blocks": (2, 1), "width": 16}
    batch, group = (shapes_of(ResNet(**sizes, norm=n), 24) for n in ("batch", "group"))
    total, norms = parameters(**sizes)
    assert by_hand.count(batch["batch_stats"]) == 2 * norms
    assert "batch_stats" not in group
    assert by_hand.count(group["params"]) == by_hand.count(batch["params"]) == total


@pytest.mark.parametrize("stem_stride, stem", [(1, 24), (2, 12), (4, 6)])
def test_each_stage_but_the_first_halves_what_the_stem_leaves(stem_stride, stem):
    for stages in (1, 2, 3):
        trunk = ResNet((1,) * stages, 8, stem_stride=stem_stride)
        image = jax.ShapeDtypeStruct((2, 24, 24, 1), jnp.float32)
        init = trunk.init_with_output
        shape = jax.eval_shape(init, jax.random.key(0), image)[0].shape
        side, width = -(-stem // 2 ** (stages - 1)), 8 * 2 ** (stages - 1)
        assert shape == (2, side, side, width)


def make_block(width=8, stride=1, drop=0.0, train=False, **options):
    return Block(width, stride, drop, ResNet(**options).style(train))


X = jnp.array(np.random.default_rng(0).normal(size=(2, 5, 5, 8)), jnp.float32)


def relu(x):
    return np.maximum(x, 0)


def strided(x):
    return x[:, ::2, ::2]


def blurred(x):
    kernel = np.outer([1, 2, 1], [1, 2, 1])[None, :, :, None] / 16
    return strided(scipy.ndimage.convolve(x, kernel, mode="nearest"))


def block_by_hand(conv, norm, x, layers, stride, preactivation):
    """A block's output from layers (name, whether it strides)."""
    y, skip = x, x
    projects = stride is not None
    if preactivation:
        y = relu(norm("norm0", x))
        skip = y if projects else x
    for i, strides in enumerate(layers, 1):
        y = conv(f"conv{i}", y)
        y = stride(y) if projects and strides else y
        if i < len(layers):
            y = relu(norm(f"norm{i}", y))
        elif not preactivation:
            y = norm(f"norm{i}", y)
    if projects:
        skip = stride(conv("skip", skip))
        skip = skip if preactivation else norm("skip_norm", skip)
    return skip + y if preactivation else relu(skip + y)


@pytest.mark.parametrize("preactivation", [False, True])
@pytest.mark.parametrize(
    "kind, width, layers",
    [("basic", 8, (True, False)), ("bottleneck", 2, (False, True, False))],
)
@pytest.mark.parametrize("stride", [None, strided, blurred])
def test_a_block_is_this_in_numpy(preactivation, kind, width, layers, stride):
    block = make_block(
        width,
        2 if stride else 1,
        block=kind,
        preactivation=preactivation,
        antialias=stride is blurred,
    )
    variables = by_hand.variables(block, X)
    conv, norm = by_hand.layers(variables, 1e-5)
    expected = block_by_hand(conv, norm, np.array(X), layers, stride, preactivation)
    found = jax.jit(block.apply)(variables, X)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * scale)


@pytest.mark.parametrize("kind", ["basic", "bottleneck"])
@pytest.mark.parametrize("side", [5, 6])
def test_a_strided_shortcut_gives_the_same_in_training_and_so_do_gradients(kind, side):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, side, side, 8)).astype(np.float32)
    results = []
    for train in (False, True):  # a norm of groups does the same in both
        block = make_block(8, 2, block=kind, norm="group", train=train)
        variables = by_hand.variables(block, x)
        y, pull = jax.vjp(block.apply, variables, x)
        results.append((y, pull(jnp.cos(jnp.arange(y.size)).reshape(y.shape))))
    for now, then in zip(*map(jax.tree.leaves, results)):
        np.testing.assert_allclose(now, then, rtol=1e-4, atol=1e-4)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


ACTIVATIONS = {
    "relu": relu,
    "gelu": lambda x: x / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))),
    "silu": lambda x: x * sigmoid(x),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "sigmoid": sigmoid,
}


@cache
def fresh(**options):
    """A block's variables as training begins with them."""
    return by_hand.beginning(make_block(**options), X)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_block_of_one_shape_begins_as_its_activation(activation):
    block = make_block(activation=activation)
    expected = ACTIVATIONS[activation](np.array(X))
    np.testing.assert_allclose(
        jax.jit(block.apply)(fresh(), X), expected, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("options", [{"block": "bottleneck"}, {"squeeze_excite": 4}])
def test_a_block_of_one_shape_begins_as_nothing_of_any_kind(options):
    width = 2 if "block" in options else 8
    variables = fresh(width=width, **options)
    found = jax.jit(make_block(width, **options).apply)(variables, X)
    np.testing.assert_array_equal(found, np.maximum(X, 0))


@pytest.mark.parametrize(
    "options", [{"stride": 2}, {"width": 16}, {"shortcut": False}], ids=str
)
def test_a_block_that_changes_shape_or_has_no_shortcut_begins_with_its_branch(options):
    variables = fresh(**options)
    if options.get("shortcut", True):
        variables["params"]["skip"] = jax.tree.map(
            jnp.zeros_like, variables["params"]["skip"]
        )
    found = jax.jit(make_block(**options).apply)(variables, X)
    assert found.std() > 0.1


@pytest.mark.parametrize("preactivation", [False, True])
@pytest.mark.parametrize("shortcut", [False, True])
def test_only_a_shortcut_leads_around_a_branch_of_zeros(preactivation, shortcut):
    block = make_block(preactivation=preactivation, shortcut=shortcut)
    variables = by_hand.variables(block, X)
    for name in ("conv1", "conv2"):
        variables["params"][name]["kernel"] *= 0
    found = np.array(jax.jit(block.apply)(variables, X))
    constant = np.ptp(found, axis=(0, 1, 2)).max() == 0
    assert constant != shortcut
    if shortcut and preactivation:  # no activation after the sum
        np.testing.assert_array_equal(found, X)


def test_a_network_of_preactivated_blocks_ends_in_a_norm_and_an_activation():
    image = np.random.default_rng(1).normal(size=(2, 8, 8, 1)).astype(np.float32)
    trunk = ResNet((1,), 8, preactivation=True)
    variables = by_hand.variables(trunk, image)
    last = variables["params"]["last_norm"]
    last["scale"], last["bias"] = last["scale"] * 0, np.arange(-4, 4, dtype=np.float32)
    found = jax.jit(trunk.apply)(variables, image)
    expected = np.broadcast_to([0, 0, 0, 0, 0, 1, 2, 3], (2, 4, 4, 8))
    np.testing.assert_array_equal(found, expected)
