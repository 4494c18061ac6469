"""Laws of a trial: it is its config's run, and one compilation serves all seeds."""

import jax
import numpy as np
import pytest
import tiny

from emotion_jax import checkpoint
from emotion_jax.data.sections import load_train_and_val
from emotion_jax.sharding import make_mesh
from emotion_jax.tasks import make_tasks
from emotion_jax.train import train_and_evaluate
from emotion_jax.trial import Trial

CONFIG = tiny.config(**{"train.steps": 4})


@pytest.fixture(scope="module")
def trial():
    train, _ = load_train_and_val(make_tasks(CONFIG.tasks), **CONFIG.data)
    return Trial(CONFIG, train["synthetic"])


def test_a_trial_is_the_run_of_its_config(trial, tmp_path):
    train_and_evaluate(CONFIG, tmp_path)
    _, _, expected = checkpoint.read(str(tmp_path / "checkpoints" / "4"), make_mesh())
    found = trial.run(CONFIG.seed).variables
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        found,
        dict(expected),
    )


def test_a_seed_repeats_to_the_bit_another_differs_and_nothing_compiles_again(trial):
    one, again, other = (trial.run(seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.loss, again.loss)
    assert one.loss.shape == (4,) and np.isfinite(one.loss).all()
    assert not np.array_equal(one.loss, other.loss)
    for function in (trial.step, trial.begin, trial.draw):
        assert function._cache_size() == 1


def test_a_seed_draws_the_parameters_and_the_order_of_the_faces(trial):
    rows = [np.array(next(trial.feed_of(seed).batches(0))[1]["row"]) for seed in (1, 2)]
    assert not np.array_equal(*rows)
    kernels = [trial.first(seed).params["trunk"]["stem"]["kernel"] for seed in (1, 2)]
    assert not np.array_equal(*kernels)


def test_a_trial_starts_from_the_checkpoint_that_its_config_names(tmp_path):
    workdir = str(tiny.untrained(tmp_path))
    config = tiny.config(**{"train.steps": 4, "init_from": workdir})
    train, _ = load_train_and_val(make_tasks(config.tasks), **config.data)
    first = Trial(config, train["synthetic"]).first(1)
    _, _, there = checkpoint.read(workdir, make_mesh())
    jax.tree.map(np.testing.assert_array_equal, first.params, dict(there["params"]))
