"""Laws of signals: noted, not obeyed at once; and the handlers put back."""

import os
import signal
import threading

import pytest

from emotion_jax.errors import Interrupted, Preempted
from emotion_jax.interrupt import Signals


@pytest.mark.parametrize(
    "number, error", [(signal.SIGTERM, Preempted), (signal.SIGINT, Interrupted)]
)
def test_a_signal_waits_for_the_saved_step(number, error):
    with Signals() as signals:
        assert not signals.stop_at(6)
        os.kill(os.getpid(), number)
        assert signals.stop_at(7)
        with pytest.raises(error, match=f"{signal.Signals(number).name}; step 7 is"):
            signals.leave(7)


def test_the_first_signal_counts():
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Preempted):
            signals.leave(1)


def test_a_second_interrupt_is_obeyed_at_once():
    with Signals():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_so_it_is_after_a_sigterm():
    with Signals() as signals:
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert signals.noted == signal.SIGTERM


def test_the_handlers_of_before_are_put_back():
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    with Signals():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_thread_that_may_set_no_handler_trains_all_the_same():
    entered = []

    def work():
        with Signals() as signals:
            entered.append(signals.stop_at(1))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [False]
