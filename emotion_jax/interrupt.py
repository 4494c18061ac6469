"""Being told to stop: the signal is noted, the next step saved, and the run ends."""

import signal
import threading

from emotion_jax.errors import Interrupted, Preempted

ENDS = {signal.SIGTERM: Preempted, signal.SIGINT: Interrupted}


class Signals:
    """Hears SIGTERM and SIGINT while it is entered; a second SIGINT stops at once.

    A handler that ended the process there and then would lose what it learnt since the
    last checkpoint. So a signal is only noted, and the loop saves at its next step and
    calls `leave`.
    """

    def __init__(self):
        self.caught: signal.Signals | None = None
        self.before = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self.note) for number in ENDS}
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def note(self, number: int, frame) -> None:
        """The handler."""
        if number == signal.SIGINT and self.caught == signal.SIGINT:
            raise KeyboardInterrupt
        self.caught = self.caught or signal.Signals(number)

    def leave(self, step: int) -> None:
        """Ends the run if a signal came; step `step` is saved by now."""
        if self.caught:
            raise ENDS[self.caught](
                f"stopped by {self.caught.name}; step {step} is saved, and the same "
                "command goes on from there"
            )
