"""Laws of the whole networks: shapes, precision, no cross-talk, their sentences."""

from functools import partial

import by_hand
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emotion_jax.errors import Mistake
from emotion_jax.models import Network, make_network, new_network
from emotion_jax.tasks import make_tasks

BOTH = make_tasks({"emotion": {}, "keypoints": {}})
HEATMAP = make_tasks({"keypoints": {"head": "heatmap", "loss": "heatmap"}})
COURSE = make_tasks({"emotion": {"head": "course"}, "keypoints": {"head": "course"}})
LEARNED = make_tasks({"emotion": {"weight": "learned"}, "keypoints": {}})
TINY = {"name": "resnet", "blocks": (1,), "width": 8, "stem_stride": 4}


def variables_of(network, side=48):
    """Shapes only: compiling a whole ResNet's init takes a test's time."""
    image = jax.ShapeDtypeStruct((1, side, side, 1), jnp.float32)
    return jax.eval_shape(network.init, jax.random.key(0), image)


def outputs_of(network, side=48, train=False):
    """Shapes of the outputs for three faces, and of the variables."""
    image = jax.ShapeDtypeStruct((3, side, side, 1), jnp.float32)
    forward = partial(network.init_with_output, train=train)
    return jax.eval_shape(forward, jax.random.key(0), image)


def test_one_forward_pass_gives_every_task():
    outputs, _ = outputs_of(make_network(BOTH, **TINY))
    shapes = {name: x.shape for name, x in outputs.items()}
    assert shapes == {"emotion": (3, 5), "keypoints": (3, 15, 2)}


@pytest.mark.parametrize("stem_stride, side", [(1, 48), (2, 24), (4, 12)])
def test_the_stem_shrinks_the_side_by_its_stride(stem_stride, side):
    network = make_network(BOTH, **TINY | {"stem_stride": stem_stride})
    flat = variables_of(network)["params"]["heads_keypoints"]["output"]["kernel"]
    assert flat.shape == (side * side * 8, 30)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize(
    "tasks, options",
    [
        (BOTH, TINY),
        (BOTH, TINY | {"squeeze_excite": 4, "antialias": True, "norm": "group"}),
        (BOTH, TINY | {"preactivation": True, "block": "bottleneck"}),
        (BOTH, TINY | {"blocks": (1, 1), "stochastic_depth": 0.5, "dropout": 0.5}),
        (HEATMAP, TINY),
        (LEARNED, TINY),
        (COURSE, {"name": "course"}),
    ],
)
def test_bfloat16_computes_but_parameters_and_outputs_are_float32(
    tasks, options, train
):
    network = make_network(tasks, dtype="bfloat16", **options)
    for leaf in jax.tree.leaves(outputs_of(network, 96, train)):
        assert leaf.dtype == jnp.float32


@pytest.mark.parametrize("dtype, half", [("bfloat16", True), ("auto", False)])
def test_the_convolutions_are_in_the_precision_asked_for(dtype, half):
    network = make_network(BOTH, dtype=dtype, **TINY)
    image = jax.ShapeDtypeStruct((2, 48, 48, 1), jnp.float32)
    text = jax.jit(network.apply).lower(variables_of(network), image).as_text()
    lines = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    assert lines and all(("bf16" in line) == half for line in lines)


@pytest.fixture(scope="module")
def begun():
    """A network as training begins with it, with four faces."""
    network = make_network(BOTH, **TINY)
    image = jax.random.uniform(jax.random.key(0), (4, 24, 24, 1))
    return network, image, by_hand.beginning(network, image)


def test_evaluation_is_free_of_the_other_faces_in_the_batch(begun):
    network, image, variables = begun
    # At first the heads are zero, and say the same of every face.
    params = jax.tree.map(lambda x: x + 0.1, variables["params"])
    apply = jax.jit(partial(network.apply, variables | {"params": params}))
    alone, together = apply(image[:1]), apply(image)
    for name in BOTH:
        assert np.ptp(together[name], axis=0).max() > 1e-3
        np.testing.assert_allclose(alone[name], together[name][:1], rtol=1e-4)


def test_points_start_at_the_centre_and_classes_even(begun):
    network, image, variables = begun
    outputs = jax.jit(network.apply)(variables, image)
    np.testing.assert_array_equal(outputs["keypoints"], np.full((4, 15, 2), 11.5))
    np.testing.assert_array_equal(outputs["emotion"], np.zeros((4, 5)))


class Ones(nn.Module):
    """A trunk of one feature."""

    @nn.compact
    def __call__(self, image, train):
        return jnp.ones((*image.shape[:3], 1))


class Echo(nn.Module):
    """A head that tells the features that it sees."""

    @nn.compact
    def __call__(self, features, side, train):
        return features


def test_dropout_hides_features_from_the_heads_in_training_only():
    network = Network(Ones(), {"emotion": Echo()}, dropout=0.25)
    image, rngs = jnp.zeros((2, 40, 40, 1)), {"dropout": jax.random.key(1)}
    forward = jax.jit(network.apply, static_argnames="train")
    seen = np.array(forward({}, image, train=True, rngs=rngs)["emotion"])
    assert (seen == 0).mean() == pytest.approx(0.25, abs=0.03)
    np.testing.assert_allclose(seen[seen != 0], 1 / 0.75)
    whole = forward({}, image)["emotion"]
    np.testing.assert_array_equal(whole, np.ones((2, 40, 40, 1)))


def test_a_learned_weight_is_a_parameter_that_training_is_told():
    network = make_network(LEARNED, **TINY)
    params = variables_of(network)["params"]
    learnt = [name for name in params if name.startswith("log_variance")]
    assert learnt == ["log_variance_emotion"] and params[learnt[0]].shape == ()
    assert list(outputs_of(network, train=True)[0]["log_variance"]) == ["emotion"]
    assert "log_variance" not in outputs_of(network)[0]


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"name": "resnt"}, "unknown model 'resnt'; did you mean resnet"),
        ({"name": "resnet", "widht": 8}, "'widht'; did you mean width"),
        ({"name": "resnet50", "block": "basics"}, "'basics'; did you mean basic"),
        ({"name": "resnet", "activation": "rulu"}, "did you mean relu"),
        ({"name": "resnet", "norm": "bach"}, "unknown config.model.norm 'bach'"),
        ({"name": "resnet", "stem_stride": 3}, "stem_stride 3"),
        ({"name": "resnet", "blocks": ()}, "blocks of at least 1"),
        ({"name": "resnet", "blocks": (2, 0)}, "blocks of at least 1"),
        ({"name": "resnet", "width": 0}, "widths and blocks of at least 1"),
        (
            {"name": "resnet", "stochastic_depth": 1.0},
            "rate below 1 and .* got 1.0 and 0",
        ),
        ({"name": "resnet", "dtype": "float8"}, "known: float32, bfloat16"),
        ({"name": "resnet", "dropout": 1.0}, r"dropout is 1.0, must be in \[0, 1\)"),
        ({"name": "resnet", "squeeze_excite": -1}, "least 0, got 0.0 and -1"),
        ({"name": "resnet", "momentum": 1.0}, r"momentum is 1.0, not in \[0, 1\)"),
        (
            {"name": "course", "width": 8},
            "'width' .known: name, dtype, dropout, simclr.$",
        ),
        (
            {"name": "resnet", "droput": 0.1},
            "'droput'; did you mean dropout. .known: n",
        ),
        ({"name": "resnet", "simcrl": {}}, "'simcrl'; did you mean simclr."),
        ({"name": "course", "parent": None}, "unknown field of config.model 'parent'"),
    ],
)
def test_a_wrong_model_section_is_told(options, sentence):
    with pytest.raises(Mistake, match=sentence):
        make_network(BOTH, **options)


def test_a_new_network_is_refused_where_its_section_contradicts_its_name():
    new_network(BOTH, {"name": "resnet18", "width": 8, "blocks": [2, 2, 2, 2]})
    new_network(BOTH, {"name": "resnet", "width": 8, "blocks": (1, 1)})
    wrong = {"name": "resnet18", "blocks": (1, 1, 1, 1)}
    with pytest.raises(
        Mistake, match=r"resnet18 has blocks=\(2, 2, 2, 2\), but .* \(1"
    ):
        new_network(BOTH, wrong)
    make_network(BOTH, **wrong)  # as one that was trained before is read


def test_a_wrong_head_is_told():
    with pytest.raises(Mistake, match="unknown head 'polled'; did you mean pooled"):
        make_network(make_tasks({"emotion": {"head": "polled"}}), name="resnet")


@pytest.mark.parametrize(
    "tasks, options",
    [
        (BOTH, TINY | {"width": 12, "norm": "group"}),  # 8 groups of 12 channels
        (BOTH, TINY | {"blocks": (1, 1), "growth": 0.01}),  # a stage of no channels
        (COURSE, {"name": "course"}),  # 24 pixels: nothing left to pool
    ],
)
def test_a_network_that_cannot_be_built_is_told_in_a_sentence(tasks, options):
    with pytest.raises(Mistake):
        variables_of(make_network(tasks, **options), 24)
