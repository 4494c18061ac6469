"""The optimizer of a run: one of OPTIMIZERS, and what can wrap any of them."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int
from optax import contrib

from emotion_jax import registry
from emotion_jax.errors import Mistake
from emotion_jax.optimizers import OPTIMIZERS, Transformation
from emotion_jax.plan import Plan
from emotion_jax.schedules import SCHEDULES, Schedule
from emotion_jax.trees import by_path, map_by_path

DECAY = re.compile("momentum|decay|b[0-9]|beta[0-9]?")  # how fields are called


def with_lookahead(
    tx: Transformation, every: int = 5, pull: float = 0.5
) -> Transformation:
    """Every `every` steps, resets the parameters to slow ones that follow them.

    Zhang et al. 2019, algorithm 1. Optax's own version keeps pairs of parameters, which
    a network, a checkpoint and an average could not read.
    """

    if every < 1:
        raise Mistake(f"config.optim.lookahead.every is {every}, must be at least 1")
    if not 0 < pull <= 1:
        raise Mistake(f"config.optim.lookahead.pull is {pull}, must be in (0, 1]")

    def init(params):
        return tx.init(params), params, jnp.zeros((), jnp.int32)

    def update(grads, state, params=None):
        inner, slow, count = state
        updates, inner = tx.update(grads, inner, params)
        fast, sync = optax.apply_updates(params, updates), (count + 1) % every == 0
        met = jax.tree.map(lambda s, f: s + pull * (f - s), slow, fast)
        back = optax.tree.sub(met, params)
        updates = optax.tree.where(sync, back, updates)
        return updates, (inner, optax.tree.where(sync, met, slow), count + 1)

    return optax.GradientTransformation(init, update)


def by_group(groups: Sequence[tuple[str, float]]) -> Transformation:
    """Multiplies each update, weight decay included, by its group's factor; 0 freezes.

    Args:
      groups: regular expressions and factors. An expression is searched for in a
        parameter's path, such as trunk/stem/kernel; the first that matches counts,
        and no match means 1.
    """

    for pattern, scale in groups:
        try:
            re.compile(pattern)
        except re.error as error:
            raise Mistake(f"config.optim.groups has {pattern!r}: {error}") from None
        if scale < 0:
            raise Mistake(f"config.optim.groups has {scale}, must be at least 0")

    def factor(path: str) -> float:
        return next((f for p, f in groups if re.search(p, path)), 1.0)

    def init(params):
        names = list(by_path(params))
        for pattern, _ in groups:
            if not any(re.search(pattern, name) for name in names):
                raise Mistake(
                    f"config.optim.groups has {pattern!r}, which matches no parameter "
                    f"of {len(names)}, such as {', '.join(names[:3])}"
                )
        return optax.EmptyState()

    def update(updates, state, params=None):
        return map_by_path(lambda path, x: x * factor(path), updates), state

    return optax.GradientTransformation(init, update)


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """How parameters are updated: the transformation, its rate by step, the average."""

    tx: Transformation
    rate: Schedule
    ema_decay: float = 0.0
    averages_itself: bool = False  # schedule-free evaluates its own average

    @property
    def averages(self) -> bool:
        """Whether the parameters to evaluate differ from those in training."""
        return self.ema_decay > 0 or self.averages_itself

    def average(
        self, before: Any, now: Any, opt_state: Any, step: Int[Array, ""]
    ) -> Any:
        """The variables to evaluate; {} if they are those in training."""
        if self.averages_itself:
            found = jax.tree.leaves(opt_state, is_leaf=is_schedule_free)
            state = next(s for s in found if is_schedule_free(s))
            params = contrib.schedule_free_eval_params(state, now["params"])
            return now | {"params": params}
        if self.ema_decay > 0:
            rest = 1.0 - warmed_decay(self.ema_decay, step)
            return optax.incremental_update(now, before, rest)
        return {}


def is_schedule_free(state: Any) -> bool:
    """Whether this part of an optimizer's state keeps schedule-free's average."""
    return isinstance(state, contrib.ScheduleFreeState)


def warmed_decay(decay: float, step: Int[Array, ""]) -> Float[Array, ""]:
    """The decay, smaller over the first steps so that the average forgets the start."""
    return jnp.minimum(decay, (1.0 + step) / (10.0 + step))


def scaled_rate(rate: float, batch_size: int, base_batch_size: int) -> float:
    """The rate for this batch, linear in its size (Goyal et al. 2017, 2.1)."""
    return rate * batch_size / base_batch_size if base_batch_size else rate


def check_decays(name: str, options: Mapping) -> None:
    """Raises unless the decay rates of the optimizer's averages are in range."""
    for field, value in options.items():
        if not DECAY.fullmatch(field) or value is None:
            continue
        divides = name == "schedule_free" and field == "b1"
        if not 0 <= value < 1 or divides and value == 0:
            where = "(0, 1)" if divides else "[0, 1)"
            raise Mistake(f"config.optim.options.{field} is {value}, not in {where}")


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
    accumulate: int = 1,
    base_batch_size: int = 0,
    lookahead: Mapping | None = None,
    groups: Sequence[tuple[str, float]] = (),
) -> Optimizer:
    """The optimizer of a config's `optim` section.

    Args:
      learning_rate: the schedule's peak.
      schedule: its name, its warm-up as a duration, and its own fields.
      options: the optimizer's own fields.
      clip_norm: gradients of a larger global norm are scaled down to it; 0 is off.
      ema_decay: per step; evaluate an exponential average of the parameters; 0 is off.
      accumulate: steps whose gradients are averaged into one update. Schedules then
        count updates, and BatchNorm still sees one step's batch.
      base_batch_size: the faces per update that `learning_rate` is meant for; the rate
        is scaled to this run's. 0 takes the rate as it is.
      lookahead: the fields of `with_lookahead`; absent is off.
      groups: for fine-tuning, (("trunk", 0.1), ("stem", 0.0)): factors of the rate by
        parameter; 0 freezes it. BatchNorm still follows the faces that come.
    """
    numbers = {
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "clip_norm": clip_norm,
        "base_batch_size": base_batch_size,
    }
    for field, value in numbers.items():
        if value < 0:
            raise Mistake(f"config.optim.{field} is {value}, must be at least 0")
    if not 0 <= ema_decay < 1:
        raise Mistake(f"config.optim.ema_decay is {ema_decay}, must be in [0, 1)")
    if accumulate < 1:
        raise Mistake(f"config.optim.accumulate is {accumulate}, must be at least 1")
    if accumulate > plan.total:
        raise Mistake(
            f"config.optim.accumulate is {accumulate}, more than the run's "
            f"{plan.total} steps"
        )
    averages_itself = name == "schedule_free"
    if averages_itself and (ema_decay > 0 or groups or lookahead is not None):
        raise Mistake(
            "schedule_free averages by itself: it goes without config.optim.ema_decay, "
            "groups and lookahead"
        )
    schedule_name = schedule.get("name", "")
    registry.check_type("config.optim.schedule.name", schedule_name, str)
    plan = plan.accumulated(accumulate)
    rate = registry.call(
        "config.optim.schedule",
        registry.pick("schedule", schedule_name, SCHEDULES),
        scaled_rate(learning_rate, plan.batch_size, base_batch_size),
        plan,
        **{k: v for k, v in schedule.items() if k != "name"},
    )
    make = registry.pick("optimizer", name, OPTIMIZERS)
    tx = registry.call("config.optim.options", make, rate, weight_decay, **options)
    check_decays(name, options)
    if clip_norm > 0:
        tx = optax.chain(optax.clip_by_global_norm(clip_norm), tx)
    if groups:
        tx = optax.chain(tx, by_group(groups))
    if lookahead is not None:
        section = "config.optim.lookahead"
        tx = registry.call(section, with_lookahead, tx, **lookahead)
    if accumulate > 1:
        tx = optax.MultiSteps(tx, accumulate).gradient_transformation()
    return Optimizer(tx, lambda n: rate(n // accumulate), ema_decay, averages_itself)
