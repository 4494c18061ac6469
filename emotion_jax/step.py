"""The state, the train step and the eval step: pure functions, jitted once."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key, UInt8

from emotion_jax import sharding
from emotion_jax.data.augment import Augment
from emotion_jax.data.pipeline import Feed
from emotion_jax.optim import Optimizer
from emotion_jax.platform import compiler_options
from emotion_jax.tasks import Task, losses_and_metrics


@flax.struct.dataclass
class TrainState:
    """Arrays only. `ema` holds averaged params and batch_stats, or nothing."""

    step: Any  # int32[]; Any, as JAX and Orbax put placeholders into these fields
    params: Any
    batch_stats: Any
    opt_state: Any
    ema: Any

    def variables(self) -> dict:
        """What evaluation uses: the averages where the config keeps them."""
        return self.ema or {"params": self.params, "batch_stats": self.batch_stats}


def stream(seed: int, name: str, step: Int[Array, ""] | int = 0) -> Key[Array, ""]:
    """The random key of a named stream at a step: derived, never carried."""
    number = int.from_bytes(name.encode()[:4].ljust(4, b"\0"), "big")
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), number), step)


def normalise(image: UInt8[Array, "*b h w 1"]) -> Float[Array, "*b h w 1"]:
    """Gray levels as the augmentation takes them: float32 in [0, 1]."""
    return image.astype(jnp.float32) / 255.0


def standardise(image: Float[Array, "*b h w 1"]) -> Float[Array, "*b h w 1"]:
    """As the network takes them: about zero mean and unit spread for a gray face."""
    return (image - 0.5) * 4.0


def make_init(
    network, optimizer: Optimizer, seed: int, side: int
) -> Callable[[], TrainState]:
    """A function that makes the first state; to be jitted, or traced for its shapes."""

    def init() -> TrainState:
        image = jnp.zeros((1, side, side, 1))
        variables = network.init(stream(seed, "init"), image)
        params, stats = variables["params"], variables.get("batch_stats", {})
        averages = {"params": params, "batch_stats": stats}
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=stats,
            opt_state=optimizer.tx.init(params),
            ema=averages if optimizer.ema_decay > 0 else {},
        )

    return init


def make_train_step(
    network,
    tasks: Mapping[str, Task],
    optimizer: Optimizer,
    augment: Augment,
    feed: Feed,
    mesh: Mesh,
    seed: int,
) -> Callable[[TrainState, object], tuple[TrainState, dict]]:
    """The jitted step: (state, feed inputs) -> (state, metrics as (total, count))."""

    whole, split = sharding.whole(mesh), sharding.split(mesh)

    def loss_fn(params, stats, batch, key):
        image = standardise(batch["image"])
        outputs, updates = network.apply(
            {"params": params, "batch_stats": stats},
            image,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": key},
        )
        loss, metrics = losses_and_metrics(
            tasks, outputs, batch["labels"], batch["known"], image.shape[1]
        )
        return loss, (updates.get("batch_stats", {}), metrics)

    def step(state: TrainState, inputs):
        batch = jax.lax.with_sharding_constraint(feed.gather(inputs), split)
        batch = batch | {"image": normalise(batch["image"])}
        # One key a face, by its place in the global batch: the number of devices
        # changes nothing.
        key = stream(seed, "augment", state.step)
        keys = jax.random.split(key, len(batch["image"]))
        batch = jax.vmap(augment)(keys, batch)
        grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
        (_, (stats, metrics)), grads = grad_fn(
            state.params, state.batch_stats, batch, stream(seed, "dropout", state.step)
        )
        updates, opt_state = optimizer.tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        ema = {"params": params, "batch_stats": stats} if state.ema else {}
        decay = ema_decay(optimizer.ema_decay, state.step)
        ema = optax.incremental_update(ema, state.ema, 1.0 - decay)
        one = jnp.ones(())
        metrics["grad_norm"] = optax.tree.norm(grads), one
        metrics["learning_rate"] = jnp.asarray(optimizer.rate(state.step)), one
        return TrainState(state.step + 1, params, stats, opt_state, ema), metrics

    return jax.jit(
        step,
        donate_argnums=0,
        out_shardings=(whole, whole),
        compiler_options=compiler_options(),
    )


def ema_decay(decay: float, step: Int[Array, ""]) -> Float[Array, ""]:
    """The decay, smaller over the first steps so that the average forgets the start."""
    return jnp.minimum(decay, (1.0 + step) / (10.0 + step))


def make_eval_step(network, mesh: Mesh) -> Callable[[dict, Array], dict]:
    """The jitted step: (variables, uint8 images) -> outputs, whole on every process."""

    def step(variables: dict, image: UInt8[Array, "b h w 1"]) -> dict:
        return network.apply(variables, standardise(normalise(image)), train=False)

    return jax.jit(
        step, out_shardings=sharding.whole(mesh), compiler_options=compiler_options()
    )
