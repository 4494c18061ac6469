"""The main job: train the network that a config describes, and evaluate it on the way.

  python -m emotion_jax.train --config configs/synthetic.py --workdir runs/first
  python -m emotion_jax.train --config configs/fer5.py --workdir runs/fer5 \\
      --data fer2013=fer2013.csv --config.train.epochs=30

Started again on the same workdir, it resumes where it stopped and ends with the same
bits. A workdir may be in a bucket (--workdir gs://bucket/runs/first, with the extra
gcs).
"""

from pathlib import Path

import jax
from clu import parameter_overview
from ml_collections import ConfigDict

from emotion_jax import (
    bucket,
    cli,
    interrupt,
    logs,
    probe,
    processes,
    sharding,
    warm_start,
)
from emotion_jax.assembly import assemble
from emotion_jax.checkpoint import Checkpoints, step_folders
from emotion_jax.config import check_config
from emotion_jax.data.sections import set_paths
from emotion_jax.evaluate import finish
from emotion_jax.evaluator import Evaluator, Validation
from emotion_jax.meta import Meta
from emotion_jax.registry import build
from emotion_jax.sharding import abstract
from emotion_jax.workdir import (
    alone,
    check_faces,
    close_workdir,
    faces_of,
    is_done,
    open_workdir,
)


def train_and_evaluate(config: ConfigDict, workdir: str | Path) -> None:
    """Trains to the end of the config's run, or to `config.stop_at`.

    Raises:
      Mistake: the config or the data cannot be trained on; the workdir is untouched.
      Stopped: the loss is not finite, or the disk is full; the checkpoints are whole.
      Preempted, Interrupted: a signal came, and the step it came in is saved.
    """
    check_config(config)
    # As a context: JAX forgets the global switch where an operation turns it off.
    with jax.debug_nans(config.debug), bucket.folder(workdir, "--workdir") as home:
        if is_done(home.path, config):
            there = "checkpoints and logs are there"
            gone = "checkpoints are gone; to train again, delete its done.json"
            kept = step_folders(home.path / "checkpoints")
            logs.say(f"{workdir} is done: its {there if kept else gone}")
            return finish(home.path, config)
        with alone(home.path):
            train_in(home, config)


def train_in(home: bucket.Folder, config: ConfigDict) -> None:
    """Trains in a folder that is not done yet."""
    workdir = home.path

    # Everything that the config describes, checked before anything slow starts.
    mesh = sharding.make_mesh()
    parts = assemble(config, mesh)
    tasks, plan = parts.tasks, parts.plan
    faces = faces_of(parts.train, parts.val)
    check_faces(workdir, faces)
    evaluator = Evaluator(tasks, config.model, mesh)
    validation = build(config, "eval", Validation, evaluator, parts.val, plan)
    checkpoints = build(config, "checkpoint", Checkpoints, workdir, plan, home.shared)
    validation.check_headline(checkpoints.best)
    log = build(config, "log", logs.RunLog, workdir, plan)
    profile = build(config, "profile", probe.Profile, workdir, plan.total)
    init = parts.make_init()
    like = abstract(init, mesh, config.fsdp)

    # The state is restored to its devices, or created there.
    state = checkpoints.restore(like)
    source = "" if state else config.init_from
    given = warm_start.load(source, like, mesh, config.model, tasks)
    open_workdir(workdir, config, faces)
    layout = jax.tree.map(lambda x: x.sharding, like)
    if state is None:
        state = jax.jit(init, out_shardings=layout)(given)
    start, patience = int(state.step), validation.patience
    for when, numbers in logs.evaluations(workdir / "metrics.jsonl", start).items():
        patience.take(when, checkpoints.score(numbers))
    meta = parts.meta(evaluator.temperature)
    train_step = parts.make_train_step(layout)

    if config.debug:
        logs.say(probe.parameter_table(like.params))
    say_what_runs(like, meta, plan, start, mesh)
    batches = profile.over(parts.feed.batches(start), start)
    with interrupt.Signals() as signals, profile, checkpoints, log.open(start):
        steps = patience.through(range(start + 1, plan.stop + 1))
        for now, inputs in zip(steps, batches):
            state, metrics = train_step(state, inputs, parts.teach)
            log.step(now, metrics)
            stop, due = signals.stop_at(now), validation.due(now)
            if not (due or checkpoints.due(now) or stop):
                continue
            log.flush()  # raises on a loss that is not finite, before it is saved
            if due or not stop:  # a signal leaves no time for more than it must
                values, temperatures = validation.numbers(state.variables())
                meta = meta.after(temperatures)
            if due:
                log.evaluation(now, values)
                patience.take(now, checkpoints.score(values))
            checkpoints.save(state, meta, values if due else None)
            home.publish()
            log.measure_from(now)  # evaluating and saving are no training
            if stop:
                signals.leave(now)
    if patience.over:
        said = f"no {checkpoints.best} on val is better than that of step"
        logs.say(f"{said} {patience.best}: the run ends here")
    if patience.over or plan.stop == plan.total:
        close_workdir(workdir, state, mesh)
        finish(workdir, config)
    elif start < plan.stop:
        logs.say(f"step {plan.stop} is saved: config.stop_at ends the run here")


def say_what_runs(like, meta: Meta, plan, start: int, mesh) -> None:
    """Prints the lines above the progress: network, faces, splits, steps, devices."""
    count = int(parameter_overview.count_parameters(like.params))  # 1.0 for a scalar
    device = f"{mesh.size} x {mesh.devices.flat[0].device_kind}"
    logs.say(f"{count:,} parameters, batches of {plan.batch_size} on {device}")
    for line in meta.data:
        logs.say(line)
    if start < plan.stop:
        logs.say(f"steps {start + 1} to {plan.stop} of {plan.total}")
    else:
        logs.say(f"step {start} of {plan.total} is there: nothing to do")


def main(args: list[str]) -> None:
    """The training binary."""
    parser = cli.Parser("python -m emotion_jax.train", __doc__)
    parser.add_argument(
        "--workdir",
        required=True,
        metavar="DIR",
        help="where the run is kept; or gs://...",
    )
    parser.add_argument("--data", **cli.SOURCES, help="a source's file or folder")
    parser.add_argument("--val", **cli.SOURCES, help="a second file, for validation")
    processes.add_flags(parser)
    flags, config = parser.parse_with_config(args)
    check_config(config)
    processes.start(flags.coordinator, flags.processes, flags.process)
    with interrupt.between_steps():
        set_paths(config, flags.data, "path")
        set_paths(config, flags.val, "val")
        train_and_evaluate(config, flags.workdir)


if __name__ == "__main__":
    cli.main(main)
