"""A look inside a run: a trace of some of its steps, its parameters, its first NaN."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import jax
from clu import parameter_overview

from emotion_jax import bucket, logs
from emotion_jax.errors import Mistake


class Profile:
    """Traces some steps into WORKDIR/profile, for TensorBoard and ui.perfetto.dev."""

    def __init__(self, workdir: Path, total: int, *, steps: str = ""):
        """`steps`, of the run's `total`: like "100:110", both included; "" is none."""
        match = re.fullmatch(r"(\d+):(\d+)", steps)
        if steps and not (match and 0 < int(match[1]) <= int(match[2])):
            raise Mistake(
                f"config.profile.steps is {steps!r}, must be FIRST:LAST, as 100:110"
            )
        self.first, self.last = map(int, match.groups()) if match else (0, 0)
        if self.first > total:
            raise Mistake(
                f"config.profile.steps is {steps!r}, and the run ends at step {total}"
            )
        self.folder, self.on = workdir / "profile", False

    def over(self, batches: Iterable, start: int) -> Iterator:
        """Yields the same batches, and records the work done on the traced steps'.

        The trace ends one step after the last of them, when the run's log has waited
        for that one.
        """
        for step, batch in enumerate(batches, start + 1):
            if step == self.first:
                jax.profiler.start_trace(self.folder, create_perfetto_trace=True)
                self.on = True
            if self.on and step <= self.last:
                with jax.profiler.StepTraceAnnotation("train", step_num=step):
                    yield batch
            else:
                yield batch
            if step > self.last:
                self.stop()

    def stop(self) -> None:
        """Writes the trace, if one is running."""
        if self.on:
            jax.profiler.stop_trace()
            self.on = False
            where = bucket.origin(self.folder)
            logs.say(f"traced steps {self.first} to {self.last} into {where}")

    def __enter__(self) -> "Profile":
        return self

    def __exit__(self, *exception) -> None:
        """Writes what there is, if the run ends during the traced steps."""
        self.stop()


def parameter_table(params: dict) -> str:
    """Every parameter's shape, type, size and place on the devices."""
    return parameter_overview.get_parameter_overview(params, include_stats="sharding")
