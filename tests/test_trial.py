"""Laws of a trial: it is its config's run, and one compilation serves all seeds."""

import dataclasses

import jax
import numpy as np
import pytest
import tiny

from emotion_jax import checkpoint
from emotion_jax.data.sections import load_train_and_val
from emotion_jax.data.write_csv import write_csv
from emotion_jax.errors import Mistake
from emotion_jax.sharding import make_mesh
from emotion_jax.tasks import make_tasks
from emotion_jax.train import train_and_evaluate
from emotion_jax.trial import Trial


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Two sources, the second of few classes: three quarters of a batch."""
    folder = tmp_path_factory.mktemp("faces")
    write_csv(folder, faces=150, seed=1)
    head, *rows = (folder / "icml_face_data.csv").read_text().splitlines()
    file = folder / "two.csv"
    file.write_text("\n".join([head, *(row for row in rows if row[0] in "03")]))
    made = tiny.config(**{"train.steps": 4})
    made.data.sources.fer2013 = {"path": str(file)}
    made.feed.shares = {"synthetic": 0.25, "fer2013": 0.75}
    made.tasks.emotion.class_weights = "inverse"
    made.model.dropout = 0.2
    return made


@pytest.fixture(scope="module")
def train(config):
    return load_train_and_val(make_tasks(config.tasks), **config.data)[0]


@pytest.fixture(scope="module")
def trial(config, train):
    return Trial(config, train)


def test_a_trial_of_a_seed_is_the_run_of_its_config_with_it(config, trial, tmp_path):
    """Compiled for the config's own seed, which draws all that the binary's draws."""
    other = config.copy_and_resolve_references()
    other.seed = 1
    train_and_evaluate(other, tmp_path)
    _, _, expected = checkpoint.read(str(tmp_path / "checkpoints" / "4"), make_mesh())
    found = trial.run(1).variables
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
    for function in (trial.step, trial.begin):
        assert function._cache_size() == 1


def test_a_seed_draws_the_parameters_and_the_order_of_the_faces(trial):
    rows = [np.array(next(trial.feed_of(seed).batches(0))[1]["row"]) for seed in (1, 2)]
    assert not np.array_equal(*rows)
    kernels = [trial.first(seed).params["trunk"]["stem"]["kernel"] for seed in (1, 2)]
    assert not np.array_equal(*kernels)


def test_weights_level_the_classes_that_batches_have(train, trial):
    labels = np.concatenate([s.faces["labels"]["emotion"] for s in train.values()])
    rows = np.concatenate([trial.feed.order(step)["row"] for step in range(400)])
    found = labels[rows].mean(0) * trial.tasks["emotion"].class_weights
    np.testing.assert_allclose(found, 1 / 5, rtol=0.02)


def test_a_trial_starts_from_the_checkpoint_that_its_config_names(tmp_path):
    workdir = str(tiny.untrained(tmp_path))
    config = tiny.config(**{"train.steps": 4, "init_from": workdir})
    train, _ = load_train_and_val(make_tasks(config.tasks), **config.data)
    first = Trial(config, train["synthetic"]).first(1)
    _, _, there = checkpoint.read(workdir, make_mesh())
    jax.tree.map(np.testing.assert_array_equal, first.params, dict(there["params"]))


def test_a_trial_refuses_a_task_without_labels_as_training_does(config, train):
    split = train["synthetic"]
    nothing = jax.tree.map(np.zeros_like, split.faces["known"])
    split = dataclasses.replace(split, faces=split.faces | {"known": nothing})
    with pytest.raises(Mistake, match="no source has a label for it"):
        Trial(config, split)
