"""Laws of a run that ends once its score has not become better for long enough."""

import shutil

import pytest
import tiny
from tiny import done_of, log_of

from emotion_jax.checkpoint import Checkpoints
from emotion_jax.train import train_and_evaluate

SCORES = [0.5, 0.7, 0.6, 0.65, 0.6, 0.9, 0.9, 0.9]  # of steps 1 to 8


@pytest.fixture(scope="module", autouse=True)
def scores():
    """Scores the evaluation of the n-th step as the n-th of these, now and later."""
    known = {}

    def score(self, numbers):
        value = numbers[self.best]
        if value not in known:
            known[value] = SCORES[len(known)]
        return known[value]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "score", score)
        yield


def config(patience="3", **fields):
    every = {"eval.every": "1", "checkpoint.best": "emotion/nll"}
    return tiny.config(**every, **{"eval.patience": patience}, **fields)


@pytest.fixture(scope="module")
def early(tmp_path_factory):
    """A run that ends at step 5, as none is better than step 2."""
    workdir = tmp_path_factory.mktemp("runs") / "early"
    train_and_evaluate(config(), workdir)
    return workdir


def test_a_run_ends_once_its_best_score_is_old(early, capsys):
    assert done_of(early)["step"] == 5 == log_of(early)[-1]["step"]
    assert {p.name for p in (early / "checkpoints").iterdir()} == {"2", "4", "5"}
    train_and_evaluate(config(), early)
    assert "is done" in capsys.readouterr().err


def test_a_run_that_was_stopped_ends_at_the_same_step(early, tmp_path, capsys):
    train_and_evaluate(config(stop_at=3), tmp_path)
    train_and_evaluate(config(), tmp_path)
    told = capsys.readouterr().err
    assert "no emotion/nll on val is better than that of step 2: the run ends" in told
    assert done_of(tmp_path) == done_of(early)
    assert log_of(tmp_path) == log_of(early)


def test_a_run_killed_at_its_very_end_takes_no_further_step(early, tmp_path):
    run = shutil.copytree(early, tmp_path / "run")
    (run / "done.json").unlink()
    train_and_evaluate(config(), run)
    assert done_of(run) == done_of(early)
    assert log_of(run) == log_of(early)


def test_with_more_patience_an_ended_run_goes_on(early, tmp_path):
    run = shutil.copytree(early, tmp_path / "run")
    train_and_evaluate(config(patience="4"), run)
    assert done_of(run)["step"] == 8
