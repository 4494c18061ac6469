"""A run's logs: JSON lines, TensorBoard events, and lines for a person to read."""

import json
import math
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import jax

from emotion_jax import files
from emotion_jax.errors import Stopped
from emotion_jax.plan import Plan

ON_CONSOLE = ("accuracy", "macro_f1", "rmse_px", "nme")
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def environment() -> dict[str, object]:
    """What the numbers of a run depend on besides its config."""
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "platform": jax.default_backend(),
        "devices": [device.device_kind for device in jax.devices()],
        "processes": jax.process_count(),
        "commit": commit(),
    }


def commit() -> str | None:
    """This code's commit, or None outside its clone or without git."""
    git, here = ["git", "-C", str(Path(__file__).parent)], Path(__file__).name
    options = {"capture_output": True, "text": True, "check": True}
    try:
        # Another project's commit if the package was installed inside one.
        subprocess.run([*git, "ls-files", "--error-unmatch", here], **options)
        found = subprocess.run([*git, "describe", "--always", "--dirty"], **options)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def records(path: Path, last: int) -> list[dict]:
    """What a run has logged up to the step `last`."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
            if record["step"] <= last:
                found.append(record)
        except (ValueError, KeyError, TypeError):
            break  # a kill may have cut the last line
    return found


def evaluations(path: Path, last: int) -> dict[int, dict[str, float]]:
    """The numbers on `val` that a run has logged up to the step `last`, by step."""
    found = {}
    for record in records(path, last):
        numbers = {k[4:]: v for k, v in record.items() if k.startswith("val/")}
        if numbers:
            found[record["step"]] = numbers
    return found


def cut_back(path: Path, last: int) -> None:
    """Drops what was logged after `last`, so that each step is logged once."""
    if path.exists():
        kept = [json.dumps(record) + "\n" for record in records(path, last)]
        files.write_text(path, "".join(kept))


def say(text: str) -> None:
    """Prints a line for the person at the console, in the first process only."""
    if jax.process_index() == 0:
        print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """A duration as a person writes it: 42 s, 3 min 5 s, 2 h 7 min."""
    seconds = round(seconds)
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


def means(pairs: Mapping[str, tuple]) -> dict[str, float]:
    """The mean of each metric that counted anything; of squares the root, as rmse."""
    found = {key: float(t) / float(n) for key, (t, n) in pairs.items() if n > 0}
    roots = {key: math.sqrt(v) for key, v in found.items() if "/square_" in key}
    return {k.replace("/square_", "/rmse_"): roots.get(k, v) for k, v in found.items()}


class RunLog:
    """One run's log: every number is read one step late, so no device waits for it.

    `metrics.jsonl` holds the numbers of single steps, not of windows, so that a run
    that was killed and resumed writes the same lines as one that was not.
    """

    def __init__(self, workdir: Path, plan: Plan, *, every: int | str):
        self.workdir, self.total, self.batch_size = workdir, plan.total, plan.batch_size
        self.every = plan.every(every, "log.every")
        self.lead = jax.process_index() == 0
        self.pending: tuple[int, Mapping] | None = None

    def open(self, start: int) -> "RunLog":
        """Opens the log, to go on after step `start`; a `with` closes it."""
        # Not tensorboardX's SummaryWriter: a full disk ends its thread, and the run
        # would wait for that forever. The imports take half a second.
        from tensorboardX.proto.event_pb2 import SessionLog
        from tensorboardX.record_writer import RecordWriter

        self.start, self.rate = start, 0.0
        if self.lead:
            path = self.workdir / "metrics.jsonl"
            cut_back(path, start)
            self.lines = path.open("a", buffering=1)
            name = f"events.out.tfevents.{time.time():.3f}.{platform.node()}"
            self.events = RecordWriter(str(self.workdir / name))
            self.write_event(file_version="brain.Event:2")
            began = SessionLog(status=SessionLog.START)  # drops later steps' events
            self.write_event(step=start + 1, session_log=began)
        return self

    def step(self, step: int, metrics: Mapping[str, tuple]) -> None:
        """Takes the metrics of the step just begun; logs those of the one before."""
        self.flush()
        self.pending = step, metrics

    def flush(self) -> None:
        """Waits for the last step taken and logs it."""
        if self.pending is None:
            return
        (step, pairs), self.pending = self.pending, None
        pairs = jax.device_get(pairs)
        values = means(pairs)
        vital = {"loss": "loss", "grad_norm": "norm of the gradient"}
        for key, name in vital.items():
            if not math.isfinite(values[key]):
                raise Stopped(
                    f"the {name} is {values[key]} at step "
                    f"{step}; the checkpoints before it are whole. A lower "
                    "config.optim.learning_rate or config.optim.clip_norm=1 may help"
                )
        if step == self.start + 1:  # which compiled: speed is measured from here
            self.measure_from(step)
        if step % self.every == 0 or step == self.total:
            self.progress(step, values)
            self.write(step, values, prefix="train")

    def progress(self, step: int, values: Mapping[str, float]) -> None:
        """Prints the console's line: the step, the speed, and the time left."""
        seconds, steps = time.perf_counter() - self.clock, step - self.clock_step
        self.measure_from(step)
        self.rate = steps * self.batch_size / max(seconds, 1e-9)
        left = (self.total - step) * seconds / max(steps, 1)
        tasks = [f"{k} {v:.3f}" for k, v in values.items() if "/" in k]
        say(
            f"step {step:>{len(str(self.total))}}/{self.total}  "
            f"train: loss {values['loss']:.3f}  {'  '.join(tasks)}  "
            f"{self.rate:,.0f} images/s  {duration(left)} left"
        )

    def measure_from(self, step: int) -> None:
        """Begins to measure the speed: what came before this call does not count."""
        self.clock, self.clock_step = time.perf_counter(), step

    def evaluation(self, step: int, values: Mapping[str, float | None]) -> None:
        """Logs the numbers of an evaluation on `val`."""
        self.flush()
        self.write(step, values, prefix="val")
        told = [
            f"{key} {value:.3f}"
            for key, value in values.items()
            if key.partition("/")[2] in ON_CONSOLE and value is not None
        ]
        say(f"step {step:>{len(str(self.total))}}/{self.total}  val: {'  '.join(told)}")
        if self.lead:
            self.events.flush()

    def write(self, step: int, values: Mapping, prefix: str) -> None:
        """Writes one JSON line, and the same numbers as TensorBoard events."""
        if not self.lead:
            return
        numbers = {
            f"{prefix}/{key}": value
            for key, value in values.items()
            if isinstance(value, int | float)
        }
        timing = {"seconds": round(time.time(), 3), "images_per_s": round(self.rate, 1)}
        self.lines.write(json.dumps({"step": step} | numbers | timing) + "\n")
        from tensorboardX.summary import scalar

        for key, value in numbers.items():
            self.write_event(step=step, summary=scalar(key, value))

    def write_event(self, **what) -> None:
        """Writes an event for TensorBoard."""
        from tensorboardX.proto.event_pb2 import Event

        event = Event(wall_time=time.time(), **what)
        self.events.write(event.SerializeToString())

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, kind, *exception) -> None:
        """Closes the log; a run that ended early has no last step to write."""
        if kind is not None:
            self.pending = None
        self.close()

    def close(self) -> None:
        """Logs the last step and closes the files."""
        self.flush()
        if self.lead and not self.lines.closed:
            try:
                self.lines.close()
            finally:
                self.events.close()
