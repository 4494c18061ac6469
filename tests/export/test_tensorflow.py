"""Laws of TensorFlow's two formats: what each says of itself, and how it is made."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emotion_jax.errors import Mistake
from emotion_jax.export.graph import BATCH
from emotion_jax.export.lower import lower
from emotion_jax.export.program import make_program
from emotion_jax.export.tf_rules import TENSORFLOW


def test_the_package_and_its_exports_never_import_tensorflow():
    code = "import emotion_jax.export, sys; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_savedmodel_says_its_metadata_and_its_shapes(variant, tmp_path):
    tf = pytest.importorskip("tensorflow")
    from emotion_jax.export import savedmodel

    program = make_program(variant("plain"))
    savedmodel.save(program, str(tmp_path))
    signatures = tf.saved_model.load(str(tmp_path)).signatures
    for other in ((1, 48, 48, 1), (24, 24)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="not compatible with"):
            signatures["serving_default"](image=tf.zeros(other, tf.uint8))
    said = {k: v.numpy().decode() for k, v in signatures["metadata"]().items()}
    assert said == program.metadata
    serving = signatures["serving_default"]
    (image,) = serving.structured_input_signature[1].values()
    assert (image.name, image.dtype) == ("image", tf.uint8)
    assert image.shape.as_list() == [None, 24, 24, 1]
    shapes = {k: v.shape.as_list() for k, v in serving.structured_outputs.items()}
    assert shapes == {
        "emotion": [None, 5],
        "emotion_logits": [None, 5],
        "keypoints": [None, 15, 2],
    }


def test_a_tflite_file_holds_its_metadata_and_joins_its_layers(variant):
    pytest.importorskip("tensorflow")
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    from tensorflow.lite.tools import flatbuffer_utils

    from emotion_jax.export import tflite

    restored = variant("plain")
    files = tflite.make(restored)
    model = flatbuffer_utils.convert_bytearray_to_object(
        bytearray(files["model.tflite"])
    )
    (entry,) = [e for e in model.metadata if e.name == tflite.ENTRY.encode()]
    inside = json.loads(bytes(model.buffers[entry.buffer].data))
    assert inside == json.loads(files["model.json"]) == make_program(restored).metadata
    made = interpreter.Interpreter(model_content=files["model.tflite"])
    ops = [op["op_name"] for op in made._get_ops_details()]
    layers = set(ops[ops.index("CONV_2D") :])
    assert not {"RSQRT", "RELU", "MAXIMUM", "PAD", "TRANSPOSE"} & layers


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jnp.concatenate([x[:, 1:3], x[:, ::2] ** 3], 1).transpose(0, 2, 1),
        lambda x: jnp.stack([x.max(2), x.sum(2)], -1) @ jnp.ones((2, 4)),
        lambda x: jnp.where(x >= 0.5, x, 2 * x).reshape(x.shape[0], -1) / 3.0,
    ],
)
def test_what_the_rules_make_is_what_jax_computes(function):
    tf = pytest.importorskip("tensorflow")
    x = np.random.default_rng(0).normal(size=(3, 5, 6)).astype(np.float32)
    jaxpr = jax.make_jaxpr(function)(jax.ShapeDtypeStruct((BATCH, 5, 6), np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None, 5, 6], tf.float32)])
    def made(x):
        return lower(tf, jaxpr, x, rules=TENSORFLOW)[0]

    np.testing.assert_allclose(made(x).numpy(), function(x), rtol=1e-5)


def test_convolutions_in_groups_are_what_jax_computes(groups, images, tmp_path):
    tf = pytest.importorskip("tensorflow")
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    from emotion_jax.export import savedmodel

    savedmodel.save(groups, str(tmp_path))
    expected = groups.forward(images(24))["emotion"]
    serving = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    found = serving(image=images(24))["emotion"].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    lite = tf.lite.TFLiteConverter.from_saved_model(
        str(tmp_path), signature_keys=["serving_default"]
    ).convert()
    runner = interpreter.Interpreter(model_content=lite).get_signature_runner()
    found = runner(image=images(24))["emotion"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_an_operation_without_a_rule_is_named():
    x = jax.ShapeDtypeStruct((4,), np.float32)
    jaxpr = jax.make_jaxpr(jnp.cumsum)(x)
    with pytest.raises(Mistake, match="'cumsum'.*tf_rules.py"):
        lower(None, jaxpr, x, rules=TENSORFLOW)
