"""Laws of the 8-bit export: in 8 bits, and measured on faces it has not seen."""

import json

import numpy as np
import onnx
import pytest

from emotion_jax.export import onnx as float32
from emotion_jax.export import onnx_int8


@pytest.fixture(scope="module")
def made(variant):
    """The 8-bit file of a network, and on which faces what was done."""
    used = []
    quantise, headlines = onnx_int8.quantise, onnx_int8.headlines
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            onnx_int8,
            "quantise",
            lambda blob, image: used.append(image) or quantise(blob, image),
        )
        patch.setattr(
            onnx_int8,
            "headlines",
            lambda restored, blob, split: (
                used.append(split.faces["image"]) or headlines(restored, blob, split)
            ),
        )
        files = onnx_int8.make(variant("plain"), ["synthetic"])
    return files, used


@pytest.mark.parametrize(
    "name, outputs, number",
    [
        ("bottleneck", {"emotion", "emotion_logits"}, "emotion/accuracy"),
        ("heatmap", {"keypoints"}, "keypoints/rmse_px"),
    ],
)
def test_a_specialist_is_told_by_its_own_number(name, outputs, number, variant, images):
    files = onnx_int8.make(variant(name), [])
    assert set(float32.load(files)(images(24))) == outputs
    (entry,) = [
        entry.value
        for entry in onnx.load_from_string(files["model.onnx"]).metadata_props
        if entry.key == "quantization"
    ]
    told = json.loads(entry)
    assert set(told["int8"]) == {number}
    assert "synthetic, split val" in told["faces"]


def test_the_weights_of_the_convolutions_are_in_8_bits(made):
    graph = onnx.load_from_string(made[0]["model.onnx"]).graph
    types = {i.name: i.data_type for i in graph.initializer}
    kernels = {n.output[0]: n.input[0] for n in graph.node if n.op_type[0] == "D"}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) > 3
    for node in convolutions:
        assert types[kernels[node.input[1]]] == onnx.TensorProto.INT8


def test_variances_stay_float32(variant, images):
    restored = variant("group")
    files = onnx_int8.make(restored, ["synthetic"])
    found = float32.load(files)(images(24))["emotion_logits"]
    expected = restored.evaluator.run(restored.variables, images(24))["emotion"]
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()
    nodes = onnx.load_from_string(files["model.onnx"]).graph.node
    made = {name: node.op_type for node in nodes for name in node.output}
    roots = [node for node in nodes if node.op_type == "Sqrt"]
    assert roots and {made[node.input[0]] for node in roots} == {"Add"}


def test_heat_maps_stay_float32(variant):
    files = onnx_int8.make(variant("heatmap"), ["synthetic"])
    nodes = onnx.load_from_string(files["model.onnx"]).graph.node
    made = {name: node for node in nodes for name in node.output}
    (up,) = [node for node in nodes if node.op_type == "ConvTranspose"]
    assert up.input[1] not in made  # a constant, as it is
    head = next(node for node in reversed(nodes) if node.op_type == "Conv")
    assert head.input[1] not in made


def test_it_is_measured_on_none_of_the_faces_it_is_calibrated_on(made):
    calibrated, before, after = ({face.tobytes() for face in x} for x in made[1])
    assert before == after
    assert calibrated and before and not calibrated & before


def test_its_answers_are_near_and_its_cost_is_told(made, variant, images):
    restored = variant("plain")
    found = float32.load(made[0])(images(24))
    exact = restored.evaluator.run(restored.variables, images(24))
    error = found["emotion_logits"] - exact["emotion"]
    assert 0 < np.abs(error).max() < 0.2 * np.abs(exact["emotion"]).max()
    metadata = {
        entry.key: entry.value
        for entry in onnx.load_from_string(made[0]["model.onnx"]).metadata_props
    }
    assert json.loads(metadata["side"]) == 24
    told = json.loads(metadata["quantization"])
    assert set(told["int8"]) == {"emotion/accuracy", "keypoints/rmse_px"}
    assert told["float32"].keys() == told["int8"].keys()
