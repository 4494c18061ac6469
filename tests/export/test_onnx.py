"""Laws of the ONNX graph: BatchNorm folded, axes left as they lie, gaps named."""

import json
from collections import Counter

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest

from emotion_jax.data.table import FIVE
from emotion_jax.errors import Mistake
from emotion_jax.export import onnx as export
from emotion_jax.export.fold import fold
from emotion_jax.export.graph import BATCH, Graph, Node, Tensor, matches
from emotion_jax.export.lower import lower
from emotion_jax.export.onnx_rules import ONNX
from emotion_jax.export.program import make_program


def model_of(restored):
    return onnx.load_from_string(export.make(restored)["model.onnx"])


@pytest.mark.parametrize("name", ["plain", "course", "seven"])
def test_batch_norm_is_folded_into_the_convolutions(name, variant):
    graph = model_of(variant(name)).graph
    assert "BatchNormalization" not in {node.op_type for node in graph.node}
    constants = {constant.name for constant in graph.initializer}
    layers = {node.output[0] for node in graph.node if node.op_type == "Conv"}
    assert len(layers) > 4
    for node in graph.node:
        if node.op_type in ("Mul", "Add", "Sub", "Div") and set(node.input) & layers:
            assert not set(node.input) & constants, node.name


@pytest.mark.parametrize(
    "name, count",
    [("plain", 1), ("bottleneck", 0), ("group", 0), ("antialias", 0), ("heatmap", 1)],
)
def test_a_transpose_stands_only_before_a_flat_head_and_in_a_layer_norm(
    name, count, variant
):
    nodes, _ = export.trace(make_program(variant(name)))
    assert Counter(node.op for node in nodes)["Transpose"] == count


def test_the_file_keeps_its_promises_to_who_loads_it(variant):
    model = model_of(variant("plain"))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["classes"]) == list(FIVE)
    shapes = {
        value.name: [
            d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim
        ]
        for value in [*model.graph.input, *model.graph.output]
    }
    assert shapes == {
        "image": ["n", 24, 24, 1],
        "emotion": ["n", 5],
        "emotion_logits": ["n", 5],
        "keypoints": ["n", 15, 2],
    }
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_an_operation_without_a_rule_is_named():
    image = jax.ShapeDtypeStruct((BATCH, 4), np.float32)
    jaxpr = jax.make_jaxpr(jnp.cumsum)(image)
    with pytest.raises(Mistake, match="no rule for JAX's 'cumsum'"):
        lower(Graph(), jaxpr, Tensor("image", image.shape, (0, 1)), rules=ONNX)


@pytest.mark.parametrize(
    "function, operation",
    [
        (lambda x: jax.vmap(jnp.dot)(x, x), "dot_general of two values"),
        (lambda x: x.astype(jnp.bfloat16), "convert_element_type to bfloat16"),
        (lambda x: jnp.stack([x, jnp.ones_like(x)]).sum(), "broadcast_in_dim of a"),
        (lambda x: nn.max_pool(x[..., None], (2,)), "reduce_window over other axes"),
    ],
)
def test_an_operation_that_a_rule_cannot_do_is_named(function, operation):
    image = jax.ShapeDtypeStruct((BATCH, 4), np.float32)
    jaxpr = jax.make_jaxpr(function)(image)
    with pytest.raises(Mistake, match=operation):
        lower(Graph(), jaxpr, Tensor("image", image.shape, (0, 1)), rules=ONNX)


def test_convolutions_in_groups_are_what_jax_computes(groups, images):
    nodes, shapes = export.trace(groups)
    sizes = [node.attributes["group"] for node in nodes if node.op == "Conv"]
    assert sizes == [1, 4, 12, 12, 12]
    blob = export.serialise(groups, nodes, shapes)
    found = export.load({"model.onnx": blob})(images(24))["emotion"]
    expected = groups.forward(images(24))["emotion"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_what_depends_on_constants_alone_is_computed():
    image = jax.ShapeDtypeStruct((BATCH, 4), np.float32)
    jaxpr = jax.make_jaxpr(lambda x: x + jnp.sort(jnp.arange(4.0)[::-1])[None] ** 2)(
        image
    )
    graph = Graph()
    lower(graph, jaxpr, Tensor("image", image.shape, (0, 1)), rules=ONNX)
    (node,) = graph.nodes
    assert node.op == "Add"
    np.testing.assert_allclose(node.inputs[1].reshape(-1), [0, 1, 4, 9])


@pytest.mark.parametrize(
    "old, new, expected",
    [
        ((7, 6, 6, 16), (7, 576), [([0], [0]), ([1, 2, 3], [1])]),
        ((7, 30), (7, 15, 2), [([0], [0]), ([1], [1, 2])]),
        ((7, 1, 16), (7, 16, 1), [([0], [0]), ([2], [1])]),
        ((7, 4, 6), (7, 6, 4), [([0], [0]), ([1, 2], [1, 2])]),
    ],
)
def test_axes_match_where_they_hold_the_same_numbers(old, new, expected):
    assert matches(old, new) == expected


CONSTANT = np.arange(1.0, 4, dtype=np.float32).reshape(1, 3, 1, 1)
KERNEL = np.ones((3, 2, 1, 1), np.float32)


def test_constants_after_a_layer_go_into_it_and_what_is_unused_goes():
    nodes = [
        Node("Conv", ("image", KERNEL), "a", {}),
        Node("Relu", ("image",), "unused", {}),
        Node("Add", ("a", CONSTANT), "b", {}),
        Node("Mul", (CONSTANT, "b"), "c", {}),
    ]
    (node,) = fold(nodes, ["c"])
    assert (node.op, node.output) == ("Conv", "c")
    np.testing.assert_array_equal(node.inputs[1][:, 0, 0, 0], [1, 2, 3])
    np.testing.assert_array_equal(node.inputs[2], [1, 4, 9])


@pytest.mark.parametrize(
    "op, shape, channels",
    [
        ("Conv", (3, 3, 1, 1), (3, 1, 1, 1)),
        ("ConvTranspose", (3, 3, 1, 1), (1, 3, 1, 1)),
        ("Gemm", (3, 3), (1, 3)),
    ],
)
def test_a_constant_scales_a_layers_outputs_not_its_inputs(op, shape, channels):
    kernel = np.ones(shape, np.float32)
    constant = CONSTANT.reshape(1, 3, *shape[2:])
    layer = Node(op, ("image", kernel), "a", {})
    (node,) = fold([layer, Node("Mul", ("a", constant), "b", {})], ["b"])
    np.testing.assert_array_equal(node.inputs[1], kernel * CONSTANT.reshape(channels))


@pytest.mark.parametrize(
    "last, outputs",
    [
        (Node("Mul", ("a", CONSTANT), "b", {}), ["a", "b"]),  # a is asked for itself
        (Node("Mul", ("a", np.ones((1, 1, 2, 3), np.float32)), "b", {}), ["b"]),
        (Node("Mul", ("a", "a"), "b", {}), ["b"]),
    ],
)
def test_what_is_no_constant_a_channel_of_one_user_stays(last, outputs):
    nodes = [Node("Conv", ("image", KERNEL), "a", {}), last]
    assert fold(nodes, outputs) == nodes
