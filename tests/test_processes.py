"""Laws of processes: who takes part, who guards whom, and how each ends."""

import os
import socket
import subprocess
import sys
import threading

import jax
import pytest
import tiny

from emotion_jax import cli, processes
from emotion_jax.errors import Mistake, Stopped


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
        (("here:65536", 2, 0), "is HOST:PORT or auto"),
        (("here:1", None, None), "wants --processes N and --process I"),
        (("here:1", 2, 2), "from 0 to N - 1; got 2 and 2"),
        (("here:1", 2, -1), "from 0 to N - 1"),
    ],
)
def test_flags_that_do_not_go_together_are_a_mistake(flags, sentence):
    with pytest.raises(Mistake, match=sentence):
        processes.check_flags(*flags)


def test_a_coordinators_port_that_is_taken_is_a_mistake():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Mistake, match=f"cannot take port {port}: .* in use"):
            processes.start(f"localhost:{port}", 2, 0)


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
        ("import os; os.kill(os.getpid(), 15)", 75, "start the same command again"),
        ("import os; os.abort()", 3, "another process of this run is gone or"),
    ],
)
def test_a_guard_ends_with_the_code_that_it_guards(code, found, told):
    with guarded(code) as running:
        assert told in running.communicate(timeout=20)[1]
    assert running.returncode == found


def test_who_waits_in_vain_for_another_ends_with_3():
    join = (
        "from emotion_jax import cli, processes\n"
        "processes.JOIN_WITHIN_S = 1\n"
        f"cli.main(lambda args: processes.start('localhost:{tiny.free_port()}', 2, 0))"
    )
    waited = subprocess.run(
        [sys.executable, "-c", join], capture_output=True, text=True
    )
    assert waited.returncode == 3
    assert "another process of this run is gone or never came" in waited.stderr


@pytest.mark.parametrize(
    "error, env, kind, told",
    [
        (RuntimeError("UNAVAILABLE: oh"), {}, Stopped, "did not find each other: UNA"),
        (OSError("no route to metadata"), {}, Stopped, "did not find each other: no r"),
        (ValueError("process_id must be"), {}, Mistake, "did not find each other: pro"),
        (
            ValueError("coordinator_address should be defined."),
            {"OMPI_COMM_WORLD_SIZE": "2"},
            Mistake,
            "up to Open MPI 4: pass --coordinator HOST:PORT --processes N --process I",
        ),
        (
            ValueError("oh"),
            {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_MCA_orte_hnp_uri": "1.0;tcp://h:1"},
            Mistake,
            "did not find each other: oh",
        ),
    ],
)
def test_who_finds_no_other_says_whose_fault_it_is(monkeypatch, error, env, kind, told):
    def initialize(*args, **options):
        raise error

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    monkeypatch.setattr(processes, "end_with_guard", lambda pipe: None)
    for name, value in ({processes.GUARD: "3"} | env).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(kind, match=told):
        processes.start("auto", None, None)


def test_who_breaks_off_ends_with_its_code_and_cleans_up():
    code = (
        "import atexit; from emotion_jax import processes\n"
        "atexit.register(print, 'cleaned'); print('said'); processes.break_off(75)"
    )
    found = subprocess.run([sys.executable, "-c", code], stdout=-1, text=True)
    assert (found.returncode, found.stdout) == (75, "said\ncleaned\n")


SHARED = """
import sys; from pathlib import Path; from emotion_jax import bucket, cli, processes
processes.SEEN_WITHIN_S = 0.5
def main(args):
    processes.start(args[0], 2, int(args[1]))
    for folder in args[2:]:
        with bucket.folder(folder, "--workdir"):
            print(folder, flush=True)
cli.main(main)
"""


def test_processes_that_do_not_share_their_folder_say_so(tmp_path):
    """At once and all of them, and nothing is left there."""
    address, ours = f"localhost:{tiny.free_port()}", tmp_path / "our runs" / "first"
    (tmp_path / "0").mkdir()
    (tmp_path / "1" / "run").mkdir(parents=True)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SHARED, address, n, ours, f"{tmp_path}/{n}/run"],
            env=os.environ | {"JAX_NUM_CPU_DEVICES": "1"},
            stdout=-1,
            stderr=-1,
            text=True,
        )
        for n in "01"
    ]
    for number, process in enumerate(running):
        printed, told = process.communicate(timeout=60)
        assert printed.endswith(f"{ours}\n"), told  # and not the other
        assert process.returncode == 2
        sentence = (
            f"do not share the folder {tmp_path}/{number}/run: name one on a disk"
        )
        assert sentence in told.splitlines()[-1]
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == [
        *("0", "1", "1/run")
    ]


def test_a_process_alone_shares_its_folder(tmp_path):
    processes.check_shared(tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_file_is_awaited(monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "SEEN_WITHIN_S", 0)
    assert not processes.await_file(tmp_path / "sign")
    monkeypatch.setattr(processes, "SEEN_WITHIN_S", 60)
    threading.Timer(0.1, (tmp_path / "sign").touch).start()
    assert processes.await_file(tmp_path / "sign")
    assert not processes.leave_sign(tmp_path / "nowhere", 1)


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


class JaxRuntimeError(RuntimeError):
    """As JAX names it."""


@pytest.mark.parametrize(
    "status, lost",
    [
        ("INTERNAL: Gloo all-reduce failed", True),
        ("UNAVAILABLE: the coordinator is gone", True),
        ("RESOURCE_EXHAUSTED: Out of memory", False),
        ("INVALID_ARGUMENT: no such shape", False),
    ],
)
def test_only_what_a_lost_process_may_cause_is_called_so(monkeypatch, status, lost):
    monkeypatch.setenv(processes.GUARD, "3")
    for kind in (JaxRuntimeError, ValueError):
        assert processes.lost_another(kind(status)) == lost
    assert not processes.lost_another(RuntimeError(status))
    assert not processes.lost_another(ValueError("UNKNOWN field"))
    monkeypatch.delenv(processes.GUARD)
    assert not processes.lost_another(JaxRuntimeError(status))


def test_a_device_without_room_is_told_as_such(monkeypatch, capsys):
    def binary(args):
        raise JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")

    for guard in (False, True):
        if guard:
            monkeypatch.setenv(processes.GUARD, "3")
        assert cli.run(binary, []) == 3
        assert "the device's memory is full" in capsys.readouterr().err
