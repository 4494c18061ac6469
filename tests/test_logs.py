"""Laws of the log: each step told once, one step late, and nothing but numbers."""

import json
import math
import subprocess

import numpy as np
import pytest

from emotion_jax import logs
from emotion_jax.errors import Stopped
from emotion_jax.plan import Plan

PLAN = Plan(batch_size=4, total=6, stop=6, epoch=2.0)


def metrics(loss, norm=1.0):
    """A step's (total, count) pairs."""
    one = np.float32(1)
    return {
        "loss": (np.float32(loss), one),
        "grad_norm": (np.float32(norm), one),
        "emotion/accuracy": (np.float32(3), np.float32(4)),
        "keypoints/loss": (np.float32(0), np.float32(0)),
    }


def lines(workdir):
    return [json.loads(x) for x in (workdir / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def log(tmp_path):
    """A run's log, closed whatever happens."""
    made = logs.RunLog(tmp_path, PLAN, every=2)
    made.open(0)
    yield made
    made.pending = None
    made.close()


def test_a_machine_without_git_knows_no_commit(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert logs.environment()["commit"] is None


def test_a_strangers_commit_is_not_ours(monkeypatch, tmp_path):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-qm", "a", "--allow-empty"], check=True)
    file = tmp_path / "site" / "logs.py"
    file.parent.mkdir()
    file.write_text("installed there")
    monkeypatch.setattr(logs, "__file__", str(file))
    assert logs.commit() is None
    subprocess.run([*git, "add", "site"], check=True)
    assert logs.commit()


def test_cut_back_keeps_the_lines_up_to_the_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f'{{"step": {s}, "x": 0.5}}\n' for s in (1, 2, 2, 3, 4)))
    logs.cut_back(path, 2)
    assert path.read_text() == "".join(
        f'{{"step": {s}, "x": 0.5}}\n' for s in (1, 2, 2)
    )
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("rest", ['{"step": 2, "x', "{", "12", "[]", "{}"])
def test_cut_back_survives_a_last_line_half_written(tmp_path, rest):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n' + rest)
    logs.cut_back(path, 9)
    assert path.read_text() == '{"step": 1}\n'


def test_a_whole_last_line_without_its_end_is_ended(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}')
    logs.cut_back(path, 1)
    assert path.read_text() == '{"step": 1}\n'


def test_cutting_back_what_is_not_there_is_no_error(tmp_path):
    logs.cut_back(tmp_path / "metrics.jsonl", 3)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.0, "0 s"),
        (42.4, "42 s"),
        (59.6, "1 min 0 s"),
        (185.0, "3 min 5 s"),
        (3600.0, "1 h 0 min"),
        (7659.0, "2 h 7 min"),
    ],
)
def test_a_duration_is_written_as_a_person_does(seconds, text):
    assert logs.duration(seconds) == text


def test_each_line_holds_the_numbers_of_its_own_step_one_step_late(log, tmp_path):
    log.step(1, metrics(10.0))
    log.step(2, metrics(20.0))
    assert lines(tmp_path) == []  # the second step is still under way
    log.step(3, metrics(30.0))
    (line,) = lines(tmp_path)
    assert line["step"] == 2 and line["train/loss"] == 20.0
    assert line["train/emotion/accuracy"] == 0.75
    assert "train/keypoints/loss" not in line  # of no label
    assert {"seconds", "images_per_s"} < line.keys()


def test_of_squares_the_root_is_logged(log, tmp_path, capsys):
    """Under the name that it has in an evaluation; the console says of what it is."""
    log.step(1, metrics(1.0))
    log.step(2, metrics(1.0) | {"keypoints/square_px": (18.0, 2.0)})
    log.close()
    (line,) = lines(tmp_path)
    assert line["train/keypoints/rmse_px"] == 3.0
    assert "train/keypoints/square_px" not in line
    told = capsys.readouterr().err
    assert "train: loss 1.000" in told and "keypoints/rmse_px 3.000" in told


def test_the_last_step_is_logged_when_the_log_closes(log, tmp_path):
    for step in range(1, 7):
        log.step(step, metrics(float(step)))
    log.close()
    assert [line["step"] for line in lines(tmp_path)] == [2, 4, 6]
    assert lines(tmp_path)[-1]["train/loss"] == 6.0


def test_an_evaluation_comes_after_its_step(log, tmp_path):
    log.step(1, metrics(1.0))
    log.step(2, metrics(2.0))
    log.evaluation(2, {"emotion/accuracy": 0.5, "emotion/recall/sad": None})
    train, val = lines(tmp_path)
    assert train["step"] == val["step"] == 2 and "train/loss" in train
    assert val["val/emotion/accuracy"] == 0.5
    assert "val/emotion/recall/sad" not in val


def test_an_evaluation_without_a_label_of_a_task_is_told(log):
    log.step(1, metrics(1.0))
    log.evaluation(1, {"emotion/accuracy": None, "keypoints/rmse_px": 2.0})


def test_a_resumed_log_tells_each_step_once(log, tmp_path):
    for step in (1, 2, 3, 4):
        log.step(step, metrics(1.0))
    log.close()
    again = logs.RunLog(tmp_path, PLAN, every=2)
    again.open(3)
    for step in (4, 5, 6):
        again.step(step, metrics(2.0))
    again.close()
    assert [(x["step"], x["train/loss"]) for x in lines(tmp_path)] == [
        (2, 1.0),
        (4, 2.0),
        (6, 2.0),
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_the_run_naming_its_step(log, tmp_path, value):
    log.step(3, metrics(value))
    with pytest.raises(Stopped, match=f"^the loss is {value} at step 3; the checkp"):
        log.step(4, metrics(1.0))
    assert lines(tmp_path) == []


def test_a_gradient_that_is_no_number_stops_the_run(log):
    log.step(1, metrics(1.0, norm=math.inf))
    with pytest.raises(Stopped, match="is inf at step 1"):
        log.flush()


def test_a_gradient_that_is_no_number_is_named(log):
    log.step(1, metrics(1.0, norm=math.inf))
    with pytest.raises(Stopped, match="^the norm of the gradient is inf at step 1"):
        log.flush()


def test_a_line_holds_its_own_speed(log, tmp_path):
    for step in (1, 2, 3):
        log.step(step, metrics(1.0))
    assert lines(tmp_path)[0]["images_per_s"] > 0


def test_tensorboard_reads_what_was_written_and_from_where_it_went_on(log, tmp_path):
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    log.step(1, metrics(9.0))
    log.step(2, metrics(2.0))
    log.close()
    (file,) = tmp_path.glob("events.out.tfevents.*")
    data, events = file.read_bytes(), []
    while data:  # a length, its check sum, the event, its check sum
        size = int.from_bytes(data[:8], "little")
        events.append(Event.FromString(data[12 : 12 + size]))
        data = data[16 + size :]
    assert events[0].file_version == "brain.Event:2"
    assert events[1].session_log.status == SessionLog.START and events[1].step == 1
    values = {v.tag: v.simple_value for e in events[2:] for v in e.summary.value}
    assert values["train/loss"] == 2.0 and {e.step for e in events[2:]} == {2}


def test_evaluations_are_found_up_to_a_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [
        {"step": 2, "train/loss": 1.5},
        {"step": 2, "val/emotion/accuracy": 0.25, "seconds": 7.0},
        {"step": 4, "val/emotion/accuracy": 0.5},
        {"step": 6, "val/emotion/accuracy": 0.75},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = logs.evaluations(path, 4)
    assert found == {2: {"emotion/accuracy": 0.25}, 4: {"emotion/accuracy": 0.5}}
    assert logs.evaluations(tmp_path / "none", 4) == {}
