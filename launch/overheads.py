"""What a run costs besides its steps: to start, to save, and in Python.

launch/benchmark.py reports these numbers.
"""

import functools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import rig as rigs

from emotion_jax import logs, sharding
from emotion_jax.checkpoint import Checkpoints
from emotion_jax.config import load_config
from emotion_jax.meta import Meta
from emotion_jax.plan import Plan

IMPORT = """
import time
begin = time.perf_counter()
import emotion_jax
print(time.perf_counter() - begin)
"""


def checkpoint(rig: rigs.Rig, saves: int = 3) -> list[float]:
    """CPU seconds of a save, including the part in the background."""
    with tempfile.TemporaryDirectory() as folder:
        plan, state = Plan(rig.batch_size, 10, 10, 1.0), rig.state()
        meta = Meta(rig.config.to_dict(), {n: t.names for n, t in rig.tasks.items()}, 0)
        found = []
        with Checkpoints(Path(folder), plan, every=1, keep=1, best="loss/loss") as keep:
            for _ in range(saves):
                state = state.replace(step=state.step + 1)
                begin = time.process_time()
                keep.save(state, meta, None)
                keep.manager.wait_until_finished()
                found.append(time.process_time() - begin)
    return found


def import_s(repeats: int) -> list[float]:
    """Seconds of `import emotion_jax` in a new process."""
    run = functools.partial(subprocess.check_output, [sys.executable, "-c", IMPORT])
    return [float(run(text=True)) for _ in range(repeats)]


def first_step_s() -> dict[str, float]:
    """Seconds to the end of configs/synthetic.py's first step, cold and warm."""
    train = [sys.executable, "-m", "emotion_jax.train", "--config=configs/synthetic.py"]
    train += ["--config.log.every=1", "--config.stop_at=2", "--workdir"]
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        env = os.environ | {"EMOTION_JAX_CACHE": f"{scratch}/cache"}
        env.pop("JAX_COMPILATION_CACHE_DIR", None)
        for start in ("cold", "warm"):
            begin, command = time.perf_counter(), [*train, f"{scratch}/{start}"]
            line = b""
            with subprocess.Popen(command, env=env, stderr=subprocess.PIPE) as process:
                for line in process.stderr:
                    if line.startswith(b"step ") and start not in found:
                        found[start] = round(time.perf_counter() - begin, 2)
            if process.returncode:  # such as on a TPU, which this process holds
                logs.say(f"no first step: {line.decode().strip()}")
    return found


def smallest() -> rigs.Rig:
    """A network so small that Python takes nearly all the time."""
    config = load_config("configs/synthetic.py", [])
    config.model = {"name": "resnet", "blocks": (1,), "width": 8, "stem_stride": 4}
    config.augment, config.data.side = {}, 16
    config.optim.name, config.optim.ema_decay = "sgd", 0.0
    config.optim.options = {}
    return rigs.Rig(config, sharding.make_mesh(), sharding.make_mesh().size, 64)


def host(repeats: int, steps: int = 200) -> dict:
    """Milliseconds per step of the smallest network: wall time, and thread time.

    Wall time includes the tiny network; Python's thread time is what a training does as
    the device works: take the next rows, call the step, read the last step's metrics.
    """
    rig = smallest()
    found = {
        f"{calls} a call": rigs.spread(
            [
                1e3 * rig.batch_size / r
                for r in rigs.training(rig, "resident", repeats, calls)
            ]
        )
        for calls in (1, 4)
    }
    feed = rig.feed("resident")
    batches, train_step, state = feed.batches(0), rig.train_step(feed), rig.state()
    state, before = train_step(state, next(batches))
    threads = []
    for _ in range(repeats):
        begin = time.thread_time()
        for _ in range(steps):
            state, metrics = train_step(state, next(batches))
            jax.device_get(before)
            before = metrics
        threads.append(1e3 * (time.thread_time() - begin) / steps)
    return found | {"thread": rigs.spread(threads)}
