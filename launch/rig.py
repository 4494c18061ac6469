"""What a config trains, set up on faces of noise, which take as long as any others.

Its teachers, if the config names some, teach here too: they are a part of the step.
"""

import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from ml_collections import ConfigDict

from emotion_jax import distill, files, sharding, step
from emotion_jax.data.augment import make_augment
from emotion_jax.data.pipeline import FEEDS, Order, batch_counts, flat
from emotion_jax.data.table import Split
from emotion_jax.models import make_network, new_network
from emotion_jax.optim import make_optimizer
from emotion_jax.plan import Plan
from emotion_jax.registry import build
from emotion_jax.sharding import abstract
from emotion_jax.tasks import make_tasks, with_counts


def noise(tasks: dict, side: int, count: int) -> Split:
    """Faces of noise, all of whose labels are known."""
    rng = np.random.default_rng(0)
    labels, known, offered = {}, {}, {}
    for name, task in tasks.items():
        size = len(task.names)
        offered[name] = np.ones((count, size), bool)
        if task.kind == "classes":
            labels[name] = np.eye(size, dtype=np.float32)[rng.integers(0, size, count)]
            known[name] = np.ones(count, bool)
        else:
            labels[name] = np.float32(rng.uniform(0, side, (count, size, 2)))
            known[name] = np.ones((count, size), bool)
    image = rng.integers(0, 256, (count, side, side, 1), np.uint8)
    faces = {"image": image, "labels": labels, "known": known}
    return Split("noise", "", "train", faces, np.arange(count), offered, {})


def result_file(kind: str, config: str, overrides: Sequence[str]) -> str:
    """The name of a measurement's JSON file, which includes the config's overrides."""
    words = [override.removeprefix("--config.") for override in overrides]
    words = [re.sub(r"[^\w.]+", "-", word).strip("-") for word in words]
    return "_".join([kind, Path(config).stem, *words]) + ".json"


def keep(out: Path | None, name: str, found: dict) -> None:
    """Writes what was measured to a file of this folder, if one is given."""
    if out:
        out.mkdir(parents=True, exist_ok=True)
        files.write_json(out / name, found)
        print(f"written to {out / name}")


class Rig:
    """A config's train step and evaluation, and all their inputs."""

    def __init__(self, config: ConfigDict, mesh: Mesh, batch_size: int, faces: int):
        tasks, self.side, self.mesh = make_tasks(config.tasks), config.data.side, mesh
        self.config, self.split = config, noise(tasks, self.side, faces)
        self.tasks = with_counts(tasks, [self.split], np.ones(faces))
        self.batch_size = batch_size
        plan = Plan(batch_size, 10_000, 10_000, epoch=faces / batch_size)
        self.network = new_network(self.tasks, config.model)
        if self.network.simclr:
            self.network.simclr.check(config.augment, batch_size)
        self.optimizer = build(config, "optim", make_optimizer, plan)
        self.augment = make_augment(self.tasks, config.augment)
        self.init = step.make_init(self.network, self.optimizer, 0, self.side)
        self.like = abstract(self.init, mesh, config.fsdp)
        self.taught = any(task.all_teachers for task in self.tasks.values())
        if mesh.devices.flat[0] in jax.devices():
            self.teach = distill.load(self.tasks, mesh)
        else:  # they are only compiled for
            self.teach = distill.load(self.tasks, sharding.make_mesh(), "bfloat16")

    def feed(self, name: str):
        """The feed of the faces: resident on the mesh's devices or streamed to them."""
        counts = batch_counts(self.batch_size, (1.0,))
        order = Order(0, [np.arange(len(self.split))], counts)
        return FEEDS[name](self.split.faces, order, self.mesh)

    def inputs_like(self) -> tuple:
        """The shapes and shardings of what a step takes beside the state.

        These are what the resident feed passes to it, and the teachers.
        """
        split, whole = sharding.split(self.mesh), sharding.whole(self.mesh)
        order = {
            "epoch": np.zeros(self.batch_size, np.float32),
            "row": np.zeros(self.batch_size, np.int32),
        }

        tables = shapes(flat(self.split.faces), whole), shapes(order, split)
        return tables, shapes(self.teach, whole)

    def state(self) -> step.TrainState:
        """A new training state, on the mesh's devices."""
        layout = jax.tree.map(lambda x: x.sharding, self.like)
        return jax.jit(self.init, out_shardings=layout)()

    def train_step(self, feed) -> Callable:
        """The real train step; of the feed, only how it gathers matters."""
        return step.make_train_step(
            network=self.network,
            tasks=self.tasks,
            optimizer=self.optimizer,
            augment=self.augment,
            feed=feed,
            mesh=self.mesh,
            seed=0,
            layout=jax.tree.map(lambda x: x.sharding, self.like),
        )

    def eval_step(self) -> Callable:
        """The real eval step: in float32, whatever the config trains in."""
        model = {**self.config.model, "dtype": "float32"}
        return step.make_eval_step(make_network(self.tasks, **model), self.mesh)


def shapes(tree, layout: NamedSharding):
    """The shapes of these arrays, with this sharding."""
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=layout), tree
    )


def training(
    rig: Rig, name: str, repeats: int, calls: int = 1, scan: bool = False
) -> list[float]:
    """Images/s of the real step with a feed, with one or several steps per call.

    Several are unrolled or, with the resident feed, a loop in the program (`scan`).
    """
    feed = rig.feed(name)
    batches, train_step = feed.batches(0), rig.train_step(feed)
    one = train_step

    def unrolled(state, several, teach):
        for inputs in several:
            state, metrics = train_step.__wrapped__(state, inputs, teach)
        return state, metrics

    def scanned(state, several, teach):
        tables, orders = several[0][0], [order for _, order in several]
        orders = jax.tree.map(lambda *each: jnp.stack(each), *orders)
        state, metrics = jax.lax.scan(
            lambda state, order: train_step.__wrapped__(state, (tables, order), teach),
            state,
            orders,
        )
        return state, jax.tree.map(lambda each: each[-1], metrics)

    if calls > 1:
        options = step.compiler_options(rig.mesh.devices.flat[0].platform)
        function = scanned if scan else unrolled
        one = jax.jit(function, donate_argnums=0, compiler_options=options)

    state, before = rig.state(), None

    def run():
        nonlocal state, before
        jax.device_get(before)  # read one call late, as a training does
        several = [next(batches) for _ in range(calls)]
        state, before = one(state, several if calls > 1 else several[0], rig.teach)
        return before

    return [rig.batch_size * calls / s for s in seconds(run, repeats)]


def seconds(function: Callable, repeats: int, at_least_s: float = 0.5) -> list[float]:
    """Seconds per call when called repeatedly, waiting once at the end of each repeat.

    It waits for the last call's result, so calls may overlap as they do in a training.
    """
    jax.block_until_ready(function())
    calls, found = 1, []
    while len(found) < repeats:
        begin = time.perf_counter()
        for _ in range(calls):
            last = function()
        jax.block_until_ready(last)
        took = time.perf_counter() - begin
        if not found and took < at_least_s and calls < 10_000:
            calls = max(calls + 1, round(calls * at_least_s / max(took, 1e-9)))
            continue
        found.append(took / calls)
    return found


def spread(values: list[float], digits: int = 4) -> dict[str, float]:
    """Median, minimum and maximum."""
    rounded = [float(f"{value:.{digits}g}") for value in sorted(values)]
    return {
        "median": float(f"{statistics.median(values):.{digits}g}"),
        "low": rounded[0],
        "high": rounded[-1],
    }
