"""Train residual networks to read a face: its emotion and its fifteen keypoints.

import emotion_jax
model = emotion_jax.load()
found = model.predict(images)
"""

from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emotion_jax.inference import Model

__version__ = "0.1.0"


def load(checkpoint: str | PathLike = "pretrained") -> "Model":
    """The network that X names: a workdir, one step's folder in it, or what ships.

    Args:
      checkpoint: with nothing said, the network of emotion and keypoints that comes
        with the package, as do pretrained:keypoints and pretrained:emotion7.
    """
    from emotion_jax.inference import Model  # JAX and Orbax: seconds of import

    return Model(checkpoint)
