"""One network trained from several seeds, for comparison: compiled once for all.

    trial = Trial(config, train)
    runs = [trial.run(seed) for seed in range(3)]

Each is the run of the training binary with this `config.seed`, without checkpoints,
logs and evaluations.
"""

import copy
import dataclasses
from collections.abc import Mapping

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float
from ml_collections import ConfigDict

from emotion_jax import sharding, warm_start
from emotion_jax.assembly import assemble
from emotion_jax.data.pipeline import Feed
from emotion_jax.data.table import Split
from emotion_jax.sharding import abstract
from emotion_jax.step import TrainState


@dataclasses.dataclass(frozen=True)
class Run:
    """The result of one training: the variables to evaluate, and each step's loss."""

    variables: dict
    loss: Float[np.ndarray, " steps"]


class Trial:
    """A config's network on some faces, and its compiled step.

    Args:
      train: the faces, or those of each source.

    Raises:
      Mistake: the config or the faces cannot be trained on.
    """

    def __init__(
        self,
        config: ConfigDict,
        train: Split | Mapping[str, Split],
        mesh: Mesh | None = None,
    ):
        train = {train.source: train} if isinstance(train, Split) else train
        self.mesh = mesh or sharding.make_mesh()
        parts = assemble(config, self.mesh, (train, {}))
        self.tasks, self.network, self.teach = parts.tasks, parts.network, parts.teach
        self.plan, self.feed = parts.plan, parts.feed
        init, whole = parts.make_init(), sharding.whole(self.mesh)
        like = abstract(init, self.mesh)
        self.given = warm_start.load(
            config.init_from, like, self.mesh, config.model, self.tasks
        )
        self.begin = jax.jit(init, out_shardings=whole)
        self.step = parts.make_train_step(whole)

    def first(self, seed: int) -> TrainState:
        """The state before the first step."""
        return self.begin(self.given, seed)

    def feed_of(self, seed: int) -> Feed:
        """The batches, in the order of this seed."""
        feed = copy.copy(self.feed)
        feed.order = dataclasses.replace(feed.order, seed=seed)
        return feed

    def run(self, seed: int) -> Run:
        """One training, from this seed to the end of the plan."""
        state, losses = self.first(seed), []
        for _, inputs in zip(range(self.plan.stop), self.feed_of(seed).batches(0)):
            state, metrics = self.step(state, inputs, self.teach, seed)
            losses.append(metrics["loss"][0])
        return Run(state.variables(), np.array(jax.device_get(losses)))
