"""Networks. The only folder that imports flax.linen.

`Network` is one trunk and one head per task: its single forward pass gives the
combined prediction of every task that the config names.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emotion_jax import registry
from emotion_jax.models.heads import HEADS
from emotion_jax.models.resnet import ResNet
from emotion_jax.tasks import Task

MODELS = {"resnet": ResNet}
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


class Network(nn.Module):
    """A trunk of features and a head per task; float32 in and out."""

    trunk: nn.Module
    heads: Mapping[str, nn.Module]

    def __call__(
        self, image: Float[Array, "b h w 1"], train: bool = False
    ) -> dict[str, Float[Array, "b ..."]]:
        features = self.trunk(image, train=train)
        return {
            name: head(features, side=image.shape[1], train=train)
            for name, head in self.heads.items()
        }


def make_network(
    tasks: Mapping[str, Task], *, name: str, dtype: str = "auto", **options
) -> Network:
    """The network that a config's `model` section describes.

    `dtype` is the precision of the products: `auto` takes bfloat16 where the platform
    gains from it. Parameters, losses and outputs are float32 in any case.
    """
    if dtype == "auto":
        dtype = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    make_trunk = registry.pick("model", name, MODELS)
    precision = registry.pick("dtype", dtype, DTYPES)
    trunk = registry.call("config.model", make_trunk, dtype=precision, **options)
    heads = {
        name: registry.pick("head", task.head, HEADS)(task.kind, task.names)
        for name, task in tasks.items()
    }
    return Network(trunk, heads)
