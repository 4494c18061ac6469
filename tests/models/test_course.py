"""Laws of the course's networks: Keras's counts, and their layers in NumPy."""

from functools import partial

import by_hand
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emotion_jax.errors import Mistake
from emotion_jax.models import make_network
from emotion_jax.models.course import CourseBlock, CourseHead, CourseTrunk, keras_norm
from emotion_jax.tasks import make_tasks


def conv(kernel, before, after):
    return kernel**2 * before * after + after


def trunk_parameters():
    """Convolutions with bias; BatchNorm's scale, bias, mean and variance."""
    total, before = conv(7, 1, 64) + 4 * 64, 64
    for a, b, c in ((64, 64, 256), (128, 128, 512)):
        total += conv(1, before, c) + 4 * c  # the first block's projection
        for _ in range(3):
            total += conv(1, before, a) + conv(3, a, b) + conv(1, b, c)
            total += 4 * (a + b + c)
            before = c
    return total


def dense(*widths):
    return sum((a + 1) * b for a, b in zip(widths, widths[1:]))


@pytest.mark.parametrize(
    "task, head, keras",
    [
        ("keypoints", dense(2 * 2 * 512, 4096, 2048, 30), 18_016_286),
        ("emotion", dense(512, 5), 1_174_021),
    ],
)
def test_the_networks_have_as_many_parameters_as_keras_counts(task, head, keras):
    network = make_network(make_tasks({task: {"head": "course"}}), name="course")
    image = jax.ShapeDtypeStruct((1, 96, 96, 1), jnp.float32)
    variables = jax.eval_shape(network.init, jax.random.key(0), image)
    assert set(variables) == {"params", "batch_stats"}
    assert trunk_parameters() + head == keras
    assert by_hand.count(variables) == keras


def block_by_hand(conv, norm, x, projects):
    skip, y = x, conv("a", x)
    if projects:
        y = by_hand.max_pool(y, 2)
        skip = norm("skip_norm", by_hand.max_pool(conv("skip", x), 2))
    y = np.maximum(norm("a_norm", y), 0)
    y = np.maximum(norm("b_norm", conv("b", y)), 0)
    return np.maximum(norm("c_norm", conv("c", y)) + skip, 0)


@pytest.mark.parametrize("projects, channels", [(True, 4), (False, 8)])
def test_a_block_is_this_in_numpy(projects, channels):
    x = np.random.default_rng(0).normal(size=(2, 6, 7, channels)).astype(np.float32)
    block = CourseBlock((3, 5, 8), projects, jnp.float32)
    variables = by_hand.variables(block, x, train=False)
    expected = block_by_hand(*by_hand.layers(variables, 0.001), x, projects)
    assert expected.shape == ((2, 3, 3, 8) if projects else (2, 6, 7, 8))
    found = jax.jit(partial(block.apply, train=False))(variables, x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_trunk_is_this_in_numpy_and_sees_grays_from_0_to_1():
    gray = np.random.default_rng(0).random((2, 25, 25, 1)).astype(np.float32)
    trunk = CourseTrunk()
    variables = by_hand.variables(trunk, gray)
    conv, norm = by_hand.layers(variables, 0.001)
    x = np.maximum(norm("stem_norm", conv("stem", gray)[:, ::2, ::2]), 0)
    x = by_hand.max_pool(x, 3)
    for stage in (1, 2):
        for block in (1, 2, 3):
            name = f"stage{stage}_block{block}"
            inner = {kind: variables[kind][name] for kind in variables}
            x = block_by_hand(*by_hand.layers(inner, 0.001), x, block == 1)
    assert x.shape == (2, 1, 1, 512)
    found = jax.jit(trunk.apply)(variables, gray * 4 - 2)
    np.testing.assert_allclose(found, x, rtol=1e-3, atol=1e-3 * x.max())


def test_a_side_of_96_goes_to_48_23_11_5():
    image = jax.ShapeDtypeStruct((1, 96, 96, 1), jnp.float32)
    variables = jax.eval_shape(CourseTrunk().init, jax.random.key(0), image)
    forward = partial(CourseTrunk().apply, capture_intermediates=True)
    features, state = jax.eval_shape(forward, variables, image)
    inner = state["intermediates"]
    shapes = {
        name: inner[name]["__call__"][0].shape for name in inner if name[0] == "s"
    }
    assert shapes.pop("stem") == shapes.pop("stem_norm") == (1, 48, 48, 64)
    first = inner["stage1_block1"]["a"]["__call__"][0]  # before this block's pool
    assert first.shape == (1, 23, 23, 64)
    for name, shape in shapes.items():
        narrow = name.startswith("stage1")
        assert shape == ((1, 11, 11, 256) if narrow else (1, 5, 5, 512)), name
    assert features.shape == (1, 5, 5, 512)


def test_keras_norm_moves_its_mean_by_a_hundredth():
    x = np.full((2, 3, 3, 1), 5.0, np.float32)
    variables = {
        "params": {"scale": np.ones(1), "bias": np.zeros(1)},
        "batch_stats": {"mean": np.ones(1), "var": np.ones(1)},
    }
    norm = keras_norm(True, jnp.float32)
    _, new = jax.jit(partial(norm.apply, mutable=["batch_stats"]))(variables, x)
    np.testing.assert_allclose(new["batch_stats"]["mean"], [0.99 * 1 + 0.01 * 5])


@pytest.fixture(scope="module")
def keypoints():
    """A head of three points, with features and random variables."""
    features = np.random.default_rng(1).normal(size=(3, 5, 5, 2)).astype(np.float32)
    head = CourseHead("points", ("a", "b", "c"))
    return head, features, by_hand.variables(head, features, side=96, train=False)


def test_the_head_of_points_is_two_wide_layers_and_a_relu(keypoints):
    head, features, variables = keypoints
    x = features[:, :4, :4].reshape(3, 2, 2, 2, 2, 2).mean((2, 4)).reshape(3, 8)
    for name in ("dense4096", "dense2048", "output"):
        layer = variables["params"][name]
        x = np.maximum(x @ layer["kernel"] + layer["bias"], 0)
    forward = jax.jit(partial(head.apply, side=96, train=False))
    found = forward(variables, features)
    assert (x == 0).any() and (x > 0).any()  # some points would have been negative
    np.testing.assert_allclose(found, x.reshape(3, 3, 2), rtol=1e-3, atol=1e-4)


def test_the_head_of_points_hides_a_fifth_and_a_tenth_in_training(keypoints):
    head, features, variables = keypoints
    params = jax.tree.map(np.zeros_like, variables["params"])
    for name in params:
        params[name]["bias"] += 1  # every unit is 1, whatever the features are
    options = {"side": 96, "train": True, "capture_intermediates": True}
    rngs = {"dropout": jax.random.key(0)}
    forward = jax.jit(partial(head.apply, **options))
    _, state = forward({"params": params}, features, rngs=rngs)
    for number, rate in ((0, 0.2), (1, 0.1)):
        (x,) = state["intermediates"][f"Dropout_{number}"]["__call__"]
        x = np.array(x)
        assert (x == 0).mean() == pytest.approx(rate, abs=0.02)
        np.testing.assert_allclose(x[x != 0], 1 / (1 - rate), rtol=1e-6)


def test_the_head_of_classes_is_a_layer_on_the_mean_of_sixteen_places():
    features = np.random.default_rng(1).normal(size=(3, 5, 5, 8)).astype(np.float32)
    head = CourseHead("classes", ("calm", "not"))
    variables = by_hand.variables(head, features, side=96, train=False)
    forward = jax.jit(partial(head.apply, side=96, train=True))
    found = forward(variables, features)
    layer = variables["params"]["output"]
    expected = features[:, :4, :4].mean((1, 2)) @ layer["kernel"] + layer["bias"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head", ["pooled", "flat", "course"])
def test_faces_too_small_are_a_sentence_whatever_the_head(head):
    network = make_network(make_tasks({"emotion": {"head": head}}), name="course")
    image = jax.ShapeDtypeStruct((1, 16, 16, 1), jnp.float32)
    with pytest.raises(Mistake, match="take 96x96 faces; 16x16 are too small: set"):
        jax.eval_shape(network.init, jax.random.key(0), image)
