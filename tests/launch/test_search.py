"""Laws of the search: nothing is lost, poor recipes are left, spaces are tables."""

import time
import warnings
from types import SimpleNamespace

import pytest
import search as searching
import spaces

from emotion_jax import cli

optuna = pytest.importorskip("optuna", reason="needs the extra sweep")
SPACE = {"a": [1, 2, 3, 4, 5, 6, 7, 8, 9], "b": (0.0, 1.0)}


class Benches:
    """Stands for a training: the value is the recipe's `a`; told what was asked."""

    def __init__(self, stop_at: int = 10**9):
        self.made, self.stop_at = [], stop_at

    def __call__(self, recipe, number: int):
        def run(seed: int) -> dict:
            if len(self.made) == self.stop_at:
                raise KeyboardInterrupt
            self.made.append((tuple(recipe.items()), seed))
            return {"value": float(recipe["a"])}

        return SimpleNamespace(run=run)


def search(folder, benches, clock=None, **limits) -> list:
    """A search in this folder; all its trials."""
    with searching.open_study(folder, "a", "emotion/accuracy") as study:
        clock = clock or searching.Clock(0)
        searching.search(study, SPACE, benches, clock, **{"seeds": 2, **limits})
        return study.get_trials()


def states(trials) -> list[str]:
    return [trial.state.name for trial in trials]


def test_an_interrupted_search_goes_on_to_its_number_of_recipes(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, first := Benches(stop_at=5), trials=6)
    trials = search(tmp_path, benches := Benches(), trials=6)
    assert states(trials).count("COMPLETE") == 6
    assert len(benches.made) == 2 * 4  # two recipes were done
    assert [recipe for recipe, _ in benches.made[:2]] == [first.made[4][0]] * 2
    assert search(tmp_path, again := Benches(), trials=6) and not again.made


def test_what_a_dead_process_had_begun_is_begun_again(tmp_path, monkeypatch):
    monkeypatch.setattr(searching, "DEAD_AFTER_S", 1)
    with searching.open_study(tmp_path, "a", "emotion/accuracy") as study:
        warnings.simplefilter("ignore", UserWarning)  # that only `optimize` beats
        trial = study.ask()
        lost = spaces.draw(trial, SPACE)
        study._storage.record_heartbeat(trial._trial_id)  # its last sign of life
    time.sleep(2.1)  # SQLite counts whole seconds
    trials = search(tmp_path, benches := Benches(), trials=1)
    assert states(trials) == ["FAIL", "COMPLETE"]
    assert benches.made == [(tuple(lost.items()), 0), (tuple(lost.items()), 1)]


def test_time_ends_a_search_between_runs_and_the_next_start_makes_the_rest(tmp_path):
    clock = searching.Clock(1.0)
    clock.longest = 25.0  # of the minute's 60 s: two runs, and one to spare
    trials = search(tmp_path, benches := Benches(), clock, trials=9, spare=2)
    assert not benches.made and states(trials) == ["FAIL", "WAITING"]
    search(tmp_path, benches, trials=1)
    labels = {
        "a": str(dict(benches.made[0][0])["a"]),
        "b": dict(benches.made[0][0])["b"],
    }
    assert labels == trials[0].params


def test_a_recipe_whose_first_seed_is_poor_gets_no_second(tmp_path):
    made = []

    def bench(recipe, number):  # each is worse than all before
        return SimpleNamespace(
            run=lambda seed: made.append(number) or {"value": -float(number)}
        )

    trials = search(tmp_path, bench, trials=8)
    assert states(trials) == ["COMPLETE"] * 6 + ["PRUNED"] * 2
    assert made == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7]


def test_a_recipe_that_diverges_ends_itself_alone(tmp_path):
    def bench(recipe, number):
        value = None if number == 0 else 1.0
        return SimpleNamespace(run=lambda seed: {"value": value})

    assert states(search(tmp_path, bench, trials=2)) == ["PRUNED", "COMPLETE"]


def test_two_searches_at_once_share_their_recipes(tmp_path):
    trials = search(tmp_path, Benches(), trials=8, jobs=4)
    done = [trial for trial in trials if trial.state.is_finished()]
    assert 8 <= len(done) <= 11  # those that were under way come to their end
    assert {trial.number for trial in trials} == set(range(len(trials)))


def test_a_clock_leaves_a_minute_to_runs_as_long_as_the_longest(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(searching, "time", SimpleNamespace(monotonic=lambda: now[0]))
    clock = searching.Clock(1.0)
    for seconds in (20.0, 5.0, 15.0):
        with clock.run(0):
            now[0] += seconds
    with clock.run(0):  # of 60 s 20 are left
        now[0] += 1
    with pytest.raises(searching.OutOfTime), clock.run(0):
        pass


@pytest.mark.parametrize(
    "metric, way", [("emotion/accuracy", "MAXIMIZE"), ("keypoints/rmse_px", "MINIMIZE")]
)
def test_a_search_knows_which_way_is_better(tmp_path, metric, way):
    with searching.open_study(tmp_path, "a", metric) as study:
        assert study.direction.name == way


def test_what_makes_the_difference_is_told_once_some_recipes_are_done(tmp_path):
    pytest.importorskip("sklearn")
    for trials, fields in ((5, set()), (6, set(SPACE))):
        search(tmp_path, Benches(), trials=trials)
        with searching.open_study(tmp_path, "a", "emotion/accuracy") as study:
            assert set(searching.importance(study)) == fields


def test_a_space_gives_a_recipe_of_the_fields_that_it_names():
    space = {
        "model.blocks": [(1, 1), (2, 2)],
        "model.dropout": (0.0, 0.5),
        "train.batch_size": (16, 64),
        "optim.name": {"sgd": {"optim.learning_rate": (0.01, 1.0, "log")}, "lion": {}},
        "(mixing)": {"none": {}, "mixup": {"augment.mixup.probability": 0.3}},
    }
    given = {"model.blocks": "(2, 2)", "model.dropout": 0.25, "train.batch_size": 48}
    given |= {"optim.name": "sgd", "sgd optim.learning_rate": 0.1, "(mixing)": "mixup"}
    assert spaces.draw(optuna.trial.FixedTrial(given), space) == {
        "model.blocks": (2, 2),
        "model.dropout": 0.25,
        "train.batch_size": 48,
        "optim.name": "sgd",
        "optim.learning_rate": 0.1,
        "augment.mixup.probability": 0.3,
    }


def test_a_range_is_of_whole_numbers_or_not_and_even_or_in_the_logarithm():
    space = {"a": (1, 64, "log"), "b": (1, 64), "c": (0.1, 1.0, "log"), "d": (1, 2.5)}
    trial = optuna.trial.FixedTrial({"a": 8, "b": 8, "c": 0.5, "d": 1.5})
    spaces.draw(trial, space)
    found = {n: (type(d).__name__[:3], d.log) for n, d in trial.distributions.items()}
    assert found == {
        **{"a": ("Int", True), "b": ("Int", False)},
        **{"c": ("Flo", True), "d": ("Flo", False)},
    }


def test_corners_are_every_choice_and_both_ends():
    space = {"a": [1, 2], "b": (0.1, 0.5, "log"), "(c)": {"x": {}, "y": {"d": 3}}}
    found = [{"a": 1}, {"a": 2}, {"b": 0.1}, {"b": 0.5}, {}, {"d": 3}]
    assert spaces.corners(space) == found


def test_two_tasks_are_also_searched_for_their_balance():
    one, two = {"emotion": {}}, {"emotion": {}, "keypoints": {}}
    assert "both" not in spaces.default_names(one)
    assert spaces.default_names(two)[-3:] == ["emotion", "keypoints", "both"]


@pytest.mark.parametrize(
    "line", [[], 3, (2, 1), (0.0, 1.0, "log"), {"a": 1}, (1, 2, 3)]
)
def test_a_line_of_a_space_that_is_no_dimension_is_told(line, tmp_path):
    file = tmp_path / "space.txt"
    file.write_text(repr({"model.width": line}))
    with pytest.raises(cli.Mistake, match="expected \\[choices\\]"):
        spaces.space_of([str(file)])
