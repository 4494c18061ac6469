"""The search itself: Optuna draws recipes, and stops unpromising ones early.

Its memory is an SQLite file. Several processes may share it: one that dies stops its
heartbeat, and a living one restarts what it had begun.
"""

import contextlib
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import lab as labs
import spaces
import tally

from emotion_jax import logs

HEARTBEAT_S, DEAD_AFTER_S = 15, 60  # without a heartbeat, a process is dead
WARM_UP = 6  # recipes with all their seeds, before any is stopped early


class OutOfTime(Exception):
    """The time is up; what remains is left for the next start."""


class Clock:
    """The remaining time, measured in runs."""

    def __init__(self, minutes: float):
        self.end = time.monotonic() + 60 * minutes if minutes else float("inf")
        self.longest = 0.0

    @contextlib.contextmanager
    def run(self, spare: int):
        """Times one run, if there is time for it and `spare` more like the longest."""
        begin = time.monotonic()
        if begin + (1 + spare) * self.longest > self.end:
            raise OutOfTime
        yield
        self.longest = max(self.longest, time.monotonic() - begin)


@contextlib.contextmanager
def open_study(out: Path, name: str, metric: str):
    """The search's memory, in OUT; what a dead process had begun is begun again.

    Optuna's own messages are hidden meanwhile: they are not for users of the sweep.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study, storage = make_study(out, name, metric)
        try:
            yield study
        finally:
            storage.remove_session()
            storage.engine.dispose()  # closes the file


def make_study(out: Path, name: str, metric: str):
    """The study, and the storage that it is in."""
    import optuna

    storage = optuna.storages.RDBStorage(
        f"sqlite:///{out / 'study.db'}",
        engine_kwargs={"connect_args": {"timeout": 60}},
        heartbeat_interval=HEARTBEAT_S,
        grace_period=DEAD_AFTER_S,
        heartbeat_stale_trial_callback=lambda study, trial: study.enqueue_trial(
            trial.params
        ),
    )
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        load_if_exists=True,
        direction="minimize" if labs.better(metric) is min else "maximize",
        sampler=optuna.samplers.TPESampler(
            multivariate=True, group=True, constant_liar=True
        ),
        pruner=optuna.pruners.PercentilePruner(50.0, n_startup_trials=WARM_UP),
    )
    return study, storage


def search(
    study,
    space: spaces.Space,
    bench: Callable[[labs.Recipe, int], labs.Bench],
    clock: Clock,
    *,
    trials: int,
    seeds: int,
    jobs: int = 1,
    spare: int = 0,
    after: Callable[[], None] = lambda: None,
) -> None:
    """Draws and measures recipes until this many are done, or the time is up.

    Args:
      bench: from a recipe and its number to an object with `run(seed)`.
      spare: for how many more runs time must remain in the end.
      after: called after each recipe.
    """
    import optuna

    done = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED

    def objective(trial) -> float:
        recipe, values = spaces.draw(trial, space), []
        made = bench(recipe, trial.number)
        for seed in range(seeds):
            try:
                with clock.run(spare):
                    found = made.run(seed)
            except (OutOfTime, KeyboardInterrupt):
                study.enqueue_trial(trial.params)
                study.stop()
                raise
            if found["value"] is None:
                raise optuna.TrialPruned("the loss is not finite")
            values.append(found["value"])
            trial.report(sum(values) / len(values), seed)
            if seed + 1 < seeds and trial.should_prune():
                raise optuna.TrialPruned("its first seeds promise too little")
        return sum(values) / len(values)

    def told(study, trial) -> None:
        value = tally.number(trial.value)
        logs.say(f"recipe {trial.number}: {value}, {trial.state.name.lower()}")
        after()

    if trials and len(study.get_trials(False, done)) >= trials:
        return
    stops = [optuna.study.MaxTrialsCallback(trials, done)] if trials else []
    study.optimize(objective, n_jobs=jobs, catch=(OutOfTime,), callbacks=[told, *stops])


def importance(study) -> dict[str, float]:
    """Each field's share of the variance; {} while that is unknown."""
    import optuna

    complete = study.get_trials(False, (optuna.trial.TrialState.COMPLETE,))
    if len(complete) < WARM_UP or len({trial.value for trial in complete}) < 2:
        return {}
    return optuna.importance.get_param_importances(study)
