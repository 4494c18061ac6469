"""Laws of the rate, the decay and the durations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emotion_jax import optim
from emotion_jax.errors import Mistake
from emotion_jax.optim import Plan

PLAN = Plan(batch_size=8, total=200, stop=200, epoch=12.5)
OPTIM = {
    "name": "sgd",
    "learning_rate": 0.5,
    "schedule": {"name": "constant", "warmup": 0},
    "options": {"momentum": 0.0},
}
PARAMS = {
    "conv": {"kernel": jnp.full((3, 2), 2.0), "bias": jnp.full(2, 2.0)},
    "norm": {"scale": jnp.full(2, 2.0)},
}


def make(**fields):
    return optim.make_optimizer(PLAN, **(OPTIM | fields))


def one_update(optimizer, gradient):
    """What one step adds to PARAMS, if each number has this gradient."""
    gradients = {
        module: {name: jnp.full_like(value, gradient) for name, value in named.items()}
        for module, named in PARAMS.items()
    }
    return optimizer.tx.update(gradients, optimizer.tx.init(PARAMS), PARAMS)[0]


def test_cosine_goes_from_zero_to_the_peak_to_the_floor():
    rate = optim.cosine(0.8, total=100, warmup=20, floor=0.25)
    assert rate(0) == 0
    np.testing.assert_allclose(rate(5), 0.8 / 4, rtol=1e-6)
    np.testing.assert_allclose(rate(20), 0.8, rtol=1e-6)
    np.testing.assert_allclose(rate(60), (0.8 + 0.2) / 2, rtol=1e-6)
    np.testing.assert_allclose(
        rate(40), 0.2 + 0.6 * (1 + np.cos(np.pi / 4)) / 2, rtol=1e-6
    )
    np.testing.assert_allclose(rate(100), 0.2, rtol=1e-6)
    np.testing.assert_allclose(rate(150), 0.2, rtol=1e-6)


def test_cosine_without_warmup_starts_at_the_peak_and_ends_at_zero():
    rate = optim.cosine(0.8, total=100, warmup=0)
    np.testing.assert_allclose([rate(0), rate(50)], [0.8, 0.4], rtol=1e-6)
    np.testing.assert_allclose(rate(100), 0, atol=1e-7)


def test_a_warmup_longer_than_the_run_is_cut_off_by_its_end():
    rate = optim.cosine(0.8, total=10, warmup=40)
    np.testing.assert_allclose(rate(10), 0.2, rtol=1e-6)


def test_constant_goes_from_zero_to_the_peak_and_stays():
    rate = optim.constant(0.8, total=100, warmup=20)
    np.testing.assert_allclose(
        [rate(s) for s in (0, 10, 20, 99)], [0, 0.4, 0.8, 0.8], rtol=1e-6
    )
    assert optim.constant(0.8, total=100, warmup=0)(0) == jnp.float32(0.8)


@pytest.mark.parametrize(
    "duration, steps",
    [
        (500, 500),
        (500.0, 500),
        ("500", 500),
        ("500 steps", 500),
        ("1 step", 1),
        ("5%", 10),
        ("5 %", 10),
        ("0.5%", 1),
        ("2 epochs", 25),
        ("1 epoch", 12),
        ("0.5 epochs", 6),
        (0, 0),
    ],
)
def test_a_duration_in_steps(duration, steps):
    assert PLAN.to_steps(duration) == steps


@pytest.mark.parametrize(
    "duration", ["soon", "", "-5", -5, "5 hours", "1.2.3", "epochs", "%5", "nan", "."]
)
def test_what_is_no_duration_is_a_mistake(duration):
    with pytest.raises(Mistake, match="is no duration; write 500, '5%' or '2 epochs'"):
        PLAN.to_steps(duration)


def test_a_cadence_is_at_least_one():
    assert PLAN.every("0.1%") == 1 and PLAN.every(0) == 1 and PLAN.every(7) == 7


def test_epochs_count_the_faces_of_all_sources():
    train = {"a": range(60), "b": range(40)}
    plan = optim.make_plan(train, 0, batch_size=8, epochs=3.0)
    assert plan == Plan(batch_size=8, total=38, stop=38, epoch=12.5)


def test_steps_win_over_epochs():
    plan = optim.make_plan({"a": range(80)}, 0, batch_size=8, steps=7, epochs=3.0)
    assert plan.total == plan.stop == 7


@pytest.mark.parametrize("stop_at, stop", [(0, 20), (5, 5), (20, 20), (99, 20)])
def test_stop_at_ends_the_run_and_leaves_its_length(stop_at, stop):
    plan = optim.make_plan({"a": range(80)}, stop_at, batch_size=8, steps=20)
    assert (plan.total, plan.stop) == (20, stop)


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"batch_size": 0, "steps": 5}, "config.train.batch_size is 0, must be at le"),
        ({"batch_size": 8}, "needs steps or epochs above 0, got steps=0, epochs=0.0"),
        ({"batch_size": 8, "steps": -1}, "needs steps or epochs above 0, got steps=-1"),
        ({"batch_size": 8, "epochs": -1.0}, "needs steps or epochs above 0"),
    ],
)
def test_a_run_of_no_length_is_a_mistake(fields, sentence):
    with pytest.raises(Mistake, match=sentence):
        optim.make_plan({"a": range(80)}, 0, **fields)


def test_a_negative_stop_at_is_a_mistake():
    with pytest.raises(Mistake, match="stop_at"):
        optim.make_plan({"a": range(80)}, -3, batch_size=8, steps=20)


@pytest.mark.parametrize("name, options", [("sgd", {"momentum": 0.0}), ("adamw", {})])
def test_only_kernels_decay(name, options):
    moved = one_update(make(name=name, options=options, weight_decay=0.1), 0.0)
    np.testing.assert_allclose(moved["conv"]["kernel"], -0.5 * 0.1 * 2, rtol=1e-6)
    np.testing.assert_array_equal(moved["conv"]["bias"], 0)
    np.testing.assert_array_equal(moved["norm"]["scale"], 0)


def test_sgd_is_nesterovs():
    moved = one_update(make(options={"momentum": 0.9}), 1.0)
    np.testing.assert_allclose(moved["norm"]["scale"], -0.5 * 1.9, rtol=1e-6)


@pytest.mark.parametrize("gradient, norm", [(1.0, 2.0), (0.1, np.sqrt(10) / 10)])
def test_a_gradient_longer_than_clip_norm_is_scaled_to_it(gradient, norm):
    moved = one_update(make(clip_norm=2.0), gradient)  # ten numbers in all
    squares = [np.square(x).sum() for x in jax.tree.leaves(moved)]
    np.testing.assert_allclose(np.sqrt(sum(squares)), 0.5 * norm, rtol=1e-5)


def test_clip_norm_zero_is_off():
    moved = one_update(make(clip_norm=0.0), 100.0)
    np.testing.assert_allclose(moved["norm"]["scale"], -50, rtol=1e-6)


def test_the_rate_that_is_logged_is_the_rate_that_is_used():
    schedule = {"name": "cosine", "warmup": "10%", "floor": 0.1}
    optimizer = make(schedule=schedule, ema_decay=0.99)
    np.testing.assert_allclose(
        [optimizer.rate(s) for s in (0, 20, 200)], [0, 0.5, 0.05], rtol=1e-6
    )
    np.testing.assert_array_equal(one_update(optimizer, 1.0)["norm"]["scale"], 0)
    assert optimizer.ema_decay == 0.99


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"name": "sdg"}, "unknown optimizer 'sdg'; did you mean sgd?"),
        (
            {"options": {"momentun": 0.9}},
            "unknown field of config.optim.options 'momentun'; did you mean momentum?",
        ),
        (
            {"schedule": {"name": "cosin", "warmup": 0}},
            "unknown schedule 'cosin'; did you mean cosine? (known: cosine, constant)",
        ),
        (
            {"schedule": {"name": "cosine", "warmup": 0, "flor": 0.1}},
            "unknown field of config.optim.schedule 'flor'; did you mean floor?",
        ),
        (
            {"schedule": {"name": "cosine"}},
            "config.optim.schedule lacks the field 'warmup'",
        ),
        ({"schedule": {"warmup": 0}}, "unknown schedule ''"),
        ({"schedule": {"name": "constant", "warmup": "soon"}}, "'soon' is no duration"),
    ],
)
def test_a_wrong_field_is_told_with_the_nearest_right_one(fields, sentence):
    with pytest.raises(Mistake) as error:
        make(**fields)
    assert sentence in str(error.value)
