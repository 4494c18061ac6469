"""The state, the train step and the eval step: pure functions, jitted once."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int, Key, UInt8

from emotion_jax import sharding, simclr
from emotion_jax.compiler import compiler_options
from emotion_jax.data.augment import Augment
from emotion_jax.data.pipeline import Feed
from emotion_jax.optim import Optimizer
from emotion_jax.tasks import Task, losses_and_metrics, offset
from emotion_jax.trees import map_by_path


@flax.struct.dataclass
class TrainState:
    """Arrays only. `ema` holds averaged params and batch_stats, or nothing."""

    step: Any  # int32[]; Any, as JAX and Orbax put placeholders into these fields
    params: Any
    batch_stats: Any
    opt_state: Any
    ema: Any

    def variables(self) -> dict:
        """The variables to evaluate: the averages, if the config keeps them."""
        return self.ema or {"params": self.params, "batch_stats": self.batch_stats}


def stream(
    seed: Int[Array, ""] | int, name: str, step: Int[Array, ""] | int = 0
) -> Key[Array, ""]:
    """The random key of a named stream at a step: derived, never carried."""
    number = int.from_bytes(name.encode()[:4].ljust(4, b"\0"), "big")
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), number), step)


def normalise(image: UInt8[Array, "*b h w 1"]) -> Float[Array, "*b h w 1"]:
    """Gray levels as the augmentation takes them: float32 in [0, 1]."""
    return image.astype(jnp.float32) / 255.0


def standardise(image: Float[Array, "*b h w 1"]) -> Float[Array, "*b h w 1"]:
    """Gray levels as the network takes them: a face has about mean 0 and spread 1."""
    return (image - 0.5) * 4.0


def make_init(
    network, optimizer: Optimizer, seed: int, side: int
) -> Callable[..., TrainState]:
    """A function that makes the first state; to be jitted, or traced for its shapes.

    Its first argument, if any, holds arrays by path, such as params/trunk/stem/kernel,
    which replace the random ones; its second is another seed.
    """

    def init(
        given: Mapping[str, Array] = {}, seed: Int[Array, ""] | int = seed
    ) -> TrainState:
        image = jnp.zeros((1, side, side, 1))
        drawn = network.init(stream(seed, "init"), image)
        variables = map_by_path(given.get, drawn)
        params, stats = variables["params"], variables.get("batch_stats", {})
        averages = {"params": params, "batch_stats": stats}
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=stats,
            opt_state=optimizer.tx.init(params),
            ema=averages if optimizer.averages else {},
        )

    return init


def make_batch(
    augment: Augment,
    feed: Feed,
    mesh: Mesh,
    seed: Int[Array, ""] | int,
    views: int = 1,
) -> Callable:
    """The function (step, feed inputs) -> the augmented batch, split over the mesh.

    Args:
      views: 2 makes two rows of each face, augmented independently.
    """

    def batch(step: Int[Array, ""], inputs) -> dict:
        found = jax.lax.with_sharding_constraint(
            feed.gather(inputs), sharding.split(mesh)
        )
        found = found | {"image": normalise(found["image"])}
        seen = augment(stream(seed, "augment", step), found)
        if views == 1:
            return seen
        return simclr.in_pairs(seen, augment(stream(seed, "view", step), found))

    return batch


def make_loss(network, tasks: Mapping[str, Task]) -> Callable:
    """The function (params, stats, batch, key) -> loss, (new stats, metrics).

    batch["taught"], if any, holds the answers of the tasks' teachers.
    """

    def loss(params, stats, batch, key):
        image = standardise(batch["image"])
        outputs, updates = network.apply(
            {"params": params, "batch_stats": stats},
            image,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": key},
        )
        side, taught = image.shape[1], batch.get("taught", {})
        labels = offset.keep(batch["labels"], outputs["offset"], batch["turn"], side)
        loss, metrics = losses_and_metrics(
            tasks, outputs, labels, batch["known"], side, taught
        )
        if network.simclr:
            apart, found = network.simclr.loss_and_metrics(outputs["vectors"])
            loss += apart
            metrics |= {"loss": (loss, jnp.ones(()))} | found
        return loss, (updates.get("batch_stats", {}), metrics)

    return loss


NO_TEACHERS = Partial(lambda image: {})


def make_train_step(
    *,
    network,
    tasks: Mapping[str, Task],
    optimizer: Optimizer,
    augment: Augment,
    feed: Feed,
    mesh: Mesh,
    seed: int,
    layout,
) -> Callable[..., tuple[TrainState, dict]]:
    """The jitted step: (state, feed inputs) -> (state, metrics as (total, count)).

    The step's third argument, if any, is what `distill.load` returns; its fourth is
    another seed, for which nothing is compiled again.

    Args:
      layout: the shardings of the state's arrays, or one for all.
    """
    grad_fn = jax.value_and_grad(make_loss(network, tasks), has_aux=True)

    def step(state: TrainState, inputs, teach: Partial = NO_TEACHERS, seed=seed):
        make = make_batch(augment, feed, mesh, seed, network.views)
        batch = make(state.step, inputs)
        batch["taught"] = teach(batch["image"])
        (_, (stats, metrics)), grads = grad_fn(
            state.params, state.batch_stats, batch, stream(seed, "dropout", state.step)
        )
        updates, opt_state = optimizer.tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        now = {"params": params, "batch_stats": stats}
        ema = optimizer.average(state.ema, now, opt_state, state.step)
        one = jnp.ones(())
        metrics["grad_norm"] = optax.tree.norm(grads), one
        metrics["learning_rate"] = jnp.asarray(optimizer.rate(state.step)), one
        return TrainState(state.step + 1, params, stats, opt_state, ema), metrics

    return jax.jit(
        step,
        # To find a NaN, JAX runs the step again on the same state.
        donate_argnums=() if jax.config.jax_debug_nans else 0,
        out_shardings=(layout, sharding.whole(mesh)),
        compiler_options=compiler_options(mesh.devices.flat[0].platform),
    )


def forward(network, variables: dict, image: UInt8[Array, "b h w 1"]) -> dict:
    """The outputs for faces as they are stored: for evaluation and export."""
    return network.apply(variables, standardise(normalise(image)), train=False)


def make_eval_step(network, mesh: Mesh) -> Callable[[dict, Array], dict]:
    """The jitted step: (variables, uint8 images) -> outputs, whole on every process.

    All in float32, even products, which TPUs and GPUs otherwise compute in fewer bits.
    """
    return jax.jit(
        jax.default_matmul_precision("highest")(partial(forward, network)),
        out_shardings=sharding.whole(mesh),
        compiler_options=compiler_options(mesh.devices.flat[0].platform),
    )
