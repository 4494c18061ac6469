"""Laws of several processes of one run: the run of one process, and one end for all."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tiny

from emotion_jax import cli, train

TRAIN = [
    *(sys.executable, "-m", "emotion_jax.train", "--config=configs/synthetic.py"),
    *("--config.data.sources.synthetic.faces=60", "--config.data.side=24"),
    *("--config.train.epochs=0.0", "--config.train.batch_size=16"),
    *("--config.model.width=8", "--config.model.blocks=1"),
    *("--config.model.stem_stride=4", "--config.checkpoint.every=3"),
    "--config.eval.report=False",
    *("--config.eval.every=100", "--config.log.every=1"),
]


class Run:
    """Processes of one training, each with a share of four devices."""

    def __init__(self, workdir, count: int, *flags: str):
        port = tiny.free_port()
        env = os.environ | {"JAX_NUM_CPU_DEVICES": str(4 // count)}
        self.workdir, self.running = workdir, []
        for process in range(count):
            command = [*TRAIN, f"--workdir={workdir}", *flags]
            if count > 1:
                command += [f"--coordinator=localhost:{port}"]
                command += [f"--processes={count}", f"--process={process}"]
            self.running.append(
                subprocess.Popen(command, env=env, stderr=-1, stdout=-1, text=True)
            )

    def wait_for_step(self, step: int) -> None:
        found = 0
        while found < step:
            assert all(process.poll() is None for process in self.running)
            # The log may not be there yet, or its last line be half written.
            with contextlib.suppress(OSError, ValueError, IndexError):
                found = tiny.log_of(self.workdir)[-1]["step"]
            time.sleep(0.05)

    def end(self) -> list[tuple[int, str]]:
        """Each process's exit code and the last line of what it said."""
        try:
            told = [process.communicate(timeout=120)[1] for process in self.running]
        except subprocess.TimeoutExpired:
            for process in self.running:
                process.kill()
                process.communicate()
            raise
        codes = [process.returncode for process in self.running]
        return [
            (c, t.strip().split("\n")[-1]) for c, t in zip(codes, told, strict=True)
        ]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The losses of eight steps in this process alone."""
    workdir = tmp_path_factory.mktemp("alone") / "run"
    args = [*TRAIN[3:], f"--workdir={workdir}", "--config.train.steps=8"]
    assert cli.run(train.main, args) == 0
    assert len(tiny.losses_of(workdir)) == 8
    return tiny.losses_of(workdir)


@pytest.mark.parametrize(
    "count, fsdp", [(2, True), pytest.param(4, False, marks=pytest.mark.long)]
)
def test_several_processes_train_as_one_does(alone, tmp_path, count, fsdp):
    flags = ["--config.train.steps=8", f"--config.fsdp={fsdp}"]
    flags += ["--config.eval.report=True"]
    run = Run(tmp_path / "run", count, *flags)
    assert [code for code, _ in run.end()] == [0] * count
    np.testing.assert_allclose(tiny.losses_of(run.workdir), alone, rtol=2e-4)
    assert (run.workdir / "report.html").exists()  # the first evaluates by itself


@pytest.mark.long
@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_to_one_saves_one_step_of_all(tmp_path, number, code):
    """And the run goes on from there as if nothing had been."""
    whole = Run(tmp_path / "whole", 2, "--config.train.steps=40")
    assert [code for code, _ in whole.end()] == [0, 0]
    run = Run(tmp_path / "run", 2, "--config.train.steps=40")
    run.wait_for_step(2)
    run.running[1].send_signal(number)
    (first, told), (second, also_told) = run.end()
    assert (first, second) == (75, code)
    assert all("saved, and the same command goes on" in t for t in (told, also_told))
    run = Run(tmp_path / "run", 2, "--config.train.steps=40")
    assert [code for code, _ in run.end()] == [0, 0]
    assert tiny.losses_of(run.workdir) == tiny.losses_of(whole.workdir)
    assert tiny.done_of(run.workdir) == tiny.done_of(whole.workdir)


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("victim", [0, 1])
def test_who_loses_a_process_ends_within_a_minute(tmp_path, victim, how):
    """Killed, or silent as a machine is whose network is gone."""
    run = Run(tmp_path / "run", 2, "--config.train.steps=100000")
    run.wait_for_step(4)
    lost, left = run.running[victim], run.running[1 - victim]
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(lost.pid)], capture_output=True, text=True
    )
    since = time.monotonic()
    for pid in (lost.pid, *map(int, children.stdout.split())):
        os.kill(pid, how)
    told = left.communicate(timeout=60)[1]
    assert time.monotonic() - since < 60
    for pid in (lost.pid, *map(int, children.stdout.split())):
        with contextlib.suppress(ProcessLookupError):  # its parent has seen it die
            os.kill(pid, signal.SIGKILL)
    lost.communicate()
    assert left.returncode == 3
    assert "another process of this run is gone" in told.splitlines()[-1]


@pytest.mark.long
def test_a_mistake_of_all_is_told_by_all(tmp_path):
    run = Run(tmp_path / "run", 2, "--config.train.steps=8", "--config.optim.name=sdg")
    for code, told in run.end():
        assert code == 2 and "did you mean sgd?" in told
    assert not (tmp_path / "run").exists()
