"""Laws of the rates: closed forms at the moments where a schedule changes."""

import jax.numpy as jnp
import numpy as np
import pytest

from emotion_jax.errors import Mistake
from emotion_jax.plan import Plan
from emotion_jax.schedules import SCHEDULES, knows_no_end

PEAK = 0.8
PLAN = Plan(batch_size=8, total=100, stop=60, epoch=12.5)
QUARTER = (1 + np.cos(np.pi / 4)) / 2  # what is left of a cosine after a quarter

# By name: a schedule's fields, and its rate at some steps.
WARMED = {
    "cosine": (
        {"floor": 0.25},
        {0: 0, 10: 0.4, 20: 0.8, 40: 0.2 + 0.6 * QUARTER, 60: 0.5, 100: 0.2, 101: 0.2},
    ),
    "linear": (
        {"floor": 0.25},
        {0: 0, 10: 0.4, 20: 0.8, 40: 0.65, 60: 0.5, 100: 0.2, 101: 0.2},
    ),
    "one_cycle": (
        {"start": 0.1, "floor": 0.01},
        {0: 0.08, 10: 0.44, 20: 0.8, 60: 0.404, 100: 0.008, 101: 0.008}
        | {5: 0.8 - 0.72 * QUARTER, 40: 0.008 + 0.792 * QUARTER},
    ),
    "piecewise": (
        {"at": ("50%", 75), "factor": 0.5},
        {0: 0, 10: 0.4, 20: 0.8, 49: 0.8, 50: 0.4, 74: 0.4, 75: 0.2, 100: 0.2},
    ),
    "inverse_sqrt": (
        {},
        {0: 0, 10: 0.4, 20: 0.8, 80: 0.4, 100: 0.8 / 5**0.5, 101: 0.8 / 5.05**0.5},
    ),
    "constant": ({}, {0: 0, 10: 0.4, 20: 0.8, 60: 0.8, 100: 0.8, 101: 0.8}),
}
DEFAULT = {
    "cosine": {0: 0.8, 50: 0.4, 100: 0, 101: 0},
    "linear": {0: 0.8, 25: 0.6, 50: 0.4, 100: 0, 101: 0},
    "one_cycle": {0: 0.032, 15: 0.416, 30: 0.8, 65: 0.4, 100: 3.2e-6, 101: 3.2e-6},
    "piecewise": {0: 0.8, 49: 0.8, 50: 0.08, 74: 0.08, 75: 0.008, 101: 0.008},
    "inverse_sqrt": {0: 0, 5: 0.8, 20: 0.4, 80: 0.2, 125: 0.16},
    "constant": {0: 0.8, 50: 0.8, 100: 0.8, 101: 0.8},
}


def rates(name, steps, plan=PLAN, **fields):
    """The rate at each of these steps, which are arrays as in the train step."""
    rate = SCHEDULES[name](PEAK, plan, **fields)
    return np.array([rate(jnp.int32(step)) for step in steps])


def test_every_schedule_has_its_curves_here():
    for table, curves in {"WARMED": WARMED, "DEFAULT": DEFAULT}.items():
        lacking = SCHEDULES.keys() - curves.keys()
        assert not lacking, f"{table} in this file wants the rates by hand of {lacking}"


@pytest.mark.parametrize("name", WARMED)
def test_a_warmed_up_schedule_is_this_curve(name):
    fields, expected = WARMED[name]
    found = rates(name, expected, warmup=20, **fields)
    np.testing.assert_allclose(found, [*expected.values()], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", DEFAULT)
def test_a_schedule_without_fields_is_this_curve(name):
    expected = DEFAULT[name]
    found = rates(name, expected)
    np.testing.assert_allclose(found, [*expected.values()], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("warmup", [20, "20 steps", "20%", "1.6 epochs"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_warmup_may_be_in_steps_percent_or_epochs(name, warmup):
    found = rates(name, [10, 19, 20], warmup=warmup)
    if name == "one_cycle":
        shares = np.array([0.5, (1 - np.cos(np.pi * 19 / 20)) / 2, 1])
        expected = PEAK * (0.04 + 0.96 * shares)
    else:
        expected = [0.4, 0.76, 0.8]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_a_warmup_longer_than_the_run_is_cut_off_by_its_end(name):
    short = Plan(batch_size=8, total=10, stop=10, epoch=1.0)
    np.testing.assert_allclose(rates(name, [10], short, warmup=40), 0.2, rtol=1e-6)


@pytest.mark.parametrize("percent", [7, 14, 29, 57])
def test_one_cycle_peaks_at_the_end_of_its_warmup(percent):
    near = [percent - 1, percent, percent + 1]
    found = rates("one_cycle", near, warmup=f"{percent}%")
    np.testing.assert_allclose(found.max(), PEAK, rtol=1e-6)
    assert found.argmax() == 1


def test_one_cycle_may_go_down_to_zero():
    found = rates("one_cycle", [30, 65, 100], floor=0.0)
    np.testing.assert_allclose(found, [0.8, 0.4, 0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("at", [("50%", 75), ("4 epochs", "75%"), (50, 75), [50, 75]])
def test_the_drops_may_be_in_steps_percent_or_epochs(at):
    found = rates("piecewise", [49, 50, 74, 75], warmup=10, at=at)
    np.testing.assert_allclose(found, [0.8, 0.08, 0.08, 0.008], rtol=1e-5)


def test_a_piecewise_rate_without_drops_is_the_peak():
    np.testing.assert_allclose(rates("piecewise", [0, 100], at=()), 0.8, rtol=1e-6)


@pytest.mark.parametrize(
    "warmup, at, steps",
    [
        (0, ("75%", "50%"), "[75, 50]"),  # fall
        (0, (50, "50%"), "[50, 50]"),  # stand
        ("30%", (20, 50), "[20, 50]"),  # inside the warm-up
        (20, (20, 50), "[20, 50]"),  # at its end
        (0, (0, 50), "[0, 50]"),  # before the first step
    ],
)
def test_drops_that_do_not_grow_after_the_warmup_are_a_mistake(warmup, at, steps):
    with pytest.raises(Mistake) as error:
        SCHEDULES["piecewise"](PEAK, PLAN, warmup=warmup, at=at)
    assert str(error.value) == (
        f"config.optim.schedule.at is {at}, steps {steps} of 100: they must grow, "
        f"and come after the warm-up's {PLAN.to_steps(warmup, 'at')}"
    )


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_warmup_that_is_no_duration_is_a_mistake(name):
    with pytest.raises(Mistake, match="config.optim.schedule.warmup: 'soon' is no du"):
        SCHEDULES[name](PEAK, PLAN, warmup="soon")


@pytest.mark.parametrize(
    "name, field, value",
    [
        ("cosine", "floor", -1.0),
        ("linear", "floor", 1.5),
        ("one_cycle", "floor", -1.0),
        ("one_cycle", "start", -3.0),
    ],
)
def test_a_share_of_the_peak_is_between_0_and_1(name, field, value):
    with pytest.raises(Mistake, match=f"schedule.{field} is {value}, must be in"):
        SCHEDULES[name](PEAK, PLAN, **{field: value})


def test_a_piecewise_rate_never_turns_negative():
    with pytest.raises(Mistake, match="schedule.factor is -0.5, must be at least 0"):
        SCHEDULES["piecewise"](PEAK, PLAN, factor=-0.5)


@pytest.mark.parametrize("name", SCHEDULES)
def test_only_a_rate_that_knows_no_end_is_the_same_in_a_longer_run(name):
    longer = Plan(batch_size=8, total=200, stop=60, epoch=12.5)
    found = [rates(name, range(0, 100, 9), plan, warmup=20) for plan in (PLAN, longer)]
    assert knows_no_end(name, warmup=20) is np.allclose(*found)


@pytest.mark.parametrize(
    "schedule, endless",
    [
        ({"name": "constant"}, True),
        ({"name": "constant", "warmup": "5%"}, False),
        ({"name": "inverse_sqrt", "warmup": 5}, True),
        ({"name": "inverse_sqrt"}, False),  # its warm-up is a share unless told
        ({"name": "piecewise", "at": (5, "2 epochs")}, True),
        ({"name": "piecewise"}, False),
        ({"name": "cosine", "warmup": 5}, False),
        ({}, False),
    ],
)
def test_a_rate_knows_no_end_where_nothing_is_a_share_of_the_run(schedule, endless):
    assert knows_no_end(**schedule) is endless
