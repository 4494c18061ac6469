"""Laws of what goes around any optimizer."""

from math import comb

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from emotion_jax import optim
from emotion_jax.errors import Mistake
from emotion_jax.plan import Plan

PLAN = Plan(batch_size=8, total=200, stop=200, epoch=12.5)
OPTIM = {
    "name": "sgd",
    "learning_rate": 0.5,
    "schedule": {"name": "constant", "warmup": 0},
    "options": {"momentum": 0.0},
}
MOMENTUM = {"momentum": 0.9}
PARAMS = {
    "conv": {"kernel": jnp.full((3, 2), 2.0), "bias": jnp.full(2, 2.0)},
    "norm": {"scale": jnp.full(2, 2.0)},
}


def make(**fields):
    return optim.make_optimizer(PLAN, **(OPTIM | fields))


def walk(optimizer, gradients):
    """(PARAMS, state) after each of these gradients, each the same for all numbers."""
    params, state = PARAMS, optimizer.tx.init(PARAMS)
    found = []
    for gradient in gradients:
        grads = jax.tree.map(lambda p, g=gradient: np.full_like(p, g), PARAMS)
        moved, state = optimizer.tx.update(grads, state, params)
        params = optax.apply_updates(params, moved)
        found.append((params, state))
    return found


def scales(optimizer, gradients):
    """One number of PARAMS that starts at 2 and never decays, after each of them."""
    return [float(p["norm"]["scale"][0]) for p, _ in walk(optimizer, gradients)]


def length(params):
    """How far PARAMS went."""
    squares = jax.tree.map(lambda a, b: np.square(a - b).sum(), params, PARAMS)
    return np.sqrt(sum(jax.tree.leaves(squares)))


@pytest.mark.parametrize("gradient, norm", [(1.0, 2.0), (0.1, np.sqrt(10) / 10)])
def test_a_gradient_longer_than_clip_norm_is_scaled_to_it(gradient, norm):
    [(moved, _)] = walk(make(clip_norm=2.0), [gradient])  # ten numbers in all
    np.testing.assert_allclose(length(moved), 0.5 * norm, rtol=1e-5)


def test_clip_norm_zero_is_off():
    assert scales(make(clip_norm=0.0), [100.0]) == [-48]


def test_the_rate_that_is_logged_is_the_rate_that_is_used():
    schedule = {"name": "linear", "warmup": "1%", "floor": 0.5}
    optimizer = make(schedule=schedule)
    found = -np.diff([2.0, *scales(optimizer, [1.0] * 4)])
    np.testing.assert_allclose(found, [0, 0.25, 0.5, 0.5 - 0.25 / 198], rtol=1e-5)
    rates = [optimizer.rate(step) for step in range(4)]
    np.testing.assert_allclose(rates, found, rtol=1e-5)


@pytest.mark.parametrize(
    "accumulate, base, rate",
    [(1, 0, 0.5), (4, 0, 0.5), (1, 16, 0.25), (1, 8, 0.5), (4, 16, 1.0), (3, 8, 1.5)],
)
def test_the_rate_is_linear_in_the_faces_of_an_update(accumulate, base, rate):
    optimizer = make(accumulate=accumulate, base_batch_size=base)
    np.testing.assert_allclose(optimizer.rate(7), rate, rtol=1e-6)
    moved = scales(optimizer, [1.0] * accumulate)[-1]
    np.testing.assert_allclose(moved, 2 - rate, rtol=1e-6)


def test_accumulated_gradients_move_once_by_their_mean():
    optimizer = make(accumulate=4, options=MOMENTUM)
    found = scales(optimizer, [1.0, 2.0, 3.0, 6.0, 1.0, 1.0, 1.0, 1.0])
    first, second = 2 - 0.5 * 1.9 * 3, 2 - 0.5 * (1.9 * 3 + 1.9 + 0.81 * 3)
    np.testing.assert_allclose(found, [2] * 3 + [first] * 4 + [second], rtol=1e-6)


def test_accumulation_clips_the_mean_not_each_gradient():
    found = scales(make(accumulate=2, clip_norm=1.0), [10.0, -9.8])[-1]
    np.testing.assert_allclose(found, 2 - 0.5 * 0.1, rtol=1e-4)


def test_an_accumulating_schedule_counts_updates():
    schedule = {"name": "linear", "warmup": "8 epochs"}  # 50 updates of 16 faces
    optimizer = make(schedule=schedule, accumulate=2)
    steps = [0, 1, 2, 49, 50, 51, 99, 100, 101, 150, 151, 199, 200]
    updates = np.array([0, 0, 1, 24, 25, 25, 49, 50, 50, 75, 75, 99, 100])
    expected = 0.5 * np.minimum(updates / 50, (100 - updates) / 50)
    found = [optimizer.rate(jnp.int32(step)) for step in steps]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    moved = scales(optimizer, [1.0] * 6)
    np.testing.assert_allclose(moved, [2, 2, 2, 1.99, 1.99, 1.97], rtol=1e-6)


@pytest.mark.parametrize("every, pull", [(2, 0.5), (3, 0.25)])
def test_lookahead_pulls_back_slow_parameters_that_follow(every, pull):
    lookahead = {"every": every, "pull": pull}
    gradients = [1.0, -0.5, 2.0, 0.25, -1.0, 3.0]
    found = scales(make(lookahead=lookahead, options=MOMENTUM), gradients)
    slow = fast = 2.0
    momentum, expected = 0.0, []
    for count, g in enumerate(gradients, 1):
        momentum = 0.9 * momentum + g
        fast -= 0.5 * (g + 0.9 * momentum)
        if count % every == 0:
            slow = fast = slow + pull * (fast - slow)
        expected.append(fast)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("lookahead", [None, {"every": 2}])
@pytest.mark.parametrize("name", ["sgd", "adamw", "lion", "lamb", "muon"])
def test_a_factor_of_zero_freezes_to_the_bit(name, lookahead):
    optimizer = make(
        name=name,
        options={},
        weight_decay=0.1,
        groups=(("conv", 0.0),),
        lookahead=lookahead,
    )
    moved, _ = walk(optimizer, [0.3, -0.7, 1.1, 0.2])[-1]
    for part, start in PARAMS["conv"].items():
        np.testing.assert_array_equal(moved["conv"][part], start)
    assert (moved["norm"]["scale"] != 2).all()


@pytest.mark.parametrize(
    "fields", [{"ema_decay": 0.9}, {"groups": (("conv", 0.0),)}, {"lookahead": {}}]
)
def test_schedule_free_goes_alone(fields):
    """A group's factor would not reach the average, and a pull would shift it."""
    with pytest.raises(Mistake, match="goes without config.optim.ema_decay, groups"):
        make(name="schedule_free", options={}, **fields)


def test_a_factor_scales_the_first_group_that_matches():
    groups = (("^conv/k", 0.5), ("conv", 0.25), ("bias|kernel", 9.0))
    optimizer = make(options=MOMENTUM, weight_decay=0.1, groups=groups)
    [(moved, _)] = walk(optimizer, [1.0])
    step = 0.5 * 1.9  # and a kernel's gradient is 1 + 0.1 * 2 with its decay
    np.testing.assert_allclose(moved["conv"]["kernel"], 2 - 0.5 * 1.2 * step, rtol=1e-6)
    np.testing.assert_allclose(moved["conv"]["bias"], 2 - 0.25 * step, rtol=1e-6)
    np.testing.assert_allclose(moved["norm"]["scale"], 2 - step, rtol=1e-6)


def test_a_group_that_matches_nothing_is_named():
    optimizer = make(groups=(("conv", 0.5), ("trnk/", 0.0)))
    with pytest.raises(Mistake) as error:
        optimizer.tx.init(PARAMS | {"head": {"kernel": jnp.ones((2, 2))}})
    assert str(error.value) == (
        "config.optim.groups has 'trnk/', which matches no parameter of 4, "
        "such as conv/bias, conv/kernel, head/kernel"
    )


@pytest.mark.parametrize(
    "step, decay", [(0, 0.1), (8, 0.5), (80, 0.9), (81, 0.9), (10**6, 0.9)]
)
def test_the_averages_decay_warms_up(step, decay):
    found = optim.warmed_decay(0.9, jnp.int32(step))
    np.testing.assert_allclose(found, decay, rtol=1e-6)


def test_the_average_forgets_its_start_as_one_over_a_binomial():
    optimizer = make(ema_decay=0.999)
    average, now = {"params": jnp.zeros(2)}, {"params": jnp.ones(2)}
    for n in range(6):  # what is left is the product of (1 + n) / (10 + n)
        average = optimizer.average(average, now, None, jnp.int32(n))
        left = 1 / comb(n + 10, 9)
        np.testing.assert_allclose(average["params"], 1 - left, rtol=1e-6)
    for late in map(jnp.int32, range(10**5, 10**5 + 3)):
        average = optimizer.average(average, {"params": jnp.zeros(2)}, None, late)
    expected = (1 - left) * 0.999**3
    np.testing.assert_allclose(average["params"], expected, rtol=1e-6)


def test_without_a_decay_nothing_is_averaged():
    assert not make().averages and make(ema_decay=0.9).averages
    assert make().average({}, {"params": PARAMS}, None, jnp.int32(3)) == {}


OPTIONS, SCHEDULE = "config.optim.options", "config.optim.schedule"


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"name": "sdg"}, "unknown optimizer 'sdg'; did you mean sgd? (known: sgd, ad"),
        (
            {"options": {"momentun": 0.9}},
            f"unknown field of {OPTIONS} 'momentun'; did you mean momentum?",
        ),
        (
            {"name": "muon", "options": {"momentum": 0.9}},
            f"unknown field of {OPTIONS} 'momentum' (known: beta, adam_scale)",
        ),
        (
            {"schedule": {"name": "cosin"}},
            "unknown schedule 'cosin'; did you mean cosine? (known: cosine, linear, ",
        ),
        (
            {"schedule": {"name": "cosine", "flor": 0.1}},
            f"unknown field of {SCHEDULE} 'flor'; did you mean floor?",
        ),
        ({"schedule": {"warmup": 0}}, "unknown schedule ''"),
        ({"schedule": {"name": "constant", "warmup": "soon"}}, "'soon' is no duration"),
        ({"accumulate": 0}, "config.optim.accumulate is 0, must be at least 1"),
        (
            {"lookahead": {"evry": 5}},
            "unknown field of config.optim.lookahead 'evry'; did you mean every?",
        ),
        ({"lookahead": {"every": 0}}, "lookahead.every is 0, must be at least 1"),
        ({"groups": (("(", 0.0),)}, "config.optim.groups has '(': missing )"),
        ({"groups": (("trunk", -1.0),)}, "config.optim.groups has -1.0, must be at"),
        ({"lookahead": {"pull": 0.0}}, "lookahead.pull is 0.0, must be in (0, 1]"),
        ({"lookahead": {"pull": 1.5}}, "lookahead.pull is 1.5, must be in (0, 1]"),
        ({"options": {"momentum": 1.0}}, f"{OPTIONS}.momentum is 1.0, not in [0, 1)"),
        (
            {"name": "adamw", "options": {"b2": 1.0}},
            f"{OPTIONS}.b2 is 1.0, not in [0, 1)",
        ),
        (
            {"name": "muon", "options": {"beta": 1.0}},
            f"{OPTIONS}.beta is 1.0, not in [0, 1)",
        ),
        (
            {"name": "schedule_free", "options": {"b1": 0.0}},
            f"{OPTIONS}.b1 is 0.0, not in (0, 1)",
        ),
    ],
)
def test_a_wrong_field_is_told_with_the_nearest_right_one(fields, sentence):
    with pytest.raises(Mistake) as error:
        make(**fields)
    assert sentence in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("field", ["momentum", "decay", "b1", "b3", "beta", "beta2"])
def test_a_decay_is_below_1_in_whichever_optimizer(field):
    optim.check_decays("newest", {field: 0.9, "decay_steps": 5, "block": 8})
    optim.check_decays("newest", {field: None})
    with pytest.raises(Mistake, match=f"options.{field} is 1.0, not in"):
        optim.check_decays("newest", {field: 1.0})


def test_accumulating_more_steps_than_the_run_has_is_a_mistake():
    with pytest.raises(Mistake, match="accumulate"):
        make(accumulate=201, schedule={"name": "one_cycle"})
    make(accumulate=200, schedule={"name": "one_cycle"})


@pytest.mark.parametrize(
    "field, value",
    [("learning_rate", -0.1), ("weight_decay", -1.0), ("clip_norm", -1.0)]
    + [("base_batch_size", -8), ("ema_decay", 1.0), ("ema_decay", -0.5)],
)
def test_a_number_out_of_its_range_is_a_mistake(field, value):
    given = {"name": "sgd", "learning_rate": 0.1, "options": {}}
    given["schedule"] = {"name": "constant"}
    with pytest.raises(Mistake, match=f"config.optim.{field} is {value}, must be"):
        optim.make_optimizer(Plan(8, 20, 20, 5.0), **given | {field: value})
