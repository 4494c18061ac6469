"""Seconds to reach an accuracy on PublicTest: this package, and the course in Keras.

  python launch/race.py --config configs/sprint.py --data fer2013.csv --out results

Both start from nothing but the CSV, with nothing compiled; every second counts. Ours is
the training binary's whole run, with a recipe chosen on val; Keras is evaluated after
each epoch, until the target or --minutes are reached. Needs TensorFlow.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import rig

from emotion_jax import cli, logs
from emotion_jax.errors import Mistake, Stopped

KERAS = Path(__file__).with_name("course_keras.py")


def call(arguments: list[str], cache: str) -> float:
    """Seconds that Python takes with these arguments; its output is passed through."""
    begin = time.perf_counter()
    env = os.environ | {"EMOTION_JAX_CACHE": cache}
    env.pop("JAX_COMPILATION_CACHE_DIR", None)
    if subprocess.run([sys.executable, *arguments], env=env).returncode:
        raise Stopped(f"python {' '.join(arguments)} failed: see above")
    return round(time.perf_counter() - begin, 1)


def ours(config: list[str], csv: Path, scratch: Path) -> dict:
    """The seconds of a training, cold and again warm, and the accuracy it reached."""
    cache, found = str(scratch / "cache"), {}
    train = ["-m", "emotion_jax.train", *config, "--data", f"fer2013={csv}"]
    train += ["--config.eval.report=False", "--workdir"]
    for start in ("cold", "warm"):
        workdir = str(scratch / start)
        found[f"seconds_{start}"] = call([*train, workdir], cache)
    evaluate = ["-m", "emotion_jax.evaluate", "--split", "PublicTest"]
    out = scratch / "evaluation"
    call([*evaluate, "--checkpoint", workdir, "--out", str(out)], cache)
    numbers = json.loads((out / "metrics.json").read_text())
    return found | {"accuracy": numbers["emotion/accuracy"]}


def keras(csv: Path, target: float, minutes: float) -> dict:
    """Keras's epochs, and their summary."""
    run = [sys.executable, KERAS, csv, "--target", str(target)]
    run += ["--minutes", str(minutes)]
    epochs = []
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            epochs.append(json.loads(line))
            logs.say(line.strip())
    if process.returncode:
        raise Stopped("Keras failed: see above")
    if not epochs:
        raise Stopped("Keras ended no epoch in this time: give more --minutes")
    return summary(epochs, target)


def summary(epochs: list[dict], target: float) -> dict:
    """The seconds to reach the target, or those spent without reaching it."""
    best = max(epoch["accuracy"] for epoch in epochs)
    seconds = epochs[-1]["seconds"]
    there = {"reached": best >= target, "seconds": seconds, "accuracy": best}
    return there | {"epochs": epochs}


def compared(ours: dict, keras: dict, target: float) -> dict[str, float]:
    """How many times as long Keras took; nothing if ours missed the target."""
    if ours["accuracy"] < target:
        return {}
    bound = "ratio" if keras["reached"] else "ratio_at_least"
    return {bound: round(keras["seconds"] / ours["seconds_cold"], 1)}


def main(args: list[str]) -> None:
    """The race."""
    parser = cli.Parser("python launch/race.py", __doc__)
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="CSV", help="FER2013, with Usage")
    add("--target", type=float, default=0.6, metavar="A", help="accuracy to reach")
    add("--minutes", type=float, default=60.0, metavar="M", help="at most, for Keras")
    add("--out", type=cli.here, metavar="DIR", help="where race.json goes")
    overrides = cli.overrides(args)
    flags, _ = parser.parse_with_config(args)
    if not flags.data.is_file():
        raise Mistake(f"--data {flags.data} is no file")
    if not 0 < flags.target < 1 or flags.minutes <= 0:
        raise Mistake("--target is between 0 and 1, --minutes above 0")
    with flags.data.open(errors="replace") as csv:
        if "Usage" not in csv.readline():
            raise Mistake(f"--data {flags.data} has no column Usage")
    if importlib.util.find_spec("tensorflow") is None:
        raise Mistake("Keras wants TensorFlow: pip install tensorflow")
    if flags.out:
        cli.check_folder("--out", flags.out)

    found = {"config": flags.config, "overrides": overrides, "target": flags.target}
    found |= logs.environment() | {"cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as scratch:
        config = ["--config", str(flags.config), *overrides]
        found["emotion_jax"] = ours(config, flags.data, Path(scratch))
    found["keras"] = keras(flags.data, flags.target, flags.minutes)
    found |= compared(found["emotion_jax"], found["keras"], flags.target)
    for name, value in found.items():
        print(f"{name:12} {json.dumps(value)}")
    rig.keep(flags.out, "race.json", found)


if __name__ == "__main__":
    cli.main(main)
