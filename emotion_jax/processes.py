"""One run in several processes: how they find each other, and how they end together.

On Slurm, GKE and under Open MPI, JAX reads from the environment who takes part; on the
hosts of a TPU VM, `--coordinator auto` makes it ask; anywhere else the flags say it:

  python -m emotion_jax.train ... --coordinator host0:1234 --processes 2 --process 0
  python -m emotion_jax.train ... --coordinator host0:1234 --processes 2 --process 1

JAX ends a process that has lost another, or waits for it in vain, with SIGABRT. So each
process runs under a guard, which turns that into a sentence and exit code 3.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading

from emotion_jax.errors import Mistake, Stopped, first_line

JOIN_WITHIN_S = 300  # of each other
LOST_AFTER_S = 30  # without a sign of life
LEAVE_WITHIN_S = 10  # the others, once one process ends early
LOST = (
    "another process of this run is gone or never came, so this one ended too; the "
    "checkpoints are whole: start the same command again in every process"
)
GUARD = "EMOTION_JAX_GUARD"  # in a guarded process: the pipe that its guard holds


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say who takes part."""
    add = parser.add_argument
    add("--coordinator", metavar="HOST:PORT", help="several processes; auto on TPU VMs")
    add("--processes", type=int, metavar="N", help="with --coordinator: how many")
    add("--process", type=int, metavar="I", help="which of them this is, from 0")


def start(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Joins the run's other processes, if there are any.

    In a process of several this returns only under a guard: without one it becomes
    the guard, and exits with the code of the process that it guards.
    """
    check_flags(coordinator, processes, process)
    if not coordinator and not announced(os.environ):
        return
    if not guarded():
        if process == 0:
            check_port(int(coordinator.rpartition(":")[2]))
        sys.exit(guard([sys.executable, *sys.orig_argv[1:]]))
    import jax  # whoever only reads flags need not pay for it

    end_with_guard(int(os.environ[GUARD]))
    given = None if coordinator in (None, "auto") else coordinator
    try:
        jax.distributed.initialize(
            given,
            processes,
            process,
            heartbeat_timeout_seconds=LOST_AFTER_S,
            initialization_timeout=JOIN_WITHIN_S,
        )
    except (ValueError, RuntimeError) as error:
        reason = first_line(error)
        raise Mistake(f"the processes did not find each other: {reason}") from error


def check_flags(
    coordinator: str | None, processes: int | None, process: int | None
) -> None:
    """Raises unless the three flags go together."""
    if coordinator in (None, "auto"):
        if processes is not None or process is not None:
            raise Mistake("--processes and --process need --coordinator HOST:PORT")
        return
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise Mistake(f"--coordinator is HOST:PORT or auto, got {coordinator!r}")
    if processes is None or process is None or not 0 <= process < processes:
        raise Mistake(
            "--coordinator HOST:PORT wants --processes N and --process I, from 0 to "
            f"N - 1; got {processes} and {process}"
        )


def check_port(port: int) -> None:
    """Raises unless the port is free: JAX would end with a segmentation fault."""
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        reason = error.strerror.lower()
        raise Mistake(f"--coordinator cannot take port {port}: {reason}") from None


def announced(env: os._Environ | dict[str, str]) -> bool:
    """Whether the environment speaks of several processes, as JAX reads it."""
    counts = [("SLURM_NTASKS", "SLURM_PROCID"), ("OMPI_COMM_WORLD_SIZE",) * 2]
    return (
        "JAX_COORDINATOR_ADDRESS" in env
        or "MEGASCALE_COORDINATOR_ADDRESS" in env
        or "," in env.get("TPU_WORKER_HOSTNAMES", "")
        or any(int(env.get(n, 1)) > 1 and rank in env for n, rank in counts)
    )


def guard(command: list[str]) -> int:
    """Runs a process, hands signals on to it, and says what its end means."""
    theirs, ours = os.pipe()
    child = subprocess.Popen(
        command,
        env=os.environ | {GUARD: str(theirs)},
        pass_fds=[theirs],
        process_group=0,  # Ctrl-C reaches the guard alone, which hands it on once
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: child.send_signal(number))
    code = child.wait()
    os.close(ours)
    if code != -signal.SIGABRT:
        return code if code >= 0 else 128 - code
    raise Stopped(LOST)


def end_with_guard(pipe: int) -> None:
    """Has this process end at once if its guard is killed."""

    def wait() -> None:
        os.read(pipe, 1)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def leave(code: int) -> None:
    """Ends a process of several early: with the others if they end too, else alone.

    JAX would wait minutes for them, while they may wait for this one.
    """
    import jax

    together = threading.Thread(target=jax.distributed.shutdown, daemon=True)
    together.start()
    together.join(LEAVE_WITHIN_S)
    sys.stdout.flush()
    os._exit(code)


def guarded() -> bool:
    """Whether this process was started by its guard."""
    return GUARD in os.environ


def out_of_memory(error: Exception) -> bool:
    """Whether a device had no room for what it was to compute."""
    return of_device(error) and str(error).startswith("RESOURCE_EXHAUSTED")


def lost_another(error: Exception) -> bool:
    """Whether this is how a lost process shows: a collective that broke off."""
    ours = ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "UNIMPLEMENTED")
    return guarded() and of_device(error) and not str(error).startswith(ours)


def of_device(error: Exception) -> bool:
    """Whether the error came while a device, or XLA, was at work."""
    return type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError")


def all_agree(value: bool) -> bool:
    """Whether it is true in every process; all of them must ask."""
    import jax
    import numpy as np
    from jax.experimental import multihost_utils

    if jax.process_count() == 1:
        return value
    return bool(np.all(multihost_utils.process_allgather(np.array(value))))
