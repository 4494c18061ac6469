"""Being told to stop: the signal is noted, the next step saved, and the run ends."""

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
    """Has SIGTERM end the run at once, as Preempted, while no `Signals` hears it.

    Like Ctrl-C it comes as KeyboardInterrupt, which nothing on its way takes for a
    fault of its own, as a damaged checkpoint. Among several processes JAX hears it.
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
            raise Preempted(BETWEEN) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


class Signals:
    """Hears SIGTERM and SIGINT while it is entered; a second SIGINT stops at once.

    A handler that ended the process there and then would lose what it learnt since the
    last checkpoint. So a signal is only noted, and the loop saves at its next step and
    calls `leave`. Among several processes JAX hears SIGTERM, in any of them, and finds
    a step at which all can stop.
    """

    def __init__(self):
        self.several = jax.process_count() > 1
        self.noted: signal.Signals | None = None
        self.interrupted = False  # if SIGTERM came first, it is `noted` that stays
        self.before = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            heard = [signal.SIGINT] if self.several else ENDS
            self.before = {number: signal.signal(number, self.note) for number in heard}
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def note(self, number: int, frame) -> None:
        """The handler."""
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
        """Ends the run, whose step `step` is saved by now."""
        noted = self.noted or signal.SIGTERM  # or another process heard it
        raise ENDS[noted](
            f"stopped by {noted.name}; step {step} is saved, and the same command goes "
            "on from there"
        )
