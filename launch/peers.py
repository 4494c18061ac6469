"""What users would pick instead: the same network, trained by PyTorch and by Keras.

Each has its own usual input pipeline and its own usual augmentation (flip, affine
warp, brightness, contrast; PyTorch also erases), SGD with Nesterov momentum, and the
precision that suits the platform: bfloat16 with channels last on a GPU. They are given
a rig's batch size, side, blocks, width and number of outputs, including the points'.
"""

import dataclasses
import importlib.util
import os
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
    """Images/s of PyTorch: a DataLoader, with augmentation on the device.

    With `resident`, which is unusual, all faces are on the device from the start.
    """
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.backends.cudnn.benchmark = True  # like XLA, it tries all convolutions
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    dtype = torch.bfloat16 if cuda else torch.float32
    sizes = plan_of(rig)

    def conv(a: int, b: int, kernel: int, stride: int) -> list:
        return [
            nn.Conv2d(a, b, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(b),
        ]

    class Block(nn.Module):
        def __init__(self, a: int, b: int, stride: int):
            super().__init__()
            self.branch = nn.Sequential(
                *conv(a, b, 3, stride), nn.ReLU(), *conv(b, b, 3, 1)
            )
            same = stride == 1 and a == b
            self.skip = nn.Identity() if same else nn.Sequential(*conv(a, b, 1, stride))

        def forward(self, x):
            return F.relu(self.branch(x) + self.skip(x))

    width, kernel, stride = sizes["stem"]
    layers, before = [*conv(1, width, kernel, stride), nn.ReLU()], width
    for stage, (count, width) in enumerate(sizes["stages"]):
        for block in range(count):
            layers.append(Block(before, width, 2 if stage and not block else 1))
            before = width
    layers += [
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(before, sizes["outputs"]),
    ]
    net = nn.Sequential(*layers).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        net.parameters(), 0.01, momentum=0.9, nesterov=True, fused=cuda
    )

    def augment(x):
        n = len(x)
        angle = (torch.rand(n, device=device) - 0.5) * 0.4
        zoom = 0.87 + 0.28 * torch.rand(n, device=device)
        flip = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
        cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
        shift = (torch.rand(n, 2, device=device) - 0.5) * 0.16
        rows = [torch.stack([cos * flip, -sin, shift[:, 0]], 1)]
        rows += [torch.stack([sin * flip, cos, shift[:, 1]], 1)]
        grid = F.affine_grid(torch.stack(rows, 1), x.shape, align_corners=False)
        x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
        light = torch.rand(n, 2, 1, 1, device=device)
        x = (x - 0.5) * (0.8 + 0.45 * light[:, :1]) + 0.4 + 0.2 * light[:, 1:]
        at, side = torch.rand(n, 2, 1, 1, device=device), x.shape[-1]
        here = torch.linspace(0, 1, side, device=device)
        hole = (here - at[:, :1]).abs()[..., None, :] < 0.15
        hole = hole & ((here - at[:, 1:]).abs()[..., :, None] < 0.15)
        return x.masked_fill(hole.reshape(n, 1, side, side), 0.5)

    def train(image, label):
        x = augment(image.float().div(255)).to(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype, enabled=cuda):
            out = net((x - 0.5) * 4)
        loss = F.mse_loss(out.float(), label)
        loss.backward()
        return loss

    train = torch.compile(train) if compile else train
    image = torch.from_numpy(rig.split.faces["image"].transpose(0, 3, 1, 2).copy())
    faces = torch.utils.data.TensorDataset(image, torch.from_numpy(targets(rig)))
    workers = min(8, (os.cpu_count() or 1) // 2) if cuda else 0
    loader = torch.utils.data.DataLoader(
        faces,
        rig.batch_size,
        shuffle=True,
        drop_last=True,
        pin_memory=cuda,
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context="forkserver" if workers else None,
    )

    def loaded():
        while True:
            yield from loader

    def here():
        tensors = [tensor.to(device) for tensor in faces.tensors]
        while True:
            order = torch.randperm(len(faces), device=device)
            for rows in order.split(rig.batch_size)[: len(loader)]:
                yield [tensor[rows] for tensor in tensors]

    batches = here() if resident else loaded()

    def run():
        image, label = (x.to(device, non_blocking=True) for x in next(batches))
        train(image, label)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    steps = 32 if cuda else 4  # synchronised once, at the end

    def several():
        for _ in range(steps):
            run()
        if cuda:
            torch.cuda.synchronize()

    several()
    rates = [steps * rig.batch_size / s for s in rigs.seconds(several, repeats)]
    return rigs.spread(rates) | {"version": torch.__version__, "dtype": str(dtype)}


def keras(rig: rigs.Rig, repeats: int) -> dict:
    """Images/s of Keras with TensorFlow: tf.data, its augmentation layers, fit."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras as k
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        k.mixed_precision.set_global_policy("mixed_bfloat16")
    sizes, layer = plan_of(rig), k.layers

    def conv(x, width: int, kernel: int, stride: int):
        made = layer.Conv2D(width, kernel, stride, "same", use_bias=False)(x)
        return layer.BatchNormalization()(made)

    def block(x, width: int, stride: int):
        y = layer.ReLU()(conv(x, width, 3, stride))
        y = conv(y, width, 3, 1)
        same = stride == 1 and x.shape[-1] == width
        return layer.ReLU()(layer.Add()([y, x if same else conv(x, width, 1, stride)]))

    image = k.Input((rig.side, rig.side, 1))
    x = layer.Rescaling(1 / 255)(image)
    for augment in (
        layer.RandomFlip("horizontal"),
        layer.RandomRotation(0.03),
        layer.RandomZoom(0.15),
        layer.RandomTranslation(0.08, 0.08),
        layer.RandomBrightness(0.1, (0, 1)),
        layer.RandomContrast(0.2),
    ):
        x = augment(x)
    width, kernel, stride = sizes["stem"]
    x = layer.ReLU()(conv(x, width, kernel, stride))
    for stage, (count, width) in enumerate(sizes["stages"]):
        for number in range(count):
            x = block(x, width, 2 if stage and not number else 1)
    x = layer.GlobalAveragePooling2D()(x)
    x = layer.Dense(sizes["outputs"], dtype="float32")(x)
    model = k.Model(image, x)
    model.compile(k.optimizers.SGD(0.01, momentum=0.9, nesterov=True), "mse")
    faces = tf.data.Dataset.from_tensor_slices((rig.split.faces["image"], targets(rig)))
    faces = faces.shuffle(1024).repeat()
    faces = faces.batch(rig.batch_size).prefetch(tf.data.AUTOTUNE)
    steps = 32  # in each fit, which refills the shuffle buffer of 1,024

    def run():
        model.fit(faces, steps_per_epoch=steps, epochs=1, verbose=0)

    run()
    rates = [steps * rig.batch_size / s for s in rigs.seconds(run, repeats)]
    return rigs.spread(rates) | {"version": k.__version__, "tensorflow": tf.__version__}


def compiled(rig: rigs.Rig, repeats: int) -> dict:
    """Like `pytorch`, with torch.compile."""
    return pytorch(rig, repeats, compile=True)


def best(rig: rigs.Rig, repeats: int) -> dict:
    """Like `compiled`, with no input to wait for."""
    return pytorch(rig, repeats, compile=True, resident=True)


PEERS: dict[str, Callable[[rigs.Rig, int], dict]] = {
    "pytorch": pytorch,
    "torch_compile": compiled,
    "torch_resident": best,
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
