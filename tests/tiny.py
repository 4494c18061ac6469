"""A run small enough for a test: one block, few faces, everything switched on."""

import dataclasses
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import by_hand
import jax
import numpy as np
from ml_collections import ConfigDict

from emotion_jax import checkpoint, step
from emotion_jax.data.augment import make_augment
from emotion_jax.data.pipeline import FEEDS, Order
from emotion_jax.data.table import FIVE, POINTS
from emotion_jax.meta import Meta
from emotion_jax.models import make_network
from emotion_jax.optim import make_optimizer
from emotion_jax.plan import Plan
from emotion_jax.sharding import abstract, make_mesh, whole
from emotion_jax.tasks import make_tasks
from emotion_jax.tasks.classes import Classes
from emotion_jax.tasks.points import Points
from emotion_jax.workdir import to_dict

SIZES = {"emotion": len(FIVE), "keypoints": len(POINTS)}
TASKS = {"emotion": {"label_smoothing": 0.1}, "keypoints": {}}
MODEL = {"name": "resnet", "blocks": (1,), "width": 8, "stem_stride": 4}
AUGMENT = {"flip": {}, "rotate": {}, "zoom": {}, "translate": {}, "erase": {}}
OPTIM = {
    "name": "sgd",
    "learning_rate": 0.05,
    "weight_decay": 1e-4,
    "clip_norm": 1.0,
    "ema_decay": 0.9,
    "schedule": {"name": "cosine", "warmup": 2},
    "options": {},
}


@dataclasses.dataclass(frozen=True)
class Gender(Classes):
    """A second task of classes, for the tests that add it to TASKS."""

    section: ClassVar[str] = "gender"
    names: ClassVar[tuple[str, ...]] = ("woman", "man")


@dataclasses.dataclass(frozen=True)
class Ears(Points):
    """A second task of points, one of them named as one of the fifteen."""

    section: ClassVar[str] = "ears"
    names: ClassVar[tuple[str, ...]] = ("left_ear", "right_ear", "nose_tip")
    ruler: ClassVar[tuple[str, ...]] = ("left_ear", "right_ear")


MORE = {"gender": Gender, "ears": Ears}


def faces(n: int = 40, side: int = 24, seed: int = 0) -> dict:
    """Random faces, some labels of each task unknown."""
    rng = np.random.default_rng(seed)
    known = rng.random((n, 15)) < 0.8
    points = rng.uniform(0, side - 1, (n, 15, 2)).astype(np.float32)
    points[~known] = 0
    emotion = rng.random(n) < 0.8
    labels = np.eye(5, dtype=np.float32)[rng.integers(0, 5, n)]
    labels[~emotion] = 0
    return {
        "image": rng.integers(0, 256, (n, side, side, 1)).astype(np.uint8),
        "labels": {"emotion": labels, "keypoints": points},
        "known": {"emotion": emotion, "keypoints": known},
    }


def offered(n: int, sizes: Mapping[str, int] = SIZES) -> dict:
    """Whatever a task may name, the source of these faces labels it."""
    return {name: np.ones((n, size), bool) for name, size in sizes.items()}


def make_step(
    table: dict,
    *,
    devices=None,
    feed="resident",
    batch_size=8,
    augment=AUGMENT,
    optim=OPTIM,
    model=MODEL,
    total=20,
):
    """(first state, jitted step, its inputs) of a tiny run on these faces."""
    mesh = make_mesh(devices)
    tasks = make_tasks(TASKS)
    network = make_network(tasks, **model)
    optimizer = make_optimizer(Plan(batch_size, total, total, 5.0), **optim)
    order = Order(0, [np.arange(len(table["image"]))], [batch_size])
    inputs = FEEDS[feed](table, order, mesh)
    train_step = step.make_train_step(
        network=network,
        tasks=tasks,
        optimizer=optimizer,
        augment=make_augment(tasks, augment),
        feed=inputs,
        mesh=mesh,
        seed=0,
        layout=whole(mesh),
    )
    init = step.make_init(network, optimizer, 0, table["image"].shape[1])
    state = jax.jit(init, out_shardings=whole(mesh))()
    return state, train_step, inputs


def config(**fields) -> ConfigDict:
    """A whole config on synthetic faces, small enough to train in seconds."""
    made = ConfigDict(
        {
            "seed": 0,
            "stop_at": 0,
            "init_from": "",
            "fsdp": False,
            "debug": False,
            "profile": {"steps": ""},
            "data": {
                "side": 24,
                "dedupe": False,
                "sources": {"synthetic": {"faces": 60, "seed": 0}},
            },
            "tasks": TASKS,
            "model": MODEL,
            "augment": AUGMENT,
            "feed": {"name": "resident", "shares": {}},
            "train": {"steps": 8, "epochs": 0.0, "batch_size": 16},
            "optim": OPTIM,
            "eval": {"every": "4"},
            "checkpoint": {"every": "3", "keep": 2, "best": "emotion/accuracy"},
            "log": {"every": "1"},
        }
    )
    made.update_from_flattened_dict(fields)
    return made


def untrained(workdir: Path, tasks: dict = TASKS, side: int = 24) -> Path:
    """A workdir with a checkpoint of random numbers, made without compiling a step."""
    made, plan, mesh = config(), Plan(8, 20, 20, 5.0), make_mesh()
    made.tasks, made.data.side = tasks, side
    tasks = make_tasks(made.tasks)
    network = make_network(tasks, **made.model)
    init = step.make_init(network, make_optimizer(plan, **made.optim), 0, side)
    like, draw = abstract(init, mesh), by_hand.drawing()
    state = jax.tree_util.tree_map_with_path(
        lambda path, x: jax.device_put(draw(path, x).astype(x.dtype), x.sharding), like
    )
    names = {name: task.names for name, task in tasks.items()}
    meta = Meta(to_dict(made), names, side, dict.fromkeys(names, 1.5))
    with checkpoint.Checkpoints(
        workdir, plan, every=1, keep=1, best="emotion/accuracy"
    ) as checkpoints:
        checkpoints.save(state, meta, None)
    return workdir


TIMINGS = ("seconds", "images_per_s")


def log_of(workdir: Path) -> list[dict]:
    """A run's log without its timings."""
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in line.items() if k not in TIMINGS} for line in lines]


def done_of(workdir: Path) -> dict:
    """What a finished run says of its end: its step, and its parameters' digest."""
    return json.loads((workdir / "done.json").read_text())


def losses_of(workdir: Path) -> list[float]:
    """A run's losses, step by step."""
    return [line["train/loss"] for line in log_of(workdir) if "train/loss" in line]


def metrics_of(out: Path) -> dict:
    """An evaluation's numbers."""
    return json.loads((out / "metrics.json").read_text())


def free_port() -> int:
    """A port for the coordinator of several processes."""
    with socket.create_server(("localhost", 0)) as free:
        return free.getsockname()[1]
