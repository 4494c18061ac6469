"""What a config trains, put together: the same for a run and for a trial of it."""

import dataclasses
from collections.abc import Callable, Mapping

from jax.sharding import Mesh
from jax.tree_util import Partial
from ml_collections import ConfigDict

from emotion_jax import distill, step
from emotion_jax.data.augment import Augment, make_augment
from emotion_jax.data.pipeline import Feed, make_feed
from emotion_jax.data.sections import check_labels, load_train_and_val
from emotion_jax.data.table import Split
from emotion_jax.meta import Meta
from emotion_jax.models import Network, new_network
from emotion_jax.optim import Optimizer, make_optimizer
from emotion_jax.plan import Plan, make_plan
from emotion_jax.registry import build
from emotion_jax.report import tables
from emotion_jax.tasks import Task, make_tasks, with_counts
from emotion_jax.workdir import to_dict

Splits = Mapping[str, Split]  # by source


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a training is made of, checked to fit together; nothing is compiled.

    Attributes:
      teach: the third argument of the train step.
    """

    config: ConfigDict
    mesh: Mesh
    tasks: Mapping[str, Task]
    augment: Augment
    network: Network
    teach: Partial
    train: Splits
    val: Splits
    plan: Plan
    optimizer: Optimizer
    feed: Feed

    def meta(self, temperature: Mapping[str, float]) -> Meta:
        """What a checkpoint records, but for its own temperatures."""
        names = {name: task.names for name, task in self.tasks.items()}
        used = tuple(tables.used(self.train, self.val))
        return Meta(
            to_dict(self.config), names, self.config.data.side, temperature, used
        )

    def make_init(self) -> Callable[..., step.TrainState]:
        """The function that makes the first state."""
        seed, side = self.config.seed, self.config.data.side
        return step.make_init(self.network, self.optimizer, seed, side)

    def make_train_step(self, layout) -> Callable[..., tuple[step.TrainState, dict]]:
        """The jitted step; `layout` as for `make_train_step`."""
        return step.make_train_step(
            network=self.network,
            tasks=self.tasks,
            optimizer=self.optimizer,
            augment=self.augment,
            feed=self.feed,
            mesh=self.mesh,
            seed=self.config.seed,
            layout=layout,
        )


def assemble(
    config: ConfigDict, mesh: Mesh, splits: tuple[Splits, Splits] | None = None
) -> Parts:
    """The parts of a config's training; what needs no faces is checked first.

    Args:
      splits: the faces to train on and to validate on; read here if not given.

    Raises:
      Mistake: the config or the data cannot be trained on.
    """
    tasks = make_tasks(config.tasks)
    augment = make_augment(tasks, config.augment)
    network = new_network(tasks, config.model)
    teach = distill.load(tasks, mesh)
    train, val = splits or build(config, "data", load_train_and_val, tasks)
    plan = build(config, "train", make_plan, train, config.stop_at)
    if network.simclr:
        network.simclr.check(config.augment, plan.batch_size)
    else:
        check_labels(tasks, train)
    optimizer = build(config, "optim", make_optimizer, plan)
    feed = build(config, "feed", make_feed, train, plan, config.seed, mesh)
    return Parts(
        config=config,
        mesh=mesh,
        tasks=with_counts(tasks, train.values(), feed.order.per_step),
        augment=augment,
        network=network,
        teach=teach,
        train=train,
        val=val,
        plan=plan,
        optimizer=optimizer,
        feed=feed,
    )
