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
    """Loads a trained network.

    Args:
      checkpoint: a workdir, one step's folder in it, or weights that come with the
        package: pretrained (emotion and keypoints), pretrained:keypoints or
        pretrained:emotion7.
    """
    from emotion_jax.inference import Model  # JAX and Orbax take seconds to import

    return Model(checkpoint)
