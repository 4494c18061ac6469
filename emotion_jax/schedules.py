"""Learning rates by step: a warm-up to the peak, if any, and a way down from it."""

import inspect
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import optax

from emotion_jax.errors import Mistake
from emotion_jax.plan import Plan

Schedule = Callable[[jax.Array], jax.Array]
Duration = int | float | str


def warmed_up(peak: float, warmup: int, after: Schedule) -> Schedule:
    """Linear from 0 to the peak in `warmup` steps, then `after`, counted from there."""
    if warmup < 1:
        return after
    return optax.join_schedules(
        [optax.linear_schedule(0.0, peak, warmup), after], [warmup]
    )


def warmup_steps(plan: Plan, warmup: Duration) -> int:
    """The warm-up's steps, which may be more than a run has that is only a trial."""
    return plan.to_steps(warmup, "optim.schedule.warmup")


def check_share(field: str, value: float) -> None:
    """Raises unless a field is a share of the peak."""
    if not 0 <= value <= 1:
        raise Mistake(f"config.optim.schedule.{field} is {value}, must be in [0, 1]")


def cosine(
    peak: float, plan: Plan, warmup: Duration = 0, floor: float = 0.0
) -> Schedule:
    """Half a cosine from the peak to `floor` times it (Loshchilov & Hutter 2017)."""
    check_share("floor", floor)
    warmup = warmup_steps(plan, warmup)
    decay = optax.cosine_decay_schedule(peak, max(plan.total - warmup, 1), floor)
    return warmed_up(peak, warmup, decay)


def linear(
    peak: float, plan: Plan, warmup: Duration = 0, floor: float = 0.0
) -> Schedule:
    """A straight line from the peak to `floor` times it."""
    check_share("floor", floor)
    warmup = warmup_steps(plan, warmup)
    length = max(plan.total - warmup, 1)
    return warmed_up(peak, warmup, optax.linear_schedule(peak, floor * peak, length))


def one_cycle(
    peak: float,
    plan: Plan,
    warmup: Duration = "30%",
    start: float = 0.04,
    floor: float = 4e-6,
) -> Schedule:
    """Cosines up from `start` and down to `floor` of the peak (Smith & Topin 2018)."""
    check_share("start", start)
    check_share("floor", floor)
    warmup = max(warmup_steps(plan, warmup), 1)

    def up(n):
        return peak * (1 - (1 - start) * 0.5 * (1 + jnp.cos(jnp.pi * n / warmup)))

    down = optax.cosine_decay_schedule(peak, max(plan.total - warmup, 1), floor)
    return optax.join_schedules([up, down], [warmup])


def piecewise(
    peak: float,
    plan: Plan,
    warmup: Duration = 0,
    at: Sequence[Duration] = ("50%", "75%"),
    factor: float = 0.1,
) -> Schedule:
    """The peak, multiplied by `factor` at each of these moments of the run."""
    if factor < 0:
        raise Mistake(f"config.optim.schedule.factor is {factor}, must be at least 0")
    warmup = warmup_steps(plan, warmup)
    steps = [plan.to_steps(moment, "optim.schedule.at") for moment in at]
    if steps != sorted(set(steps)) or (steps and steps[0] <= warmup):
        raise Mistake(
            f"config.optim.schedule.at is {tuple(at)}, steps {steps} of {plan.total}: "
            f"they must grow, and come after the warm-up's {warmup}"
        )
    drops = {step - warmup: factor for step in steps}
    return warmed_up(peak, warmup, optax.piecewise_constant_schedule(peak, drops))


def inverse_sqrt(peak: float, plan: Plan, warmup: Duration = "5%") -> Schedule:
    """peak sqrt(warmup / step) after warm-up: has no end (Vaswani et al. 2017, 5.3)."""
    warmup = max(warmup_steps(plan, warmup), 1)
    return warmed_up(peak, warmup, lambda n: peak * jnp.sqrt(warmup / (n + warmup)))


def constant(peak: float, plan: Plan, warmup: Duration = 0) -> Schedule:
    """The peak throughout."""
    warmup = warmup_steps(plan, warmup)
    return warmed_up(peak, warmup, optax.constant_schedule(peak))


# An endless one uses the run's length only for percentages: the run may become longer.
ENDING = {"cosine": cosine, "linear": linear, "one_cycle": one_cycle}
ENDLESS = {
    "piecewise": piecewise,
    "inverse_sqrt": inverse_sqrt,
    "constant": constant,
}
SCHEDULES = ENDING | ENDLESS


def knows_no_end(name: str = "", **options) -> bool:
    """Whether the rate at a step is the same however long the run is."""
    if name not in ENDLESS:
        return False
    fields = inspect.signature(ENDLESS[name]).parameters.values()
    durations = {f.name: f.default for f in fields} | options
    return "%" not in str(durations)
