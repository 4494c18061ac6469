"""Laws of a family: teachers first, what ends is packed, a time limit loses nothing."""

import argparse
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import family
import jax
import numpy as np
import pytest

from emotion_jax import checkpoint, sharding
from emotion_jax.errors import Mistake, Preempted, Stopped

ROOT = Path(__file__).parents[2]
SMALL = (
    "configs/synthetic.py --config.model.width=8 --config.model.blocks=(1,) "
    "--config.model.stem_stride=4 --config.train.batch_size=16 "
    "--config.data.sources.synthetic.faces=80 --config.train.epochs=1.0"
)


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """Runs a plan whose trainings are lines of Python, given by name."""
    before = signal.getsignal(signal.SIGTERM)

    def make(plan: str, programs: dict[str, str], **flags):
        (tmp_path / "plan.txt").write_text(plan)
        members = family.read_plan(tmp_path / "plan.txt", {})
        defaults = {"out": tmp_path, "pack": None, "jobs": 1, "minutes": 0.0}
        monkeypatch.setattr(
            family,
            "command",
            lambda member, data, places: [sys.executable, "-c", programs[member.name]],
        )
        given = argparse.Namespace(**defaults | {"data": []} | flags)
        return family.Family(members, given, {})

    yield make
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    "plan, sentence",
    [
        ("", "names no run"),
        ("# nothing\n\n", "names no run"),
        ("alone", "is no NAME CONFIG"),
        ("a-b configs/fer5.py", "is no NAME CONFIG"),
        ("a configs/fer5.py\na configs/fer5.py", "two of the name a"),
        ("votes configs/fer5.py", "two of the name votes"),
        ("a configs/fer5.py --config.init_from={b}\nb configs/fer5.py", "names {b}"),
        ("a configs/fer55.py", "did you mean"),
        ("a configs/fer5.py --config.seed=x", "config.seed is 'x'"),
        ("a configs/fer5.py 'x", "quotation"),
        ("a configs/fer5.py --config.seed={votes}", "v.csv"),
        ("a configs/fer5.py # why", "#"),
    ],
)
def test_a_wrong_plan_is_a_sentence(tmp_path, plan, sentence):
    (tmp_path / "plan.txt").write_text(plan)
    with pytest.raises(Mistake, match=sentence):
        family.read_plan(tmp_path / "plan.txt", {"votes": "v.csv"})


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--jobs=0"], "at least 1"),
        (["--out=gs://bucket/runs"], "must be here"),
        (["--pack=gs://bucket/packed"], "must be here"),
        (["--let=votes-of=x"], "NAME=VALUE"),
        (["--data=fer213=x.csv"], "did you mean fer2013"),
    ],
)
def test_a_wrong_flag_is_a_sentence(tmp_path, flags, sentence):
    (tmp_path / "plan.txt").write_text("a configs/fer5.py")
    plan = f"--plan={tmp_path / 'plan.txt'}"
    with pytest.raises(Mistake, match=sentence):
        family.main([plan, f"--out={tmp_path / 'out'}", *flags])
    with pytest.raises(Mistake, match="missing.txt cannot be read"):
        family.main(["--plan=missing.txt", f"--out={tmp_path / 'out'}"])
    assert not (tmp_path / "out").exists()


def test_a_run_goes_over_lines_with_comments_between(tmp_path):
    lines = ["# first", "a configs/fer5.py --config.seed={s}", "\t# why", ""]
    lines += ["  --config.train.epochs=5.0", "b configs/fer7.py"]
    (tmp_path / "plan.txt").write_text("\n".join(lines))
    first, second = family.read_plan(tmp_path / "plan.txt", {"s": "3"})
    assert first.flags == ("--config.seed={s}", "--config.train.epochs=5.0")
    assert (second.name, second.flags) == ("b", ())
    run = family.command(first, ["fer2013:5=f.csv"], {"a": "runs/a", "s": "3"})
    assert run[-4:] == [
        "--config.seed=3",
        *first.flags[1:],
        "--data",
        "fer2013:5=f.csv",
    ]


def test_the_plan_that_is_committed_can_be_run():
    let = {"votes": "fer2013new.csv"}
    members = family.read_plan(ROOT / "launch/plans/record.txt", let)
    assert [m.name for m in members if not m.after] == ["residual", "mixed", "voted"]
    places = {m.name: f"runs/{m.name}" for m in members} | let
    data = ["fer2013=f.csv", "keypoints=k.csv"]
    both = family.command(members[-1], data, places)
    assert both[-3:] == ["--data", *data]
    teachers = "('runs/residual', 'runs/mixed', 'runs/voted')"
    assert f"--config.tasks.emotion.teachers={teachers}" in both
    assert family.command(members[0], data, places)[-2:] == ["--data", data[0]]
    voted = family.command(members[2], data, places)
    assert "--config.data.sources.fer2013.votes=fer2013new.csv" in voted


def test_teachers_are_waited_for(stand_in, capsys):
    plan = (
        "a configs/fer5.py\nb configs/fer5.py\nc configs/fer5.py --config.init_from={a}"
    )
    slow = "import time; time.sleep(0.5)"
    stand_in(plan, {"a": slow, "b": "", "c": ""}, jobs=2).run()
    lines = [line.split("] ")[1] for line in capsys.readouterr().out.splitlines()]
    assert lines[:2] == ["a starts", "b starts"]
    assert lines.index("c starts") > lines.index("a ends with 0: no word")
    assert lines[-1] == "c ends with 0: no word"


def test_a_failure_is_told_and_costs_its_pupils_alone(stand_in, capsys):
    plan = (
        "a configs/fer5.py\nb configs/fer5.py --config.init_from={a}\nc configs/fer5.py"
    )
    bad = "print('a word of it'); raise SystemExit(2)"
    with pytest.raises(Stopped, match="failed: a, b; see"):
        stand_in(plan, {"a": bad, "c": ""}).run()
    told = capsys.readouterr().out
    assert "a ends with 2: a word of it" in told
    assert "b is left out" in told and "c ends with 0" in told


def test_a_refused_training_is_not_done_for_what_it_once_was(stand_in, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "done.json").write_text("{}")  # of another plan
    plan = "a configs/fer5.py\nb configs/fer5.py --config.init_from={a}"
    with pytest.raises(Stopped, match="failed: a, b; see"):
        stand_in(plan, {"a": "raise SystemExit(2)", "b": ""}).run()


def test_the_time_limit_lets_a_run_save_and_packs_it(stand_in, monkeypatch, tmp_path):
    kept = tmp_path / "a" / "checkpoints" / "5"
    program = f"""
import os, signal, sys, time
def save(*_):
    os.makedirs({str(kept)!r})
    sys.exit(75)
signal.signal(signal.SIGTERM, save)
time.sleep(60)
"""
    packed = []
    monkeypatch.setattr(family, "pack", lambda run, to: packed.append(run) or kept)
    runs = stand_in(
        "a configs/fer5.py\nb configs/fer5.py",
        {"a": program, "b": ""},
        minutes=0.04,
        pack=tmp_path,
    )
    with pytest.raises(Preempted, match="a, b not done"):
        runs.run()
    assert kept.is_dir() and packed == [tmp_path / "a"]


def test_what_cannot_be_packed_costs_the_others_nothing(stand_in, tmp_path, capsys):
    program = f"""
import os, sys
os.makedirs({str(tmp_path / "a" / "checkpoints" / "5")!r})
sys.stdout.buffer.write(bytes([255]))
"""
    plan = "a configs/fer5.py\nb configs/fer5.py"
    with pytest.raises(Stopped, match="failed: the packing of a; see"):
        stand_in(plan, {"a": program, "b": ""}, pack=tmp_path).run()
    told = capsys.readouterr().out
    assert "a could not be packed" in told and "b ends with 0" in told


def test_a_family_trains_and_what_it_packs_is_the_best_step(tmp_path):
    teachers = "--config.tasks.emotion.teachers={first}"
    (tmp_path / "plan.txt").write_text(
        f"first {SMALL}\nsecond {SMALL}\n  --config.seed=1\n\t{teachers}"
    )
    command = [sys.executable, "launch/family.py", f"--plan={tmp_path}/plan.txt"]
    command += [f"--out={tmp_path}/out", f"--pack={tmp_path}/packed", "--jobs=2"]
    begun = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert begun.returncode == 0, begun.stdout + begun.stderr
    with tarfile.open(tmp_path / "packed/second.tgz") as tar:
        tar.extractall(tmp_path / "here", filter="data")
    mesh = sharding.make_mesh(jax.devices()[:1])
    folder, meta, whole = checkpoint.read(str(tmp_path / "out/second"), mesh)
    slim, same, alone = checkpoint.read(str(tmp_path / "here/second"), mesh)
    assert slim.name == folder.name and same == meta
    assert meta.config["tasks"]["emotion"]["teachers"] == f"{tmp_path}/out/first"
    jax.tree.map(np.testing.assert_array_equal, whole, alone)
    assert checkpoint.rank_of(slim) == checkpoint.rank_of(folder)
    there = {file.name for file in (tmp_path / "here/second").iterdir()}
    assert {"env.json", "metrics.jsonl", "done.json"} <= there
