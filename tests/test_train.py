"""Laws of the main job: the same bits after any stop, nothing lost, no TensorFlow."""

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from tiny import done_of, log_of

from emotion_jax import cli, evaluate, meta, scores, train
from emotion_jax.checkpoint import load_meta
from emotion_jax.data.table import concatenate
from emotion_jax.errors import Mistake, Stopped
from emotion_jax.evaluator import restore
from emotion_jax.meta import Meta
from emotion_jax.plan import Plan
from emotion_jax.sharding import make_mesh
from emotion_jax.train import train_and_evaluate


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """Five steps, a restore and three steps, and the report at their end."""
    workdir = tmp_path_factory.mktemp("runs") / "resumed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "finish", evaluate.finish)
        train_and_evaluate(tiny.config(stop_at=5), workdir)
        assert not (workdir / "done.json").exists()
        train_and_evaluate(tiny.config(), workdir)
    return workdir


def test_five_steps_a_restore_and_three_steps_are_eight_bit_for_bit(whole, resumed):
    assert done_of(resumed) == done_of(whole)
    assert done_of(whole)["step"] == 8
    assert log_of(resumed) == log_of(whole)


def test_a_run_that_stop_at_ends_says_so_once(tmp_path, capsys):
    for _ in range(2):
        train_and_evaluate(tiny.config(stop_at=2), tmp_path)
    told = capsys.readouterr().err
    assert told.count("step 2 is saved: config.stop_at ends the run here") == 1
    assert told.count("step 2 of 8 is there: nothing to do") == 1


def test_a_finished_run_whose_checkpoints_are_gone_says_so(whole, tmp_path, capsys):
    copy = shutil.copytree(whole, tmp_path / "run")
    train_and_evaluate(tiny.config(), copy)
    assert "is done: its checkpoints and logs are there" in capsys.readouterr().err
    shutil.rmtree(copy / "checkpoints")
    train_and_evaluate(tiny.config(), copy)
    told = "is done: its checkpoints are gone; to train again, delete its done.json"
    assert told in capsys.readouterr().err


def test_parameters_are_counted_in_whole_numbers(capsys):
    params = {"kernel": np.zeros((2359, 2)), "log_variance": np.zeros(())}
    like, plan = SimpleNamespace(params=params), Plan(8, 20, 20, 5.0)
    train.say_what_runs(like, Meta({}, {}, 24), plan, 0, make_mesh())
    assert "4,719 parameters, batches of 8 on 8 x" in str(capsys.readouterr())


def test_a_kill_between_checkpoints_costs_nothing(whole, tmp_path, monkeypatch):
    """Killed at step 5, two steps after the checkpoint: the log is cut back."""
    flush, killed = train.logs.RunLog.step, []

    def step(self, now, metrics):
        flush(self, now, metrics)
        if now == 6 and not killed:
            killed.append(now)
            raise KeyboardInterrupt

    monkeypatch.setattr(train.logs.RunLog, "step", step)
    with pytest.raises(KeyboardInterrupt):
        train_and_evaluate(tiny.config(), tmp_path)
    assert log_of(tmp_path)[-1]["step"] == 5
    train_and_evaluate(tiny.config(), tmp_path)
    assert done_of(tmp_path) == done_of(whole)
    assert log_of(tmp_path) == log_of(whole)


def test_a_finished_run_is_left_as_it_is(resumed, monkeypatch):
    monkeypatch.setattr(train, "finish", evaluate.finish)
    before = {p: p.stat().st_mtime_ns for p in resumed.rglob("*") if p.is_file()}
    train_and_evaluate(tiny.config(), resumed)
    after = {p: p.stat().st_mtime_ns for p in resumed.rglob("*") if p.is_file()}
    assert after == before


def test_an_evaluated_step_is_saved_with_its_score(whole):
    """Step 8 was evaluated, step 6 only saved."""
    eighth, sixth = (whole / "checkpoints" / step / "metrics" for step in "86")
    score = log_of(whole)[-1]["val/emotion/accuracy"]
    assert json.loads((eighth / "metrics").read_text()) == {"emotion/accuracy": score}
    assert not sixth.exists()


def test_each_checkpoint_has_the_temperature_fitted_with_its_parameters(whole):
    """Whether its step was evaluated (4, 8) or only saved (6)."""
    steps = sorted((whole / "checkpoints").iterdir())
    assert "6" in {folder.name for folder in steps}
    found = []
    for folder in steps:
        restored = restore(str(folder))
        split = concatenate(evaluate.load_splits(restored, [], "val"))
        outputs = restored.evaluator.run(restored.variables, split.faces["image"])
        known = split.faces["known"]["emotion"]
        truth = split.faces["labels"]["emotion"][known].argmax(-1)
        expected = scores.fit_temperature(outputs["emotion"][known], truth)
        fitted = restored.meta.temperature
        assert fitted == {"emotion": pytest.approx(expected, rel=1e-4)}
        found.append(fitted["emotion"])
    assert len(set(found)) == len(found)


def test_a_resumed_run_fits_the_same_temperatures(whole, resumed):
    for step in ("6", "8"):
        mine, theirs = (
            load_meta(workdir / "checkpoints" / step) for workdir in (resumed, whole)
        )
        assert mine.temperature == theirs.temperature != {"emotion": 1}


def test_a_finished_run_has_a_report_on_val_with_its_best_checkpoint(resumed):
    found = tiny.metrics_of(resumed / "eval" / "val")
    best = restore(str(resumed)).folder.name
    lines = [line for line in log_of(resumed) if line["step"] == int(best)]
    logged = {k[4:]: v for line in lines for k, v in line.items() if k[:4] == "val/"}
    assert len(logged) > 30 and found["split"] == "val"
    for key, value in logged.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-6, err_msg=key)
    page = (resumed / "report.html").read_text("utf-8")
    assert f"step {best}." in page and f'value="{found["emotion/nll"]!r}"' in page
    assert "synthetic, split val, 6 faces" in (resumed / "model_card.md").read_text()


def test_a_run_killed_before_its_report_makes_it_when_started_again(
    resumed, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(train, "finish", evaluate.finish)
    shutil.copytree(resumed, tmp_path / "run")
    (tmp_path / "run" / "report.html").unlink()
    shutil.rmtree(tmp_path / "run" / "eval")
    train_and_evaluate(tiny.config(), tmp_path / "run")
    told = capsys.readouterr().err
    assert "is done" in told and "report.html" in told
    again = tiny.metrics_of(tmp_path / "run" / "eval" / "val")
    assert again == tiny.metrics_of(resumed / "eval" / "val")
    assert (tmp_path / "run" / "report.html").exists()


def test_another_config_is_refused_with_the_fields_that_differ(resumed):
    with pytest.raises(Mistake, match="optim.learning_rate was 0.05 and is 0.1"):
        train_and_evaluate(tiny.config(**{"optim.learning_rate": 0.1}), resumed)


def test_a_loss_that_is_not_finite_stops_the_run_with_its_step(tmp_path):
    config = tiny.config(**{"optim.learning_rate": 1e30, "optim.clip_norm": 0.0})
    with pytest.raises(Stopped, match=r"is (nan|inf) at step \d"):
        train_and_evaluate(config, tmp_path)
    assert not (tmp_path / "done.json").exists()
    # What was saved before is finite.
    for folder in (tmp_path / "checkpoints").iterdir():
        metrics = json.loads((folder / "metrics" / "metrics").read_text())
        assert all(np.isfinite(v) for v in metrics.values())


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"train.batch_size": 12}, "12.*does not split evenly over 8 devices"),
        ({"train.steps": 0}, "steps or epochs above 0"),
        ({"optim.name": "sdg"}, "unknown optimizer 'sdg'; did you mean sgd"),
        ({"checkpoint.best": "emotion/acuracy"}, "did you mean emotion/accuracy"),
        ({"checkpoint.best": "emotion/n"}, "unknown number in config.checkpoint.best"),
        (
            {"checkpoint.best": "emotion/f1/happy", "data.sources.synthetic.faces": 20},
            "best is emotion/f1/happy, but val has no such label",
        ),
        ({"checkpoint.every": "3 weeks"}, "checkpoint.every: '3 weeks' is no duration"),
        ({"data.sources": {"synthetic": {"facs": 60}}}, "'facs'"),
        ({"data.sources": {"fer2013": {"path": "no.csv"}}}, "no.csv"),
        ({"model.name": "vit"}, "unknown model 'vit'"),
        ({"feed.name": "piped"}, "resident, streamed"),
        ({"tasks": {"gender": {}}}, "unknown task 'gender'"),
        ({"eval.evry": 2}, "'evry'; did you mean every"),
        (
            {"model.widht": 8},
            "unknown field of config.model 'widht'; did you mean width",
        ),
        ({"profile.steps": "9"}, "config.profile.steps is '9', must be FIRST:LAST"),
        ({"init_from": "no/run"}, "config.init_from no/run does not exist"),
        ({"optim.groups": (("hed", 0.0),)}, "'hed', which matches no parameter"),
    ],
)
def test_a_mistake_is_told_before_the_workdir_is_made(fields, sentence, tmp_path):
    with pytest.raises(Mistake, match=sentence):
        train_and_evaluate(tiny.config(**fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_streamed_feed_trains_to_the_same_bits(whole, tmp_path):
    train_and_evaluate(tiny.config(**{"feed.name": "streamed"}), tmp_path)
    assert done_of(tmp_path) == done_of(whole)


def test_a_workdir_holds_what_it_promises(whole):
    names = {p.name.split(".")[0] for p in whole.iterdir()}
    assert {"config", "metrics", "events", "checkpoints", "env", "done"} <= names
    env = json.loads((whole / "env.json").read_text())
    assert len(env["devices"]) == 8 and "jax" in env["packages"]


def test_another_versions_run_is_left_as_it_is(whole, tmp_path, monkeypatch):
    copy = shutil.copytree(whole, tmp_path / "run")
    (copy / "done.json").unlink()
    (copy / "env.json").write_text("of another version")
    monkeypatch.setattr(meta, "FORMAT_VERSION", 0)
    with pytest.raises(Mistake, match="reads up to 0: upgrade it"):
        train_and_evaluate(tiny.config(), copy)
    assert (copy / "env.json").read_text() == "of another version"


def test_training_imports_no_tensorflow(tmp_path):
    code = (
        "import sys, tiny; from emotion_jax.train import train_and_evaluate;"
        f"train_and_evaluate(tiny.config(), {str(tmp_path / 'run')!r});"
        "print(sorted(m for m in sys.modules if m.split('.')[0] == 'tensorflow'))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tiny.__file__.rsplit("/", 1)[0],
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "8"},  # this has been compiled
    )
    assert found.stdout.strip() == "[]", found.stderr


@pytest.mark.parametrize(
    "imported, late",
    [
        ("emotion_jax", ("jax", "numpy")),
        (  # what the first step does not need
            "emotion_jax.train",
            ("sklearn", "pandas", "scipy.stats", "matplotlib", "tensorboardX"),
        ),
    ],
)
def test_an_import_is_light(imported, late):
    code = f"import sys, {imported}; print(sorted({{*{late}}} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr


def test_the_binary_takes_config_overrides_and_says_where_it_is(tmp_path, capsys):
    args = ["--config", "configs/synthetic.py", "--workdir", str(tmp_path / "run")]
    args += ["--config.data.sources.synthetic.faces=60", "--config.train.steps=2"]
    args += ["--config.train.batch_size=16", "--config.data.side=24"]
    args += ["--config.model.width=8", "--config.model.blocks=1"]
    assert cli.run(train.main, args) == 0
    told = capsys.readouterr().err
    assert "train: synthetic, split train, 48 faces" in told
    assert "val: synthetic, split val, 6 faces" in told
    assert "step 2/2" in told
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["model"]["width"] == 8 and config["model"]["blocks"] == [1]


def test_a_run_may_want_no_report(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "finish", evaluate.finish)
    config = tiny.config(**{"train.steps": 2, "eval.report": False})
    train_and_evaluate(config, tmp_path / "run")
    assert (tmp_path / "run" / "done.json").exists()
    train_and_evaluate(config, tmp_path / "run")
    assert not (tmp_path / "run" / "report.html").exists()
    config.eval.report = True
    train_and_evaluate(config, tmp_path / "run")
    assert (tmp_path / "run" / "report.html").exists()
