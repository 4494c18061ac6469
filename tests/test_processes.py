"""Laws of several processes: who takes part, the same run, and one end for all."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from emotion_jax import processes
from emotion_jax.errors import Mistake

TRAIN = [
    *(sys.executable, "-m", "emotion_jax.train", "--config=configs/synthetic.py"),
    *("--config.data.sources.synthetic.faces=60", "--config.data.side=24"),
    *("--config.train.epochs=0.0", "--config.train.batch_size=16"),
    *("--config.model.width=8", "--config.model.blocks=1"),
    *("--config.model.stem_stride=4", "--config.checkpoint.every=3"),
    *("--config.eval.every=100", "--config.log.every=1"),
]


@pytest.mark.parametrize(
    "env, several",
    [
        ({}, False),
        ({"SLURM_NTASKS": "4"}, False),  # a shell inside an allocation, no task of it
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, True),
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, False),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"JAX_COORDINATOR_ADDRESS": "host:1"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"TPU_WORKER_HOSTNAMES": "host0,host1"}, True),
        ({"MEGASCALE_COORDINATOR_ADDRESS": "host:1"}, True),
    ],
)
def test_the_environment_says_whether_there_are_several(env, several):
    assert processes.announced(env) is several


@pytest.mark.parametrize(
    "flags, sentence",
    [
        ((None, 2, 0), "need --coordinator HOST:PORT"),
        (("auto", 2, None), "need --coordinator HOST:PORT"),
        (("here", 2, 0), "is HOST:PORT or auto, got 'here'"),
        (("here:port", 2, 0), "is HOST:PORT or auto"),
        (("here:1", None, None), "wants --processes N and --process I"),
        (("here:1", 2, 2), "from 0 to N - 1; got 2 and 2"),
        (("here:1", 2, -1), "from 0 to N - 1"),
    ],
)
def test_flags_that_do_not_go_together_are_a_mistake(flags, sentence):
    with pytest.raises(Mistake, match=sentence):
        processes.check_flags(*flags)


def guarded(code: str) -> subprocess.Popen:
    """A guard over this Python."""
    watch = "import sys; from emotion_jax import cli, processes\n"
    watch += (
        "def main(args): sys.exit(processes.guard([sys.executable, '-c', *args]))\n"
    )
    watch += "cli.main(main)"
    command = [sys.executable, "-c", watch, code]
    return subprocess.Popen(command, stdout=-1, stderr=-1, text=True)


@pytest.mark.parametrize(
    "code, found, told",
    [
        ("pass", 0, ""),
        ("raise SystemExit(75)", 75, ""),
        ("import os; os.kill(os.getpid(), 9)", 137, ""),
        ("import os; os.abort()", 3, "another process of this run is gone"),
    ],
)
def test_a_guard_ends_with_the_code_that_it_guards(code, found, told):
    with guarded(code) as running:
        assert told in running.communicate(timeout=20)[1]
    assert running.returncode == found


def test_a_guard_hands_signals_on():
    code = (
        "import signal, time, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\n"
        "print('here', flush=True); time.sleep(30)"
    )
    with guarded(code) as running:
        assert running.stdout.readline() == "here\n"
        running.terminate()
        assert running.wait(10) == 75


def test_who_loses_its_guard_ends_at_once():
    code = (
        "import os, time\n"
        "from emotion_jax import processes\n"
        "processes.end_with_guard(int(os.environ[processes.GUARD]))\n"
        "print('here', flush=True); time.sleep(30); print('still here')"
    )
    with guarded(code) as running:
        assert running.stdout.readline() == "here\n"
        running.kill()
        assert running.stdout.read() == ""  # returns when all who could write are gone


class Run:
    """Processes of one training, each with a share of four devices."""

    def __init__(self, workdir, count: int, *flags: str):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
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
        while not any(line["step"] >= step for line in self.log()):
            assert all(process.poll() is None for process in self.running)
            time.sleep(0.05)

    def log(self) -> list[dict]:
        try:
            lines = (self.workdir / "metrics.jsonl").read_text().splitlines()
            return [json.loads(line) for line in lines]
        except (OSError, ValueError):  # not there yet, or a line half written
            return []

    def end(self) -> list[tuple[int, str]]:
        """Each process's exit code and the last line of what it said."""
        told = [process.communicate(timeout=120)[1] for process in self.running]
        codes = [process.returncode for process in self.running]
        return [(c, t.splitlines()[-1]) for c, t in zip(codes, told, strict=True)]


def losses(run: Run) -> list[float]:
    return [line["train/loss"] for line in run.log() if "train/loss" in line]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Eight steps in one process, on four devices."""
    run = Run(tmp_path_factory.mktemp("alone") / "run", 1, "--config.train.steps=8")
    assert [code for code, _ in run.end()] == [0]
    return run


def test_two_processes_train_as_one_does_also_after_sigterm(alone, tmp_path):
    """One of them is told to stop; both save one step, and go on from it."""
    run = Run(tmp_path / "run", 2, "--config.train.steps=8", "--config.fsdp=True")
    run.wait_for_step(2)
    run.running[1].terminate()
    ends = run.end()
    if [code for code, _ in ends] != [0, 0]:  # it may have been faster than the signal
        assert [code for code, _ in ends] == [75, 75]
        assert all("is saved, and the same command goes on" in told for _, told in ends)
        run = Run(tmp_path / "run", 2, "--config.train.steps=8", "--config.fsdp=True")
        assert [code for code, _ in run.end()] == [0, 0]
    np.testing.assert_allclose(losses(run), losses(alone), rtol=1e-4)
    assert len(losses(alone)) == 8


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
        os.kill(pid, signal.SIGKILL)
    lost.communicate()
    assert left.returncode == 3
    assert "another process of this run is gone" in told.splitlines()[-1]


@pytest.mark.long
def test_four_processes_train_as_one_does(alone, tmp_path):
    run = Run(tmp_path / "run", 4, "--config.train.steps=8")
    assert [code for code, _ in run.end()] == [0] * 4
    np.testing.assert_allclose(losses(run), losses(alone), rtol=1e-4)


@pytest.mark.long
def test_a_mistake_of_all_is_told_by_all(tmp_path):
    run = Run(tmp_path / "run", 2, "--config.train.steps=8", "--config.optim.name=sdg")
    for code, told in run.end():
        assert code == 2 and "did you mean sgd?" in told
    assert not (tmp_path / "run").exists()
