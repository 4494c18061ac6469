"""Laws of the durations and of how long a run is."""

import pytest

from emotion_jax.errors import Mistake
from emotion_jax.plan import Patience, Plan, make_plan

PLAN = Plan(batch_size=8, total=200, stop=200, epoch=12.5)


@pytest.mark.parametrize(
    "duration, steps",
    [
        (500, 500),
        (500.0, 500),
        ("500", 500),
        (" 500 steps ", 500),
        ("1 step", 1),
        ("5%", 10),
        ("5 %", 10),
        ("0.5%", 1),
        ("100%", 200),
        ("2 epochs", 25),
        ("2epochs", 25),
        ("1 epoch", 12),
        ("3 epochs", 38),  # of 37.5
        ("0.5 epochs", 6),
        (0, 0),
    ],
)
def test_a_duration_in_steps(duration, steps):
    assert PLAN.to_steps(duration, "log.every") == steps


@pytest.mark.parametrize(
    "duration",
    [
        "soon",
        "",
        "-5",
        -5,
        "5 hours",
        "1.2.3",
        "epochs",
        "%5",
        "nan",
        ".",
        2**31,
        "9" * 400,
        "300%",  # of a run there is no more than all
        0.1,  # "10%" was meant
        "1.5 steps",
    ],
)
def test_what_is_no_duration_is_a_mistake(duration):
    with pytest.raises(Mistake, match="is no duration; write 500, '5%' or '2 epochs'"):
        PLAN.to_steps(duration, "log.every")


def test_a_cadence_is_at_least_one():
    assert (
        PLAN.every("0.1%", "log.every") == 1
        and PLAN.every(0, "log.every") == 1
        and PLAN.every(7, "log.every") == 7
    )


def test_an_accumulated_plan_counts_updates_of_larger_batches():
    plan = Plan(batch_size=8, total=203, stop=101, epoch=12.5).accumulated(4)
    assert plan == Plan(batch_size=32, total=50, stop=25, epoch=3.125)
    assert [plan.to_steps(d, "log.every") for d in ("10%", "2 epochs", 7)] == [5, 6, 7]


def test_a_plan_accumulated_once_is_itself():
    assert PLAN.accumulated(1) == PLAN


def test_epochs_count_the_faces_of_all_sources():
    train = {"a": range(60), "b": range(40)}
    plan = make_plan(train, 0, batch_size=8, epochs=3.0)
    assert plan == Plan(batch_size=8, total=38, stop=38, epoch=12.5)


def test_steps_win_over_epochs():
    plan = make_plan({"a": range(80)}, 0, batch_size=8, steps=7, epochs=3.0)
    assert plan.total == plan.stop == 7


@pytest.mark.parametrize("stop_at, stop", [(0, 20), (5, 5), (20, 20), (99, 20)])
def test_stop_at_ends_the_run_and_leaves_its_length(stop_at, stop):
    plan = make_plan({"a": range(80)}, stop_at, batch_size=8, steps=20)
    assert (plan.total, plan.stop) == (20, stop)


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"batch_size": 0, "steps": 5}, "config.train.batch_size is 0, must be at le"),
        ({"batch_size": 8}, "needs steps or epochs above 0, got steps=0, epochs=0.0"),
        ({"batch_size": 8, "steps": -1}, "needs steps or epochs above 0, got steps=-1"),
        ({"batch_size": 8, "epochs": -1.0}, "needs steps or epochs above 0"),
        ({"batch_size": 8, "epochs": 0.01}, "needs steps or epochs above 0"),
    ],
)
def test_a_run_of_no_length_is_a_mistake(fields, sentence):
    with pytest.raises(Mistake, match=sentence):
        make_plan({"a": range(80)}, 0, **fields)


def test_a_negative_stop_at_is_a_mistake():
    with pytest.raises(Mistake, match="config.stop_at is -3"):
        make_plan({"a": range(80)}, -3, batch_size=8, steps=20)


@pytest.mark.parametrize(
    "fields",
    [{"steps": 2**31}, {"epochs": 1e30}, {"steps": 5, "batch_size": 65_537}],
)
def test_a_run_that_no_device_could_count_is_a_mistake(fields):
    with pytest.raises(Mistake, match=r"than 2\^31$|at most 65536$"):
        make_plan({"a": range(60)}, 0, **{"batch_size": 8} | fields)


def patient(steps: int, scores: list[float]) -> Patience:
    made = Patience(steps)
    for step, score in enumerate(scores, 1):
        made.take(step, score)
    return made


@pytest.mark.parametrize(
    "steps, scores, best, over",
    [
        (2, [0.1, 0.3, 0.2], 2, False),
        (2, [0.1, 0.3, 0.2, 0.1], 2, True),
        (2, [0.1, 0.3, 0.3, 0.3], 2, True),  # as good is not better
        (2, [0.1, 0.3, 0.2, 0.4], 4, False),
        (2, [-1.3, -1.2, -1.4], 2, False),  # a keypoint error, turned round
        (0, [0.3] * 9, 1, False),
    ],
)
def test_patience_ends_once_the_best_is_old(steps, scores, best, over):
    made = patient(steps, scores)
    assert (made.best, made.over) == (best, over)


def test_steps_go_on_until_patience_ends():
    made, done = Patience(3), []
    for step in made.through(range(1, 9)):
        made.take(step, 0.5)
        done.append(step)
    assert done == [1, 2, 3, 4]
    assert list(made.through(range(5, 9))) == []
