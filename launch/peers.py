"""What users would pick instead: the same network, trained by PyTorch and by Keras.

Each has its own usual input pipeline and its own usual augmentation (flip, affine
warp, brightness, contrast; PyTorch also erases), SGD with Nesterov momentum, and the
precision that suits the platform: bfloat16 with channels last on a GPU. They are given
a rig's batch size, side, blocks, width and number of outputs, including the points'.
"""

import dataclasses
import functools
import importlib.util
from collections.abc import Callable, Sequence

import numpy as np
import rig as rigs

from emotion_jax.errors import Mistake
from emotion_jax.models.resnet import STEM_KERNEL, ResNet
from emotion_jax.registry import unknown


def plan_of(rig: rigs.Rig) -> dict:
    """The network's sizes, for rebuilding it elsewhere."""
    trunk = rig.network.trunk
    free = ("blocks", "width", "growth", "stem_stride", "stochastic_depth")
    free += ("dtype", "momentum", "parent", "name")
    variants = [
        field.name
        for field in dataclasses.fields(ResNet)
        if field.name not in free and getattr(trunk, field.name, None) != field.default
    ]
    if rig.network.simclr or variants or not isinstance(trunk, ResNet):
        raise Mistake("--compare builds networks of basic blocks, without variants")
    widths = [trunk.stage_width(stage) for stage in range(len(trunk.blocks))]
    outputs = [
        len(task.names) * (2 if task.kind == "points" else 1)
        for task in rig.tasks.values()
    ]
    return {
        "stages": list(zip(trunk.blocks, widths)),
        "stem": (widths[0], STEM_KERNEL[trunk.stem_stride], trunk.stem_stride),
        "outputs": sum(outputs),
    }


def targets(rig: rigs.Rig) -> np.ndarray:
    """All labels, a row per face: the loss is squared error, which costs nothing."""
    labels = rig.split.faces["labels"].values()
    return np.concatenate([x.reshape(len(x), -1) for x in labels], 1)


def pytorch(
    rig: rigs.Rig, repeats: int, compile: bool = False, resident: bool = False
) -> dict:
    """Images/s of PyTorch.

    Args:
      resident: all faces are on the device from the start, which is unusual.
    """
    import peer_torch

    sizes, labels = plan_of(rig), targets(rig)
    return peer_torch.images_s(rig, repeats, sizes, labels, compile, resident)


def keras(rig: rigs.Rig, repeats: int) -> dict:
    """Images/s of Keras with TensorFlow."""
    import peer_keras

    return peer_keras.images_s(rig, repeats, plan_of(rig), targets(rig))


PEERS: dict[str, Callable[[rigs.Rig, int], dict]] = {
    "pytorch": pytorch,
    "torch_compile": functools.partial(pytorch, compile=True),
    "torch_resident": functools.partial(pytorch, compile=True, resident=True),
    "keras": keras,
}
NEEDS = dict.fromkeys(PEERS, ("torch",)) | {"keras": ("keras", "tensorflow")}


def pick(names: Sequence[str] | None) -> list[str]:
    """The peers that --compare asks for: all of them if it names none."""
    if names is None:
        return []
    for name in names:
        if name not in PEERS:
            raise unknown("peer", name, PEERS)
    wanted = list(names) or list(PEERS)
    needs = {package for name in wanted for package in NEEDS[name]}
    missing = [name for name in needs if importlib.util.find_spec(name) is None]
    if missing:
        raise Mistake(f"--compare needs them: pip install {' '.join(sorted(missing))}")
    return wanted
