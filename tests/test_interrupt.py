"""Laws of signals: noted, the step saved, then obeyed; the handlers put back."""

import os
import signal
import threading

import pytest
import tiny
from tiny import done_of, log_of

from emotion_jax import cli, train
from emotion_jax.errors import Interrupted, Preempted
from emotion_jax.interrupt import Signals, between_steps
from emotion_jax.train import train_and_evaluate


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
    with pytest.raises(KeyboardInterrupt), Signals():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_so_it_is_after_a_sigterm():
    with pytest.raises(KeyboardInterrupt), Signals() as signals:
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        assert signals.noted == signal.SIGTERM
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    "number, error", [(signal.SIGTERM, Preempted), (signal.SIGINT, Interrupted)]
)
def test_one_that_comes_after_the_last_step_is_obeyed_too(number, error):
    told = f"stopped by {signal.Signals(number).name} before the first step or after"
    with pytest.raises(error, match=told), Signals() as signals:
        assert not signals.stop_at(8)
        os.kill(os.getpid(), number)


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


def test_a_sigterm_before_the_first_step_ends_the_run_at_once():
    with pytest.raises(Preempted, match="before the first step .* again"):
        with between_steps():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            except Exception:  # as whoever reads a checkpoint has it
                pytest.fail("it was taken for another error")


def test_a_second_sigterm_does_not_disturb_the_end():
    ended = False
    with pytest.raises(Preempted):
        with between_steps():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                ended = True
    assert ended


@pytest.fixture
def interruptible():
    """Ctrl-C as usual, though a shell that runs us in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_steps_save_first_and_an_interrupt_stays_one(interruptible):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Preempted, match="step 7 is saved"):
        with between_steps(), Signals() as signals:
            os.kill(os.getpid(), signal.SIGTERM)
            assert signals.stop_at(7)
            signals.leave(7)
    with pytest.raises(KeyboardInterrupt):
        with between_steps():
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == before


def test_between_steps_a_thread_may_set_no_handler_either():
    entered = []

    def work():
        with between_steps():
            entered.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [True]


def test_a_training_told_to_stop_before_its_first_step_exits_75(monkeypatch, capsys):
    def told(config, workdir):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(train, "train_and_evaluate", told)
    args = ["--config=configs/synthetic.py", "--workdir=nowhere"]
    assert cli.run(train.main, args) == 75
    assert "start the same command again" in capsys.readouterr().err


def send(monkeypatch, number, at, times=1):
    """Sends the process a signal after step `at`, as a machine's owner would."""
    before = train.logs.RunLog.step

    def step(self, now, metrics):
        before(self, now, metrics)
        if now == at:
            for _ in range(times):
                os.kill(os.getpid(), number)

    monkeypatch.setattr(train.logs.RunLog, "step", step)


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_saves_the_step_it_came_in(
    whole, tmp_path, monkeypatch, capsys, number, code
):
    def binary(args):
        train_and_evaluate(tiny.config(), tmp_path)

    before = signal.getsignal(number)
    send(monkeypatch, number, at=4)
    assert cli.run(binary, []) == code
    told = capsys.readouterr().err.splitlines()[-1]
    assert "step 4 is saved, and the same command goes on from there" in told
    assert (tmp_path / "checkpoints" / "4").is_dir()
    assert signal.getsignal(number) == before
    monkeypatch.undo()
    assert cli.run(binary, []) == 0
    assert done_of(tmp_path) == done_of(whole)
    assert log_of(tmp_path) == log_of(whole)


def test_a_signal_saves_before_it_evaluates(tmp_path, monkeypatch):
    def slow(*args):
        pytest.fail("it may take longer than there is time")

    send(monkeypatch, signal.SIGTERM, at=2)
    monkeypatch.setattr(train.Validation, "numbers", slow)
    with pytest.raises(Preempted):
        train_and_evaluate(tiny.config(), tmp_path)
    assert (tmp_path / "checkpoints" / "2").is_dir()


def test_a_second_interrupt_stops_at_once(tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    send(monkeypatch, signal.SIGINT, at=4, times=2)
    with pytest.raises(KeyboardInterrupt):
        train_and_evaluate(tiny.config(), tmp_path)
    assert not (tmp_path / "checkpoints" / "4").exists()
    assert signal.getsignal(signal.SIGINT) == before
