"""One run in several processes: how they find each other, and how they end together.

On Slurm, on GKE and under Open MPI 4, JAX reads from the environment which processes
take part; on the hosts of a TPU VM, `--coordinator auto` makes it ask; anywhere else
flags say it:

  python -m emotion_jax.train ... --coordinator host0:1234 --processes 2 --process 0
  python -m emotion_jax.train ... --coordinator host0:1234 --processes 2 --process 1

JAX ends a process that has lost another, or waits for it in vain, with SIGABRT. So each
process runs under a guard, which turns that into a sentence and exit code 3.
"""

import argparse
import atexit
import contextlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from emotion_jax.errors import Mistake, Preempted, Stopped, first_line

JOIN_WITHIN_S = 300  # how far apart the processes may start
LOST_AFTER_S = 30  # without a sign of life
LEAVE_WITHIN_S = 10  # for the others to end too, once one ends early
SEEN_WITHIN_S = 60  # another process's file appears: NFS caches what was there
LOST = (
    "another process of this run is gone or never came, so this one ended too; the "
    "checkpoints are whole: start the same command again in every process"
)
BETWEEN = (
    "stopped by {} before the first step or after the last; start the same "
    "command again"
)
OPEN_MPI_5 = (
    "JAX knows mpirun up to Open MPI 4: pass --coordinator HOST:PORT --processes N "
    "--process I, where I is $OMPI_COMM_WORLD_RANK"
)
GUARD = "EMOTION_JAX_GUARD"  # in a guarded process: its pipe from its guard


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that say which processes take part."""
    add = parser.add_argument
    text = "several processes; auto on TPU VMs"  # whose scripts add it once more
    add("--coordinator", action="store", metavar="HOST:PORT", help=text)
    add("--processes", type=int, metavar="N", help="with --coordinator: how many")
    add("--process", type=int, metavar="I", help="which of them this is, from 0")


def start(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Joins the run's other processes, if there are any.

    With several processes this returns only under a guard: without one, the process
    becomes the guard, and exits with the code of the process that it guards.
    """
    check_flags(coordinator, processes, process)
    if not coordinator and not announced(os.environ):
        return
    if not guarded():
        if process == 0:
            check_port(int(coordinator.rpartition(":")[2]))
        sys.exit(guard([sys.executable, *sys.orig_argv[1:]]))
    import jax  # slow, and not needed just to read flags

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
    except ValueError as error:
        told = f"the processes did not find each other: {first_line(error)}"
        raise Mistake(OPEN_MPI_5 if of_open_mpi_5(os.environ) else told) from error
    except (RuntimeError, OSError) as error:
        reason = first_line(error)
        raise Stopped(f"the processes did not find each other: {reason}") from error


def check_flags(
    coordinator: str | None, processes: int | None, process: int | None
) -> None:
    """Raises unless the three flags are valid together."""
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
    """Raises unless the port is free: else JAX would end with a segmentation fault."""
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        reason = error.strerror.lower()
        raise Mistake(f"--coordinator cannot take port {port}: {reason}") from None


def announced(env: os._Environ | dict[str, str]) -> bool:
    """Whether the environment announces several processes, as JAX reads it."""
    counts = [("SLURM_NTASKS", "SLURM_PROCID"), ("OMPI_COMM_WORLD_SIZE",) * 2]
    return (
        "JAX_COORDINATOR_ADDRESS" in env
        or "MEGASCALE_COORDINATOR_ADDRESS" in env
        or "," in env.get("TPU_WORKER_HOSTNAMES", "")
        or any(int(env.get(n, 1)) > 1 and rank in env for n, rank in counts)
    )


def of_open_mpi_5(env: os._Environ | dict[str, str]) -> bool:
    """Whether Open MPI 5's mpirun, which hides its address, started this process."""
    return "OMPI_COMM_WORLD_SIZE" in env and "OMPI_MCA_orte_hnp_uri" not in env


def guard(command: list[str]) -> int:
    """Runs a process, forwards signals to it, and reports what its end means."""
    theirs, ours = os.pipe()
    child = subprocess.Popen(
        command,
        env=os.environ | {GUARD: str(theirs)},
        pass_fds=[theirs],
        process_group=0,  # Ctrl-C reaches only the guard, which forwards it once
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: child.send_signal(number))
    code = child.wait()
    os.close(ours)
    if code == -signal.SIGABRT:
        raise Stopped(LOST)
    if code == -signal.SIGTERM:  # once JAX is up, it handles SIGTERM instead
        raise Preempted(BETWEEN.format("SIGTERM"))
    return code if code >= 0 else 128 - code


def end_with_guard(pipe: int) -> None:
    """Makes this process end at once if its guard is killed."""

    def wait() -> None:
        os.read(pipe, 1)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def leave(code: int) -> None:
    """Ends one of several processes early: with the others if they end too, else alone.

    JAX would wait minutes for them, while they may be waiting for this one.
    """
    import jax

    together = threading.Thread(target=jax.distributed.shutdown, daemon=True)
    together.start()
    together.join(LEAVE_WITHIN_S)
    sys.stdout.flush()
    os._exit(code)


def break_off(code: int) -> None:
    """Ends a process that was interrupted while its devices may still be at work.

    Python's normal exit would free what they are working on: a segmentation fault.
    """
    atexit._run_exitfuncs()  # these delete temporary folders
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)


def guarded() -> bool:
    """Whether this process was started by its guard."""
    return GUARD in os.environ


def out_of_memory(error: Exception) -> bool:
    """Whether a device had too little memory for what it was to compute."""
    return of_device(error) and str(error).startswith("RESOURCE_EXHAUSTED")


def lost_another(error: Exception) -> bool:
    """Whether the error points to a lost process: a collective that broke off."""
    ours = ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "UNIMPLEMENTED")
    return guarded() and of_device(error) and not str(error).startswith(ours)


def of_device(error: Exception) -> bool:
    """Whether the error came while a device, or XLA, was at work."""
    if isinstance(error, ValueError):  # jit raises some of XLA's reports so
        return re.match(r"[A-Z_]+: ", str(error)) is not None
    return type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError")


def all_agree(value: bool) -> bool:
    """Whether `value` is true in every process; all of them must call this."""
    import jax
    import numpy as np
    from jax.experimental import multihost_utils

    if jax.process_count() == 1:
        return value
    return bool(np.all(multihost_utils.process_allgather(np.array(value))))


def check_shared(folder: Path) -> None:
    """Raises unless all processes see the same folder, which need not exist yet.

    Otherwise Orbax waits forever, as every process looks for the first one's files.
    """
    import jax

    if not jax.distributed.is_initialized() or jax.process_count() == 1:
        return
    import numpy as np
    from jax.experimental import multihost_utils

    above = (folder.absolute(), *folder.absolute().parents)
    height = next(i for i, place in enumerate(above) if os.path.isdir(place))
    number, first = secrets.randbits(32), jax.process_index() == 0
    written = first and leave_sign(above[height], number)
    told = np.array([written, height, number], np.uint32)
    written, height, number = multihost_utils.broadcast_one_to_all(told).tolist()
    if not written:  # the first real write there will say why
        return
    height = min(height, len(above) - 1)
    seen = all_agree(await_file(sign(above[height], number)))
    if first:
        sign(above[height], number).unlink(missing_ok=True)
    if not seen:
        raise Mistake(
            f"the processes of this run do not share the folder {folder}: name one on "
            "a disk that all of them see, or in a bucket, as gs://BUCKET/runs/first"
        )


def sign(folder: Path, number: int) -> Path:
    """The file by which processes recognise that they see the same folder."""
    return folder / f".emotion_jax-{number:08x}"


def leave_sign(folder: Path, number: int) -> bool:
    """Writes that file; returns whether it could."""
    try:
        sign(folder, number).touch()
    except OSError:
        return False
    return True


def await_file(file: Path) -> bool:
    """Whether a file exists, now or within a minute."""
    until = time.monotonic() + SEEN_WITHIN_S
    while not os.path.exists(file):  # unlike Path's, never raises
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True
