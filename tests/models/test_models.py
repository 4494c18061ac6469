"""Laws of the networks: shapes, parameter counts, precision, no cross-talk."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emotion_jax.errors import Mistake
from emotion_jax.models import make_network
from emotion_jax.tasks import make_tasks

BOTH = make_tasks({"emotion": {}, "keypoints": {}})


def variables_of(network, side=48):
    """Shapes only: compiling a whole ResNet's init takes a test's time."""
    image = jax.ShapeDtypeStruct((1, side, side, 1), jnp.float32)
    return jax.eval_shape(network.init, jax.random.key(0), image)


def count(tree) -> int:
    return sum(int(np.prod(x.shape)) for x in jax.tree.leaves(tree))


def resnet_parameters(blocks, width, kernel):
    """Layer by layer, by hand: convolutions without bias, BatchNorm's two vectors."""
    total = kernel**2 * width + 2 * width
    before = width
    for stage, repeat in enumerate(blocks):
        c = width * 2**stage
        for _ in range(repeat):
            total += 9 * before * c + 9 * c * c + 4 * c
            total += before * c + 2 * c if before != c else 0
            before = c
    return total, before


@pytest.mark.parametrize(
    "blocks, width, stem_stride, kernel",
    [((2, 2, 2, 2), 64, 1, 3), ((1, 1), 16, 2, 5), ((2, 2, 2), 32, 4, 7)],
)
def test_parameters_are_those_of_the_layers(blocks, width, stem_stride, kernel):
    tasks = make_tasks({"emotion": {"classes": 7}})
    network = make_network(
        tasks, name="resnet", blocks=blocks, width=width, stem_stride=stem_stride
    )
    trunk, channels = resnet_parameters(blocks, width, kernel)
    assert count(variables_of(network)["params"]) == trunk + 7 * (channels + 1)


def test_one_forward_pass_gives_every_task():
    network = make_network(BOTH, name="resnet", blocks=(1, 1), width=8)
    variables = variables_of(network)
    image = jax.ShapeDtypeStruct((3, 48, 48, 1), jnp.float32)
    outputs = jax.eval_shape(network.apply, variables, image)
    assert {k: v.shape for k, v in outputs.items()} == {
        "emotion": (3, 5),
        "keypoints": (3, 15, 2),
    }


@pytest.mark.parametrize("stem_stride, side", [(1, 48), (2, 24), (4, 12)])
def test_the_stem_shrinks_the_side_by_its_stride(stem_stride, side):
    network = make_network(
        BOTH, name="resnet", blocks=(1,), width=8, stem_stride=stem_stride
    )
    flat = variables_of(network)["params"]["heads_keypoints"]["output"]["kernel"]
    assert flat.shape == (side * side * 8, 30)


def test_bfloat16_computes_but_parameters_and_outputs_are_float32():
    network = make_network(
        BOTH, name="resnet", blocks=(1,), width=8, stem_stride=4, dtype="bfloat16"
    )
    variables = variables_of(network)
    image = jax.ShapeDtypeStruct((2, 48, 48, 1), jnp.float32)
    outputs = jax.eval_shape(network.apply, variables, image)
    for leaf in jax.tree.leaves((variables, outputs)):
        assert leaf.dtype == jnp.float32
    text = jax.jit(network.apply).lower(variables, image).as_text()
    assert "convolution" in text and "bf16" in text


def test_evaluation_is_free_of_the_other_faces_in_the_batch():
    network = make_network(BOTH, name="resnet", blocks=(1,), width=8, stem_stride=4)
    image = jax.random.uniform(jax.random.key(0), (4, 24, 24, 1))
    variables = jax.jit(network.init)(jax.random.key(0), image)
    alone = jax.jit(network.apply)(variables, image[:1])
    together = jax.jit(network.apply)(variables, image)
    for name in BOTH:
        np.testing.assert_allclose(alone[name], together[name][:1], rtol=1e-5)


def test_points_start_at_the_centre_and_classes_even():
    network = make_network(BOTH, name="resnet", blocks=(1,), width=8, stem_stride=4)
    image = jax.random.uniform(jax.random.key(0), (2, 24, 24, 1))
    variables = jax.jit(network.init)(jax.random.key(0), image)
    outputs = network.apply(variables, image)
    np.testing.assert_array_equal(outputs["keypoints"], np.full((2, 15, 2), 11.5))
    np.testing.assert_array_equal(outputs["emotion"], np.zeros((2, 5)))


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"name": "resnt"}, "unknown model 'resnt'; did you mean resnet"),
        ({"name": "resnet", "widht": 8}, "'widht'; did you mean width"),
        ({"name": "resnet", "activation": "rulu"}, "did you mean relu"),
        ({"name": "resnet", "stem_stride": 3}, "stem_stride 3"),
        ({"name": "resnet", "blocks": ()}, "blocks of at least 1"),
        ({"name": "resnet", "dtype": "float8"}, "known: float32, bfloat16"),
    ],
)
def test_a_wrong_model_section_is_told(options, sentence):
    with pytest.raises(Mistake, match=sentence):
        make_network(BOTH, **options)


def test_a_wrong_head_is_told():
    with pytest.raises(Mistake, match="unknown head 'polled'; did you mean pooled"):
        make_network(make_tasks({"emotion": {"head": "polled"}}), name="resnet")
