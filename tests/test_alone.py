"""Laws of a workdir that two runs want: one has it, the other changes nothing."""

import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from emotion_jax import files, workdir
from emotion_jax.errors import Mistake
from emotion_jax.train import train_and_evaluate

CODE = """
import pathlib, sys, time
from emotion_jax import workdir
with workdir.alone(pathlib.Path(sys.argv[1])):
    print("in", flush=True)
    time.sleep(600)
"""


def state(folder) -> dict:
    return {p: p.stat().st_mtime_ns for p in (folder, *folder.rglob("*"))}


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FREE_WITHIN_S", 0)
    run = tmp_path / "runs" / "first"
    command = [sys.executable, "-c", CODE, str(run)]
    here = {"cwd": Path(workdir.__file__).parents[1]}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **here) as other:
        try:
            assert other.stdout.readline() == "in\n"
            workdir.open_workdir(run, tiny.config())
            before = state(run)
            with pytest.raises(Mistake, match="another process is training in .*first"):
                train_and_evaluate(tiny.config(), run)
            assert state(run) == before
        finally:
            other.kill()
    with workdir.alone(run):
        pass
    assert state(run) == before


def test_a_run_that_does_not_begin_leaves_no_folder(tmp_path):
    with pytest.raises(Mistake, match="is of no use"), workdir.alone(tmp_path / "a/b"):
        assert (tmp_path / "a" / "b").is_dir()
        raise Mistake("it is of no use")
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    with workdir.alone(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").is_dir()  # whoever made it wants it


def test_a_finished_run_is_seen_while_another_reads_it(tmp_path):
    workdir.open_workdir(tmp_path, tiny.config())
    (tmp_path / "done.json").write_text("{}")
    with workdir.alone(tmp_path):
        train_and_evaluate(tiny.config(), tmp_path)
