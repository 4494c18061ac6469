"""Warm start: uses whatever fits from another run's checkpoint, of any network.

A parameter fits if its path and its shape agree, so a specialist's trunk and head fit
into the combined network, and the other way round. The course's weights, as Keras saves
them, fit the course's networks.
"""

import jax
from jax.sharding import Mesh

from emotion_jax import bucket, checkpoint, logs, sharding
from emotion_jax.errors import Mistake
from emotion_jax.models import keras_weights
from emotion_jax.optim import path_name
from emotion_jax.step import TrainState


def load(name: str, like: TrainState, mesh: Mesh) -> dict[str, jax.Array]:
    """The arrays of a checkpoint that fit, by path; the rest are reported.

    Args:
      name: a workdir or one step's folder, or a Keras file of the course's weights;
        "" means no warm start.
      like: the shapes of the state to start.
    """
    if not name:
        return {}
    if name.endswith(keras_weights.SUFFIXES):
        source = name
        there = sharding.place(keras_weights.read(name), sharding.whole(mesh))
    else:
        folder, _, variables = checkpoint.read(name, mesh, "config.init_from")
        source, there = bucket.origin(folder), by_path(variables)
    here = by_path({"params": like.params, "batch_stats": like.batch_stats})
    fits = {
        path: array
        for path, array in there.items()
        if path in here and here[path].shape == array.shape
    }
    if not fits:
        raise Mistake(
            f"nothing in {source} fits this network; give it the same config.model"
        )
    logs.say(f"started from {source}: {len(fits)} of {len(here)} arrays")
    for what, arrays in (("new here", here), ("left there", there)):
        for path in sorted(arrays.keys() - fits.keys()):
            logs.say(f"  {what}: {path} {arrays[path].shape}")
    return fits


def by_path(tree: dict) -> dict:
    """The leaves of a tree by their path, such as params/trunk/stem/kernel."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {path_name(path): leaf for path, leaf in leaves}
