"""Checkpoints: the only file that imports Orbax.

One step's folder is self-contained: the state, and a JSON with the config, the class
names, the side, the temperature and the format version, so that this folder alone,
without the config file, is enough to evaluate, predict or export.
"""

import contextlib
import dataclasses
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import orbax.checkpoint as ocp
from jax.sharding import Mesh
from orbax.checkpoint import checkpoint_managers as policies

from emotion_jax import bucket, damage, logs, pretrained, processes, sharding
from emotion_jax.errors import FULL, Mistake, Stopped
from emotion_jax.meta import Meta, as_meta, with_places
from emotion_jax.plan import Plan
from emotion_jax.scores import lower_is_better
from emotion_jax.step import TrainState

for name in ("absl", "asyncio"):  # Orbax raises whatever matters
    logging.getLogger(name).setLevel(logging.CRITICAL)


class Checkpoints:
    """A workdir's checkpoints: the newest few, and the best by a `val` score.

    If several processes do not share the folder, the first saves the whole state.
    """

    def __init__(
        self,
        workdir: Path,
        plan: Plan,
        shared: bool = True,
        *,
        every: int | str,
        keep: int,
        best: str,
    ):
        self.shared, self.alone = shared, not shared and jax.process_count() > 1
        self.directory = (workdir / "checkpoints").absolute()
        self.every, self.last = plan.every(every, "checkpoint.every"), plan.stop
        self.keep, self.best, self.total = keep, best, plan.total
        self.unsealed: list[Path] = []
        if keep < 1:
            raise Mistake(f"config.checkpoint.keep is {keep}, must be at least 1")

    def restore(self, like: TrainState) -> TrainState | None:
        """The newest intact state, on the devices of `like`, or None.

        A checkpoint that any process cannot read is reported and set aside as
        STEP.damaged, and the one before it is used: the run saves that step again.

        Raises:
          Mistake: it is of a longer run, or of another network.
        """
        state = None
        for step in sorted(self.steps(), reverse=True):
            folder = self.directory / str(step)
            state, problem = try_to_load(folder, like)
            if processes.all_agree(state is not None):
                break
            state = None
            if jax.process_index() == 0:
                problem = problem or "another process cannot read it"
                with one_sentence():
                    damage.set_aside(folder, problem)
        if state is not None and step > self.total:
            raise Mistake(
                f"the run has come to step {step}, and config.train asks for "
                f"{self.total}: ask for more, or take another --workdir"
            )
        return state

    def steps(self) -> list[int]:
        """The steps that have been saved."""
        return [int(folder.name) for folder in step_folders(self.directory)]

    def make_manager(self) -> ocp.CheckpointManager | None:
        """Orbax's manager: writes in the background, and deletes what is not kept."""
        if self.alone and jax.process_index() != 0:
            return None
        one = ocp.options.MultiprocessingOptions(
            primary_host=0, active_processes={0}, barrier_sync_key_prefix="alone"
        )
        how = {"multiprocessing_options": one, "create": False} if self.alone else {}
        if self.alone:
            self.directory.mkdir(exist_ok=True)
        best = policies.BestN(
            get_metric_fn=self.score, n=1, keep_checkpoints_without_metrics=False
        )
        latest = policies.LatestN(self.keep)
        with one_sentence():
            return ocp.CheckpointManager(
                self.directory,
                options=ocp.CheckpointManagerOptions(
                    preservation_policy=policies.AnyPreservationPolicy([latest, best]),
                    best_fn=self.score,  # without it Orbax does not write the metrics
                    cleanup_tmp_directories=True,
                    **how,
                ),
            )

    def score(self, metrics: Mapping[str, float]) -> float:
        """The number that chooses the best step, turned so that larger is better."""
        return rank(metrics, self.best)

    def due(self, step: int) -> bool:
        """Whether to save: at the config's cadence, and where this run stops."""
        return step % self.every == 0 or step == self.last

    def save(self, state: TrainState, meta: Meta, metrics: Mapping | None) -> None:
        """Starts writing the state; if it is to be uploaded, waits for it to finish.

        Args:
          metrics: the numbers of this step's evaluation on `val`, if there was one.
        """
        step = int(state.step)
        if self.alone:
            mesh = jax.tree.leaves(state)[0].sharding.mesh
            state = jax.device_get(sharding.gather(state, mesh))
        if self.manager is None:
            return
        headline = None if metrics is None else {self.best: metrics[self.best]}
        with one_sentence():
            self.finish()
            self.manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state),
                    meta=ocp.args.JsonSave(dataclasses.asdict(meta)),
                ),
                metrics=headline,
            )
            self.unsealed.append(self.directory / str(step))
            if not self.shared:
                self.finish()

    def finish(self) -> None:
        """Waits for what is being written, and seals it against damage."""
        self.manager.wait_until_finished()
        for folder in self.unsealed:
            if jax.process_index() == 0 and folder.is_dir():  # not deleted since
                damage.seal(folder)
        self.unsealed.clear()

    def __enter__(self) -> "Checkpoints":
        """Makes the folder, if it does not exist yet."""
        self.manager = self.make_manager()
        return self

    def __exit__(self, *exception) -> None:
        """Finishes what it began to write, however the run ends."""
        if self.manager is None:
            return
        with one_sentence():
            self.finish()
            self.manager.close()


def try_to_load(folder: Path, like: TrainState) -> tuple[TrainState | None, str]:
    """The state in a step's folder, or None and why it cannot be read.

    Raises:
      Mistake: it is intact, but does not fit this run.
      Stopped: it may be intact, but cannot be read now.
    """
    try:
        damage.check_digest(folder)
        load_meta(folder)
        check_arrays(folder, like)
        return load_state(folder, like), ""
    except Mistake:
        raise
    except Exception as error:  # Orbax and TensorStore raise all kinds of errors
        return None, damage.diagnose(folder, error)


def check_arrays(folder: Path, like: TrainState) -> None:
    """Raises a Mistake if the saved arrays are not those that this run has."""
    with reader(ocp.PyTreeCheckpointHandler) as checkpointer:
        tree = checkpointer.metadata(folder / "state").item_metadata.tree
    saved = [
        tuple(leaf.shape)
        for leaf in jax.tree.leaves(tree, is_leaf=lambda x: hasattr(x, "shape"))
        if hasattr(leaf, "shape")
    ]
    ours = [leaf.shape for leaf in jax.tree.leaves(like)]
    if sorted(saved) != sorted(ours):
        raise Mistake(
            f"{folder} holds {len(saved)} arrays of other shapes than this run's "
            f"{len(ours)}: another version of emotion_jax made it. Take another "
            "--workdir, with --config.init_from to start from its parameters"
        )


def rank(metrics: Mapping[str, float], best: str) -> float:
    """A score by which larger is better, whatever the metric."""
    return -metrics[best] if lower_is_better(best) else metrics[best]


@contextlib.contextmanager
def one_sentence():
    """Reports a full or read-only disk in one sentence, as Stopped."""
    try:
        yield
    except (OSError, ValueError) as error:  # the latter is TensorStore's
        what = getattr(error, "strerror", None)
        if getattr(error, "errno", 0) in FULL or "RESOURCE_EXHAUSTED" in str(error):
            what = "no space is left"
        if what is None:
            raise
        raise Stopped(f"could not write the checkpoint: {what}") from error


def step_folders(directory: Path) -> list[Path]:
    """The steps' folders in a workdir's checkpoints/, in no particular order."""
    return [path for path in directory.glob("[0-9]*") if path.name.isdigit()]


def candidates(checkpoint: str, flag: str = "--checkpoint") -> list[Path]:
    """The step folders that a name means: one step's, or a workdir's, best first."""
    place = bucket.place(checkpoint)
    if isinstance(place, bucket.Url):
        path = bucket.fetched(checkpoint, flag)
    else:
        path = place.absolute()
    isdir = os.path.isdir  # unlike Path's, it never raises
    runs = isdir(path / "checkpoints")
    if not runs and (isdir(path / "meta") or isdir(path / "state")):
        return [path]
    steps = step_folders(path / "checkpoints") if runs else []
    if not steps:
        there = "holds no checkpoint" if os.path.exists(path) else "does not exist"
        raise Mistake(
            f"{flag} {checkpoint} {there}; give a workdir or one step's folder "
            "inside its checkpoints/, or pretrained"
        )
    ranks = {p: rank_of(p) for p in steps}
    scored = [p for p in steps if ranks[p] is not None]
    others = [p for p in steps if ranks[p] is None]
    scored.sort(key=lambda p: (ranks[p], int(p.name)), reverse=True)
    others.sort(key=lambda p: int(p.name), reverse=True)
    return scored + others


def read(
    checkpoint: str, mesh: Mesh, flag: str = "--checkpoint"
) -> tuple[Path, Meta, dict]:
    """Reads a checkpoint: its folder, what it records about itself, its variables.

    In a workdir, a step that cannot be read is reported, and the next best is used.
    Weights that ship are in a folder too, though not one that Orbax wrote.
    """
    if pretrained.is_name(checkpoint):
        folder, about, arrays = pretrained.read(checkpoint, flag)
        meta, variables = as_meta(about["meta"], folder), pretrained.variables(arrays)
        return folder, meta, sharding.place(variables, sharding.whole(mesh))
    folders = candidates(checkpoint, flag)
    for folder in folders:
        try:
            damage.check_digest(folder)
            meta = with_places(load_meta(folder), workdir_of(folder))
            return folder, meta, load_variables(folder, mesh)
        except Mistake:
            raise
        except Exception as error:  # Orbax and TensorStore raise all kinds of errors
            what = damage.diagnose(folder, error)
            problem = f"{bucket.origin(folder)} is damaged ({what})"
            logs.say(f"{problem}; left out")
    raise Mistake(f"{flag} {checkpoint}: {problem}, and there is no other")


def workdir_of(folder: Path) -> Path | None:
    """The workdir that a step's folder is in, or None if it is on its own."""
    return folder.parents[1] if folder.parent.name == "checkpoints" else None


def copy_best(workdir: Path, target: Path, mesh: Mesh) -> Path:
    """Copies the best step's variables to another workdir: a third of the size.

    The copy can be evaluated, distilled from, warm-started from and packed like any
    other, but no run can resume from it. Returns the new step's folder.
    """
    folder, meta, variables = read(str(workdir), mesh)
    step = target.absolute() / "checkpoints" / folder.name
    with one_sentence(), ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as writer:
        writer.save(
            step,
            ocp.args.Composite(
                state=ocp.args.StandardSave({"ema": jax.device_get(variables)}),
                meta=ocp.args.JsonSave(dataclasses.asdict(meta)),
            ),
        )
    if (folder / "metrics").is_dir():
        shutil.copytree(folder / "metrics", step / "metrics")
    return step


def rank_of(folder: Path) -> float | None:
    """A step's score for ranking (larger is better), or None if not evaluated."""
    try:
        metrics = json.loads((folder / "metrics" / "metrics").read_text())
        return rank(metrics, next(iter(metrics)))
    except (OSError, ValueError, StopIteration):
        return None


def reader(handler: Callable[..., ocp.CheckpointHandler]) -> ocp.Checkpointer:
    """A checkpointer that reads in this process alone.

    Otherwise Orbax makes all processes wait for each other after they read, and one
    that finds damage would leave the others waiting.
    """
    me = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"reader{me}"
    )
    return ocp.Checkpointer(
        handler(multiprocessing_options=alone), multiprocessing_options=alone
    )


def load_meta(folder: Path) -> Meta:
    """What the checkpoint records about itself."""
    with reader(ocp.JsonCheckpointHandler) as checkpointer:
        return as_meta(checkpointer.restore(folder / "meta"), folder)


def load_variables(folder: Path, mesh: Mesh) -> dict:
    """The variables to evaluate (the averages, if kept), on this mesh's devices."""
    whole = sharding.whole(mesh)
    with reader(ocp.PyTreeCheckpointHandler) as checkpointer:
        tree = checkpointer.metadata(folder / "state").item_metadata.tree
        wanted = ["ema"] if tree["ema"] else ["params", "batch_stats"]
        like = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole),
            {name: tree[name] for name in wanted},
            is_leaf=lambda x: hasattr(x, "shape"),
        )
        found = checkpointer.restore(
            folder / "state",
            args=ocp.args.PyTreeRestore(
                item=like,
                restore_args=ocp.checkpoint_utils.construct_restore_args(like),
                partial_restore=True,
            ),
        )
    return found["ema"] if tree["ema"] else found


def load_state(folder: Path, like: TrainState) -> TrainState:
    """The state in a step's folder, on the devices of `like`."""
    with reader(ocp.StandardCheckpointHandler) as checkpointer:
        args = ocp.args.StandardRestore(like)
        return checkpointer.restore(folder / "state", args=args)
