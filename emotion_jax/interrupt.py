"""Signals to stop: one is noted, the next step is saved, and the run ends."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

import jax
from jax.experimental import multihost_utils

from emotion_jax.errors import Interrupted, Preempted
from emotion_jax.processes import BETWEEN

ENDS = {signal.SIGTERM: Preempted, signal.SIGINT: Interrupted}


@contextlib.contextmanager
def between_steps() -> Iterator[None]:
    """Makes SIGTERM end the run at once, as Preempted, while no `Signals` handles it.

    Like Ctrl-C it is raised as KeyboardInterrupt, which no code on its way mistakes for
    its own error, such as a damaged checkpoint. With several processes JAX handles it.
    """
    if (
        jax.distributed.is_initialized()
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return
    told = []

    def end(number: int, frame) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
        told.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        if told:
            raise Preempted(BETWEEN.format("SIGTERM")) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


class Signals:
    """Handles SIGTERM and SIGINT inside a `with`; a second SIGINT stops at once.

    A handler that ended the process immediately would lose what it learnt since the
    last checkpoint. So a signal is only noted, and the loop saves at its next step and
    calls `leave`. With several processes JAX handles SIGTERM, in any of them, and finds
    a step at which all can stop.
    """

    def __init__(self):
        self.several = jax.process_count() > 1
        self.noted: signal.Signals | None = None
        self.interrupted = False  # `noted` stays SIGTERM if that came first
        self.before = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            heard = [signal.SIGINT] if self.several else ENDS
            self.before = {number: signal.signal(number, self.note) for number in heard}
        return self

    def __exit__(self, kind, *exception) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        if kind is None and self.noted and not self.several:  # after the last step
            raise ENDS[self.noted](BETWEEN.format(self.noted.name))

    def note(self, number: int, frame) -> None:
        """The signal handler."""
        if number == signal.SIGINT and self.interrupted:
            raise KeyboardInterrupt
        self.interrupted |= number == signal.SIGINT
        self.noted = self.noted or signal.Signals(number)
        if self.several:
            os.kill(os.getpid(), signal.SIGTERM)  # JAX tells the others

    def stop_at(self, step: int) -> bool:
        """Whether to stop after this step; every process must ask at every step."""
        if self.several:
            return multihost_utils.reached_preemption_sync_point(step)
        return self.noted is not None

    def leave(self, step: int) -> None:
        """Ends the run, after step `step` has been saved."""
        noted = self.noted or signal.SIGTERM  # None if another process received it
        self.noted = None
        raise ENDS[noted](
            f"stopped by {noted.name}; step {step} is saved, and the same command goes "
            "on from there"
        )
