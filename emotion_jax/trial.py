"""One network, trained from several seeds to be compared: compiled once for all.

    trial = Trial(config, split)
    runs = [trial.run(seed) for seed in range(3)]

It is what the training binary runs, without its checkpoints, logs and evaluations.
"""

import dataclasses

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float
from ml_collections import ConfigDict

from emotion_jax import distill, sharding, step
from emotion_jax.data.augment import make_augment
from emotion_jax.data.pipeline import Order, Resident
from emotion_jax.data.table import Split
from emotion_jax.models import make_network
from emotion_jax.optim import make_optimizer
from emotion_jax.plan import make_plan
from emotion_jax.tasks import make_tasks
from emotion_jax.warm_start import by_path


@dataclasses.dataclass(frozen=True)
class Run:
    """What one training gave: the variables to evaluate, and each step's loss."""

    variables: dict
    loss: Float[np.ndarray, " steps"]


class Trial:
    """A config's network on some faces, and its compiled step.

    A seed draws the first parameters and the order of the faces; the augmentation and
    the dropout are those of `config.seed`.
    """

    def __init__(self, config: ConfigDict, split: Split, mesh: Mesh | None = None):
        self.mesh = mesh or sharding.make_mesh()
        self.faces, side = split.faces, split.faces["image"].shape[1]
        self.tasks = make_tasks(config.tasks)
        self.network = make_network(self.tasks, **config.model)
        self.teach = distill.load(self.tasks, self.mesh)
        self.plan = make_plan({split.source: split}, 0, **config.train)
        optimizer = make_optimizer(self.plan, **config.optim)
        augment = make_augment(self.tasks, config.augment)
        whole = sharding.whole(self.mesh)
        self.shape = (1, side, side, 1)
        self.draw = jax.jit(self.network.init)
        # What is given is not drawn, so this compiles to little more than copies.
        init = step.make_init(self.network, optimizer, 0, side)
        self.begin = jax.jit(init, out_shardings=whole)
        self.step = step.make_train_step(
            *(self.network, self.tasks, optimizer, augment, self.feed(0)),
            *(self.mesh, config.seed, whole),
        )

    def first(self, seed: int) -> step.TrainState:
        """The state before the first step."""
        drawn = self.draw(step.stream(seed, "init"), np.zeros(self.shape, np.float32))
        return self.begin(by_path(drawn))

    def feed(self, seed: int) -> Resident:
        """The batches, in the order of this seed."""
        rows = np.arange(len(self.faces["image"]))
        order = Order(seed, [rows], [self.plan.batch_size])
        return Resident(self.faces, order, self.mesh)

    def run(self, seed: int) -> Run:
        """One training, from this seed to the end of the plan."""
        state, losses = self.first(seed), []
        for _, inputs in zip(range(self.plan.total), self.feed(seed).batches(0)):
            state, metrics = self.step(state, inputs, self.teach)
            losses.append(metrics["loss"][0])
        return Run(state.variables(), np.array(jax.device_get(losses)))
