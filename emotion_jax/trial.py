"""One network trained from several seeds, for comparison: compiled once for all.

    trial = Trial(config, train)
    runs = [trial.run(seed) for seed in range(3)]

It runs the same as the training binary, without checkpoints, logs and evaluations.
"""

import copy
import dataclasses
from collections.abc import Mapping

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float
from ml_collections import ConfigDict

from emotion_jax import distill, sharding, step, warm_start
from emotion_jax.checkpoint import abstract
from emotion_jax.data.augment import make_augment
from emotion_jax.data.pipeline import Feed, make_feed
from emotion_jax.data.table import Split
from emotion_jax.models import new_network
from emotion_jax.optim import make_optimizer
from emotion_jax.plan import make_plan
from emotion_jax.registry import build
from emotion_jax.tasks import make_tasks, with_counts
from emotion_jax.trees import by_path


@dataclasses.dataclass(frozen=True)
class Run:
    """The result of one training: the variables to evaluate, and each step's loss."""

    variables: dict
    loss: Float[np.ndarray, " steps"]


class Trial:
    """A config's network on some faces, and its compiled step.

    A seed draws the first parameters and the order of the faces; the augmentation and
    the dropout are those of `config.seed`.

    Args:
      train: the faces, or those of each source.
    """

    def __init__(
        self,
        config: ConfigDict,
        train: Split | Mapping[str, Split],
        mesh: Mesh | None = None,
    ):
        train = {train.source: train} if isinstance(train, Split) else train
        self.mesh = mesh or sharding.make_mesh()
        side = next(iter(train.values())).faces["image"].shape[1]
        self.tasks = make_tasks(config.tasks)
        self.teach = distill.load(self.tasks, self.mesh)
        augment = make_augment(self.tasks, config.augment)
        self.network = new_network(self.tasks, config.model)
        self.plan = build(config, "train", make_plan, train, 0)
        if self.network.simclr:
            self.network.simclr.check(config.augment, self.plan.batch_size)
        optimizer = build(config, "optim", make_optimizer, self.plan)
        self.feed = build(
            config, "feed", make_feed, train, self.plan, config.seed, self.mesh
        )
        per_step = self.feed.order.per_step
        self.tasks = with_counts(self.tasks, train.values(), per_step)
        whole = sharding.whole(self.mesh)
        self.shape = (1, side, side, 1)
        self.draw = jax.jit(self.network.init)
        # Arrays that are given are not drawn, so this compiles to little but copies.
        init = step.make_init(self.network, optimizer, 0, side)
        self.begin = jax.jit(init, out_shardings=whole)
        self.given = {}
        if config.init_from:
            like = abstract(init, self.mesh)
            self.given = warm_start.load(
                config.init_from, like, self.mesh, config.model, self.tasks
            )
        self.step = step.make_train_step(
            *(self.network, self.tasks, optimizer, augment, self.feed),
            *(self.mesh, config.seed, whole),
        )

    def first(self, seed: int) -> step.TrainState:
        """The state before the first step."""
        drawn = self.draw(step.stream(seed, "init"), np.zeros(self.shape, np.float32))
        return self.begin(by_path(drawn) | self.given)

    def feed_of(self, seed: int) -> Feed:
        """The batches, in the order of this seed."""
        feed = copy.copy(self.feed)
        feed.order = dataclasses.replace(feed.order, seed=seed)
        return feed

    def run(self, seed: int) -> Run:
        """One training, from this seed to the end of the plan."""
        state, losses = self.first(seed), []
        for _, inputs in zip(range(self.plan.total), self.feed_of(seed).batches(0)):
            state, metrics = self.step(state, inputs, self.teach)
            losses.append(metrics["loss"][0])
        return Run(state.variables(), np.array(jax.device_get(losses)))
