"""Networks with random parameters, as restored from a checkpoint."""

import functools
from pathlib import Path

import by_hand
import flax.linen as nn
import jax
import numpy as np
import pytest

from emotion_jax.evaluator import Evaluator, Restored
from emotion_jax.export.program import Program
from emotion_jax.meta import Meta
from emotion_jax.sharding import make_mesh
from emotion_jax.tasks import make_tasks

# name: tasks, model, side. Together they have all that models/ can be made of.
BOTH = {"emotion": {}, "keypoints": {}}
RESNET = {"name": "resnet", "blocks": (1, 1), "width": 8}
VARIANTS = {
    "plain": (BOTH, RESNET, 24),
    "seven": (
        {"emotion": {"classes": 7, "head": "flat"}, "keypoints": {"head": "pooled"}},
        {**RESNET, "stem_stride": 1, "shortcut": False, "activation": "silu"},
        12,
    ),
    "bottleneck": (
        {"emotion": {}},
        {**RESNET, "block": "bottleneck", "preactivation": True, "activation": "gelu"},
        24,
    ),
    "group": (
        {"emotion": {"weight": "learned"}},
        {**RESNET, "width": 16, "norm": "group", "squeeze_excite": 4},
        24,
    ),
    "antialias": (
        {"emotion": {}},
        {**RESNET, "antialias": True, "activation": "leaky_relu"},
        25,
    ),
    "heatmap": (
        {"keypoints": {"head": "heatmap"}},
        {**RESNET, "blocks": (1, 1, 1), "activation": "sigmoid"},
        24,
    ),
    "course": (
        {"emotion": {"head": "course"}, "keypoints": {"head": "course"}},
        {"name": "course"},
        96,
    ),
}


def make(name: str) -> Restored:
    """A variant, its outputs of the size that trained ones have."""
    sections, model, side = VARIANTS[name]
    tasks = make_tasks(sections)
    evaluator = Evaluator(tasks, model, make_mesh())
    image = np.zeros((1, side, side, 1), np.float32)
    variables = by_hand.variables(evaluator.network, image)
    if name == "course":  # twenty layers of noise would be in the thousands
        stats = jax.tree.map(np.ones_like, variables["batch_stats"])
        variables = variables | {"batch_stats": stats}
    names = {task: made.names for task, made in tasks.items()}
    config = {"data": {"side": side, "sources": {"synthetic": {"faces": 60}}}}
    meta = Meta(config, names, side, dict.fromkeys(names, 1.5))
    return Restored(Path(name), meta, tasks, variables, evaluator)


@pytest.fixture(scope="session")
def variant():
    """Makes a variant once, by its name."""
    made = {}

    def get(name: str) -> Restored:
        if name not in made:
            made[name] = make(name)
        return made[name]

    return get


class Groups(nn.Module):
    """Convolutions in groups: some channels each, one each, one each and twice as many.

    The last two go side by side, with a stride in one direction and with holes.
    """

    @nn.compact
    def __call__(self, image):
        x = nn.Conv(8, (3, 3), name="plain")(image / 255)
        x = nn.Conv(12, (3, 3), 2, feature_group_count=4, name="some")(x)
        x = nn.BatchNorm(use_running_average=True, name="norm")(x)
        x = nn.Conv(12, (3, 3), 2, feature_group_count=12, name="one")(nn.relu(x))
        depthwise = {"feature_group_count": 12, "padding": "VALID"}
        a = nn.Conv(24, (3, 2), (1, 2), **depthwise, name="strided")(x)
        b = nn.Conv(24, (2, 2), kernel_dilation=(2, 1), **depthwise, name="holes")(x)
        return {"emotion": a.sum((1, 2)) + b.sum((1, 2))}


@pytest.fixture(scope="session")
def groups():
    """A program of convolutions in groups, of images of side 24."""
    variables = by_hand.variables(Groups(), np.zeros((1, 24, 24, 1), np.float32))
    forward = functools.partial(Groups().apply, variables)
    return Program(forward, 24, (), {"side": "24"})


@pytest.fixture(scope="session")
def images():
    """Three faces of noise of a side."""

    def draw(side: int):
        rng = np.random.default_rng(side)
        return rng.integers(0, 256, (3, side, side, 1), np.uint8)

    return draw
