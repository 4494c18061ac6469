"""Laws of soft labels in a run: trained on as voted, measured against the original."""

import contextlib
import io

import numpy as np
import pytest
import tiny

from emotion_jax import evaluate, train
from emotion_jax.cli import run
from emotion_jax.data.votes import COLUMNS

CONFIG = """
import tiny

def get_config():
    config = tiny.config(**{"train.steps": 2, "train.batch_size": 32})
    config.data.sources = {"fer2013": {"path": ""}}
    config.tasks = {"emotion": {"label_smoothing": 0.1}}
    config.augment = {"flip": {}, "mixup": {}}
    config.feed.balance = {"emotion": 0.5}
    return config
"""


@pytest.fixture(scope="module")
def voted(tmp_path_factory):
    """Sixty faces, two of Training in the test too, and votes on them.

    Seven are for a face's label and three for neutral.
    """
    folder = tmp_path_factory.mktemp("voted")
    rng = np.random.default_rng(0)
    faces = [" ".join(map(str, rng.integers(0, 256, 576))) for _ in range(60)]
    faces[:2] = faces[-2:]
    table, votes = ["emotion,pixels,Usage"], [",".join(["Usage", *COLUMNS])]
    for i, face in enumerate(faces):
        label, usage = (0, 1, 3, 4, 5)[i % 5], "Training" if i < 50 else "PublicTest"
        table.append(f"{label},{face},{usage}")
        counts = dict.fromkeys(COLUMNS, 0) | {"neutral": 3, COLUMNS[label]: 7}
        votes.append(",".join([usage, *map(str, counts.values())]))
    (folder / "fer2013.csv").write_text("\n".join(table))
    (folder / "plus.csv").write_text("\n".join(votes))
    (folder / "config.py").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def finished(voted, tmp_path_factory):
    """A run of two steps with all that reads labels switched on; what it told."""
    workdir, told = tmp_path_factory.mktemp("runs") / "run", io.StringIO()
    args = ["--config", str(voted / "config.py"), "--workdir", str(workdir)]
    args += ["--data", f"fer2013={voted / 'fer2013.csv'}"]
    section = "--config.data.sources.fer2013"
    args += [f"{section}.votes={voted / 'plus.csv'}", f"{section}.labels=distribution"]
    with contextlib.redirect_stderr(told):
        assert run(train.main, args) == 0
    return workdir, told.getvalue()


@pytest.fixture
def workdir(finished):
    return finished[0]


def test_a_run_trains_on_the_votes_with_everything_on(workdir):
    losses = tiny.losses_of(workdir)
    assert len(losses) == 2 and np.isfinite(losses).all()


def test_a_run_says_its_labels_and_its_twins_in_a_test_split(finished):
    told = finished[1].splitlines()
    train, warning, val = told[1:4]
    assert train.endswith("faces, labels FER+ distribution")
    assert warning.startswith("warning: 2 of them have a twin in a held-out split")
    assert val.startswith("val: ") and val.endswith(" faces")


@pytest.mark.parametrize(
    "flags, labels", [([], "original"), (["--labels", "trained"], "FER+ distribution")]
)
def test_an_evaluation_says_which_labels_it_is_against(
    workdir, tmp_path, capsys, flags, labels
):
    args = ["--checkpoint", str(workdir), "--out", str(tmp_path), *flags]
    assert run(evaluate.main, args) == 0
    found = tiny.metrics_of(tmp_path)
    assert found["labels"] == labels and found["emotion/n"] == 10
    assert ("labels FER+ distribution" in capsys.readouterr().out) == bool(flags)


def test_the_original_labels_need_no_votes(voted, workdir, tmp_path):
    kept = voted / "plus.csv"
    gone = kept.rename(voted / "gone.csv")
    args = ["--checkpoint", str(workdir), "--out", str(tmp_path / "out")]
    assert run(evaluate.main, args) == 0
    assert run(evaluate.main, [*args[:2], "--labels", "trained"]) == 2
    gone.rename(kept)


def test_labels_that_a_run_was_not_trained_on_are_a_mistake(
    voted, workdir, tmp_path, capsys
):
    other = voted / "other.csv"
    other.write_text((voted / "fer2013.csv").read_text())
    args = ["--checkpoint", str(workdir), "--labels", "trained"]
    args += ["--data", f"fer2013={other}", "--out", str(tmp_path / "out")]
    assert run(evaluate.main, args) == 2
    told = "--labels trained: the run's votes belong to its own file: leave --data out"
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
