"""Where a network looks: Grad-CAM on the trunk's last feature map."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, UInt8

from emotion_jax.step import normalise, standardise


def maps(
    network,
    variables: dict,
    task: str,
    image: UInt8[np.ndarray, "n h w 1"],
    chosen: Int[np.ndarray, " n"],
) -> Float32[np.ndarray, "n h2 w2"]:
    """How much each place speaks for a face's chosen class; 1 at the strongest place.

    Selvaraju et al. 2017, eq. 1 and 2: the feature channels, weighted by the mean over
    places of the logit's gradient, with negative values set to 0.
    """
    side = image.shape[1]

    def logit(features: Float[Array, "n h w c"], variables: dict) -> Float[Array, ""]:
        outputs = network.apply(variables, features, side, method="answers")[task]
        return jnp.take_along_axis(outputs, chosen[:, None], -1).sum()

    @jax.jit
    def cam(variables: dict, image: UInt8[Array, "n h w 1"]):
        seen = standardise(normalise(image))
        features = network.apply(variables, seen, method="features")
        weight = jax.grad(logit)(features, variables).mean((1, 2), keepdims=True)
        found = jax.nn.relu((weight * features).sum(-1))
        return found / jnp.maximum(found.max((1, 2), keepdims=True), 1e-9)

    return np.asarray(cam(jax.device_get(variables), image))
