"""Laws of Grad-CAM: the channels weighed by the head, and nothing below zero."""

import evaluated
import jax.numpy as jnp
import numpy as np
import tiny

from emotion_jax.report import focus
from emotion_jax.step import forward, normalise, standardise


def test_under_a_pooled_head_it_is_the_class_s_weights_over_the_places():
    made = evaluated.restored({"emotion": {}, "keypoints": {}})
    network, variables = made.evaluator.network, made.variables
    image, chosen = tiny.faces(6)["image"], np.array([0, 1, 2, 3, 4, 4])
    found = focus.maps(network, variables, "emotion", image, chosen)
    seen = standardise(normalise(jnp.asarray(image)))
    features = network.apply(variables, seen, method="features")
    kernel = variables["params"]["heads_emotion"]["output"]["kernel"]
    expected = np.einsum("nhwc,cn->nhw", features, kernel[:, chosen]).clip(0)
    expected /= expected.max((1, 2), keepdims=True).clip(1e-9)
    assert found.shape == features.shape[:3] and found.max() == 1
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_features_and_answers_are_the_forward_pass_in_two():
    made = evaluated.restored({"emotion": {}, "keypoints": {}})
    network, image = made.evaluator.network, tiny.faces(3)["image"]
    seen = standardise(normalise(jnp.asarray(image)))
    features = network.apply(made.variables, seen, method="features")
    found = network.apply(made.variables, features, 24, method="answers")
    expected = forward(network, made.variables, jnp.asarray(image))
    assert found.keys() == expected.keys()
    for name, output in expected.items():
        np.testing.assert_allclose(found[name], output, rtol=1e-5, atol=1e-5)
