"""Kill a training at random moments until it ends, and compare it with an unkilled one.

  python launch/chaos.py --runs 30
  python launch/chaos.py --runs 3 --processes 2

Each run is killed (SIGKILL) while it starts, between two steps, or inside a save, and
restarted, several times. It must end with the same bits (parameters, optimizer state,
averages) and the same log as the run that was left alone. With several processes, one
is killed; the others must end by themselves, with exit code 3, within a minute.
"""

import hashlib
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from emotion_jax import cli
from emotion_jax.errors import Mistake

TRAIN = [
    *(sys.executable, "-m", "emotion_jax.train", "--config=configs/synthetic.py"),
    "--config.data.sources.synthetic.faces=400",
    *("--config.train.epochs=0.0", "--config.train.steps=60"),
    *("--config.train.batch_size=32", "--config.eval.every=12"),
    "--config.eval.report=False",
    *("--config.model.width=8", "--config.model.blocks=(1,)"),
    *("--config.model.stem_stride=4", "--config.checkpoint.every=5"),
    "--config.log.every=1",
]
MOMENTS = ("starting", "a step", "a save")
PATIENCE_S = 60  # within which the remaining processes must end
TIMINGS = ("seconds", "images_per_s")


def start(workdir: Path, processes: int) -> list[subprocess.Popen]:
    """Starts the same command in each process; a single one gets no cluster flags."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    devices = {"JAX_NUM_CPU_DEVICES": str(max(1, 4 // processes))}
    started = []
    for process in range(processes):
        command = [*TRAIN, f"--workdir={workdir}"]
        if processes > 1:
            command += [f"--coordinator=localhost:{port}", f"--processes={processes}"]
            command += [f"--process={process}"]
        with (workdir.parent / f"{workdir.name}.{process}.txt").open("w") as out:
            started.append(
                subprocess.Popen(
                    command,
                    env=os.environ | {"JAX_PLATFORMS": "cpu"} | devices,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                )
            )
    return started


def wait_for(moment: str, workdir: Path, running: list, dice: random.Random) -> None:
    """Waits until this moment of the run, or until it has ended."""
    if moment == "starting":
        time.sleep(dice.uniform(0, 8))
        return
    log, before = workdir / "metrics.jsonl", last_step(workdir / "metrics.jsonl")
    target = before + dice.randint(1, 20)
    while all(process.poll() is None for process in running):
        if moment == "a step" and last_step(log) >= target:
            break
        if moment == "a save" and list(workdir.glob("checkpoints/*orbax*tmp*")):
            break
        time.sleep(0.001)
    time.sleep(dice.uniform(0, 0.03))


def last_step(log: Path) -> int:
    """The last step in the log, 0 before the first."""
    try:
        return json.loads(log.read_text().splitlines()[-1])["step"]
    except (OSError, IndexError, ValueError):
        return 0


def kill_one(
    workdir: Path, running: list[subprocess.Popen], dice: random.Random
) -> str:
    """Kills a process; returns how the others ended, or `too late` if all were done."""
    victim = dice.choice(running)
    if victim.poll() is not None:
        for process in running:
            process.wait(PATIENCE_S)
        return "too late"
    victim.send_signal(signal.SIGKILL)
    since = time.monotonic()
    for process in running:
        process.wait(PATIENCE_S)
    codes = {p.returncode for p in running if p is not victim} - {0}
    if codes - {3}:
        ended = f"the others ended with {sorted(codes)}, not 3"
        raise SystemExit(ended + outputs(workdir))
    return f"others in {time.monotonic() - since:.0f} s" if codes else ""


def fingerprint(workdir: Path) -> dict[str, str]:
    """What must be equal: all arrays at the end, and the log without timings."""
    import jax
    import numpy as np
    import orbax.checkpoint as ocp

    logging.getLogger("absl").setLevel(logging.ERROR)
    done = json.loads((workdir / "done.json").read_text())
    with ocp.PyTreeCheckpointer() as checkpointer:
        folder = workdir.absolute() / "checkpoints" / str(done["step"]) / "state"
        tree = checkpointer.metadata(folder).item_metadata.tree
        plain = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
        state = checkpointer.restore(
            folder, args=ocp.args.PyTreeRestore(restore_args=plain)
        )
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        digest.update(jax.tree_util.keystr(path).encode() + leaf.tobytes())
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    log = [{k: v for k, v in line.items() if k not in TIMINGS} for line in lines]
    return {
        "params": done["sha256"][:12],
        "state": digest.hexdigest()[:12],
        "log": hashlib.sha256(json.dumps(log).encode()).hexdigest()[:12],
    }


def run(workdir: Path, processes: int, kills: int, dice: random.Random) -> list[str]:
    """Trains to the end with kills on the way; returns the moments of the kills."""
    moments = []
    while True:
        running = start(workdir, processes)
        if len(moments) < kills:
            moment = dice.choice(MOMENTS)
            wait_for(moment, workdir, running, dice)
            step = last_step(workdir / "metrics.jsonl")
            left = kill_one(workdir, running, dice)
            moments.append(", ".join(filter(None, [f"{moment} ({step})", left])))
            continue
        for process in running:
            if code := process.wait():
                raise SystemExit(f"{workdir} ended with {code}{outputs(workdir)}")
        return moments


def outputs(workdir: Path) -> str:
    """The ends of what the processes printed: their files are about to go."""
    files = sorted(workdir.parent.glob(f"{workdir.name}.*.txt"))
    return "".join(f"\n\n{file.name}:\n{file.read_text()[-3000:]}" for file in files)


def main(args: list[str]) -> None:
    """Prints the table; exits 1 if any run differs."""
    parser = cli.Parser("python launch/chaos.py", __doc__)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--kills", type=int, default=3, help="of a run, at most")
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse(args)
    if min(flags.runs, flags.processes, flags.kills) < 1:
        raise Mistake("--runs, --processes and --kills are at least 1")
    dice, bad = random.Random(flags.seed), 0
    with tempfile.TemporaryDirectory(prefix="chaos_") as scratch:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{scratch}/compiled")
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
        alone = Path(scratch) / "alone"
        run(alone, flags.processes, 0, dice)
        expected = fingerprint(alone)
        env = json.loads((alone / "env.json").read_text())
        versions = ", ".join(f"{k} {v}" for k, v in env["packages"].items())
        print(f"`python launch/chaos.py {' '.join(args)}`\n")
        print(f"Python {env['python']}, {versions}, {env['platform']}, ", end="")
        print(f"{os.cpu_count()} cores, commit {env['commit']}\n")
        print(f"| run | killed in (at step) | {' | '.join(expected)} | equal |")
        print("| --- " * (3 + len(expected)) + "|")
        print(f"| alone | | {' | '.join(expected.values())} | |", flush=True)
        for number in range(1, flags.runs + 1):
            workdir = Path(scratch) / f"run{number}"
            kills = run(workdir, flags.processes, dice.randint(1, flags.kills), dice)
            found = fingerprint(workdir)
            equal = "yes" if found == expected else "NO"
            bad += found != expected
            row = [str(number), "; ".join(kills), *found.values(), equal]
            print(f"| {' | '.join(row)} |", flush=True)
    print(f"{flags.runs - bad} of {flags.runs} runs equal to the one left alone")
    sys.exit(bad > 0)


if __name__ == "__main__":
    cli.main(main)
