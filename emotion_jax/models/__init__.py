"""Networks. The only folder that imports flax.linen.

`Network` is one trunk and one head per task: its single forward pass gives the
combined prediction of every task that the config names.
"""

from collections.abc import Mapping
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emotion_jax import registry
from emotion_jax.errors import Mistake
from emotion_jax.models.course import CourseHead, CourseTrunk
from emotion_jax.models.heads import Flat, HeatMap, Pooled, Projector
from emotion_jax.models.resnet import ResNet
from emotion_jax.simclr import SimCLR
from emotion_jax.tasks import Task, offset

# He et al. 2015, table 1; ResNet-10 and -26 have one or two blocks per stage.
MODELS = {
    "resnet": ResNet,
    "resnet10": partial(ResNet, blocks=(1, 1, 1, 1)),
    "resnet18": partial(ResNet, blocks=(2, 2, 2, 2)),
    "resnet26": partial(ResNet, blocks=(2, 2, 2, 2), block="bottleneck"),
    "resnet34": partial(ResNet, blocks=(3, 4, 6, 3)),
    "resnet50": partial(ResNet, blocks=(3, 4, 6, 3), block="bottleneck"),
    "course": CourseTrunk,
}
HEADS = {"pooled": Pooled, "flat": Flat, "heatmap": HeatMap, "course": CourseHead}
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


class Network(nn.Module):
    """A trunk of features and a head per task; float32 in and out.

    Attributes:
      dropout: share of the features that a training step hides from the heads.
      learned: tasks whose loss is weighted by a noise that is learnt here.
      off: tasks whose labels are shifted, by an offset that is learnt here.
      simclr: the trunk learns from pairs of views instead of from the heads.
    """

    trunk: nn.Module
    heads: Mapping[str, nn.Module]
    dropout: float = 0.0
    learned: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    simclr: SimCLR | None = None

    @nn.compact
    def __call__(self, image: Float[Array, "b h w 1"], train: bool = False) -> dict:
        """Each task's output; in training also what is learnt about the labels."""
        features = self.trunk(image, train=train)
        vectors = {}
        if self.simclr and (train or self.is_initializing()):
            project = Projector(self.simclr.width, name="projector")
            vectors = {"vectors": project(features)}
            features = jax.lax.stop_gradient(features)
        features = nn.Dropout(self.dropout, deterministic=not train)(features)
        outputs = self.answers(features, image.shape[1], train)
        zeros = nn.initializers.zeros
        learnt = {
            "log_variance": {
                n: self.param(f"log_variance_{n}", zeros, ()) for n in self.learned
            },
            "offset": {
                n: self.param(offset.parameter(n), zeros, (2,)) for n in self.off
            },
        }
        return outputs | (learnt | vectors if train else {})

    @property
    def views(self) -> int:
        """How often a training step sees each face of its batch."""
        return 2 if self.simclr else 1

    def features(self, image: Float[Array, "b h w 1"]) -> Float[Array, "b h2 w2 c"]:
        """The trunk's last feature map: all that the heads see."""
        return self.trunk(image, train=False)

    def answers(
        self, features: Float[Array, "b h w c"], side: int, train: bool = False
    ) -> dict:
        """Each task's output, from the features."""
        return {
            name: head(features, side=side, train=train)
            for name, head in self.heads.items()
        }


def make_network(
    tasks: Mapping[str, Task],
    *,
    name: str,
    dtype: str = "auto",
    dropout: float = 0.0,
    simclr: Mapping | None = None,
    **options,
) -> Network:
    """The network that a config's `model` section describes.

    `dtype` is the precision of the products: `auto` takes bfloat16 where the platform
    gains from it. Parameters, losses and outputs are float32 in any case. `simclr`, if
    any, has the fields of SimCLR.
    """
    if dtype == "auto":
        dtype = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    if not 0 <= dropout < 1:
        raise Mistake(f"config.model.dropout is {dropout}, must be in [0, 1)")
    make_trunk = registry.pick("model", name, MODELS)
    precision = registry.pick("dtype", dtype, DTYPES)
    options["dtype"] = precision
    others = registry.keywords(make_network)
    registry.check_fields("config.model", make_trunk, 0, options, others)
    trunk = make_trunk(**options)
    heads = {name: make_head(task) for name, task in tasks.items()}
    learned = tuple(name for name, task in tasks.items() if task.weight == "learned")
    off = offset.learners(tasks)
    if simclr is not None:
        simclr = registry.call("config.model.simclr", SimCLR, **simclr)
    return Network(trunk, heads, dropout, learned, off, simclr)


def new_network(tasks: Mapping[str, Task], model: Mapping) -> Network:
    """The network that a run starts with, from its config's `model` section.

    Raises:
      Mistake: a field is unknown or out of range, or contradicts the name, as other
        `blocks` would for resnet18. make_network allows the last, so that networks
        trained that way can still be read.
    """
    network = registry.call("config.model", make_network, tasks, **model)
    check_name(**model)
    return network


def check_name(*, name: str = "", **options) -> None:
    """Raises if a config's `model` section contradicts its name."""
    for field, fixed in getattr(MODELS.get(name), "keywords", {}).items():
        given = options.get(field, fixed)
        if (tuple(given) if isinstance(given, list) else given) != fixed:
            raise Mistake(
                f"{name} has {field}={fixed}, but config.model.{field} is {given}: use "
                f"{fixed}, or set config.model.name=resnet"
            )


def make_head(task: Task) -> nn.Module:
    """The head that a task names."""
    make = registry.pick("head", task.head, HEADS)
    if make is HeatMap and task.kind != "points":
        raise Mistake("the head 'heatmap' finds points; classes take pooled or flat")
    return make(task.kind, task.names)
