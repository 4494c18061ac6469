"""Optax optimizers and schedules by name, and durations a person would write."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sized

import jax
import jax.numpy as jnp
import optax

from emotion_jax import registry
from emotion_jax.errors import Mistake

Schedule = Callable[[jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long a run is, in steps.

    Attributes:
      total: steps of the whole run, which the schedule spans.
      stop: where this run ends, at most `total`.
      epoch: steps in which as many faces pass as there are.
    """

    batch_size: int
    total: int
    stop: int
    epoch: float

    def to_steps(self, duration: int | float | str) -> int:
        """A duration in steps: 500, "500 steps", "5%" of the run, or "2 epochs"."""
        unit = {"%": self.total / 100, "epoch": self.epoch, "step": 1}
        match = re.fullmatch(r"([0-9.]+) ?(%|epochs?|steps?|)", str(duration).strip())
        try:
            return round(float(match[1]) * unit[match[2].rstrip("s") or "step"])
        except (TypeError, ValueError):
            raise Mistake(
                f"{duration!r} is no duration; write 500, '5%' or '2 epochs'"
            ) from None

    def every(self, duration: int | float | str) -> int:
        """A cadence: as `to_steps`, at least one."""
        return max(1, self.to_steps(duration))


def make_plan(
    train: Mapping[str, Sized],
    stop_at: int,
    *,
    batch_size: int,
    steps: int = 0,
    epochs: float = 0.0,
) -> Plan:
    """The plan of a config's `train` section; steps win over epochs."""
    if batch_size < 1:
        raise Mistake(f"config.train.batch_size is {batch_size}, must be at least 1")
    if stop_at < 0:
        raise Mistake(f"config.stop_at is {stop_at}, must be 0 or a step")
    epoch = sum(len(split) for split in train.values()) / batch_size
    total = steps or round(epochs * epoch)
    if total < 1:
        raise Mistake(
            "config.train needs steps or epochs above 0, "
            f"got steps={steps}, epochs={epochs}"
        )
    return Plan(batch_size, total, min(stop_at or total, total), epoch)


def cosine(peak: float, total: int, warmup: int, floor: float = 0.0) -> Schedule:
    """Linear from 0 to the peak in `warmup` steps, then a half cosine to the floor."""
    return optax.warmup_cosine_decay_schedule(
        0.0 if warmup else peak, peak, warmup, max(total, warmup + 1), floor * peak
    )


def constant(peak: float, total: int, warmup: int) -> Schedule:
    """Linear from 0 to the peak in `warmup` steps, then the peak."""
    return optax.warmup_constant_schedule(0.0 if warmup else peak, peak, warmup)


def sgd(
    schedule: Schedule, weight_decay: float, momentum: float = 0.9
) -> optax.GradientTransformation:
    """Nesterov momentum; the decay is coupled, as usual with SGD."""
    return optax.chain(
        optax.add_decayed_weights(weight_decay, kernels),
        optax.sgd(schedule, momentum, nesterov=True),
    )


def adamw(
    schedule: Schedule, weight_decay: float, b1: float = 0.9, b2: float = 0.999
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""
    return optax.adamw(schedule, b1, b2, weight_decay=weight_decay, mask=kernels)


OPTIMIZERS = {"sgd": sgd, "adamw": adamw}
SCHEDULES = {"cosine": cosine, "constant": constant}


def kernels(params):
    """A mask of the parameters that decay: kernels, no biases, no scales."""
    return jax.tree.map(lambda p: jnp.ndim(p) > 1, params)


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """How the parameters move: the transformation, its rate by step, the average."""

    tx: optax.GradientTransformation
    rate: Schedule
    ema_decay: float


def make_optimizer(
    plan: Plan,
    *,
    name: str,
    learning_rate: float,
    schedule: Mapping,
    options: Mapping,
    weight_decay: float = 0.0,
    clip_norm: float = 0.0,
    ema_decay: float = 0.0,
) -> Optimizer:
    """The optimizer of a config's `optim` section.

    Args:
      learning_rate: the schedule's peak.
      schedule: its name, its warm-up as a duration, and its own fields.
      options: the optimizer's own fields.
      clip_norm: gradients of a larger global norm are scaled down to it; 0 is off.
      ema_decay: evaluate an exponential average of the parameters; 0 is off.
    """
    shape = {k: v for k, v in schedule.items() if k != "name"}
    if "warmup" in shape:
        shape["warmup"] = plan.to_steps(shape["warmup"])
    rate = registry.call(
        "config.optim.schedule",
        registry.pick("schedule", schedule.get("name", ""), SCHEDULES),
        learning_rate,
        plan.total,
        **shape,
    )
    make = registry.pick("optimizer", name, OPTIMIZERS)
    tx = registry.call("config.optim.options", make, rate, weight_decay, **options)
    if clip_norm > 0:
        tx = optax.chain(optax.clip_by_global_norm(clip_norm), tx)
    return Optimizer(tx, rate, ema_decay)
