"""The peer in PyTorch: a DataLoader, and augmentation on the device."""

import os
from collections.abc import Callable, Iterator

import numpy as np
import rig as rigs
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
DTYPE = torch.bfloat16 if CUDA else torch.float32
STEPS = 32 if CUDA else 4  # synchronised once, at the end


def images_s(
    rig: rigs.Rig,
    repeats: int,
    sizes: dict,
    labels: np.ndarray,
    compile: bool,
    resident: bool,
) -> dict:
    """Images/s of training; with `resident`, all faces are on the device throughout."""
    torch.backends.cudnn.benchmark = True  # like XLA, it tries all convolutions
    step = make_step(network(**sizes), compile)
    image = torch.from_numpy(rig.split.faces["image"].transpose(0, 3, 1, 2).copy())
    faces = TensorDataset(image, torch.from_numpy(labels))
    batches = (on_device if resident else loaded)(faces, rig.batch_size)

    def run():
        for _ in range(STEPS):
            step(next(batches))
        if CUDA:
            torch.cuda.synchronize()

    run()
    rates = [STEPS * rig.batch_size / s for s in rigs.seconds(run, repeats)]
    return rigs.spread(rates) | {"version": torch.__version__, "dtype": str(DTYPE)}


def make_step(net: nn.Module, compile: bool) -> Callable[[list[torch.Tensor]], None]:
    """A training step, from a batch that may be on the host."""
    net = net.to(DEVICE, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        net.parameters(), 0.01, momentum=0.9, nesterov=True, fused=CUDA
    )

    def train(image, label):
        x = augment(image.float().div(255)).to(memory_format=torch.channels_last)
        with torch.autocast(DEVICE.type, DTYPE, enabled=CUDA):
            out = net((x - 0.5) * 4)
        loss = F.mse_loss(out.float(), label)
        loss.backward()
        return loss

    train = torch.compile(train) if compile else train

    def step(batch):
        image, label = (x.to(DEVICE, non_blocking=True) for x in batch)
        train(image, label)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def network(
    stages: list[tuple[int, int]], stem: tuple[int, int, int], outputs: int
) -> nn.Sequential:
    """The network of these sizes."""
    width, kernel, stride = stem
    layers, before = [*conv(1, width, kernel, stride), nn.ReLU()], width
    for stage, (count, width) in enumerate(stages):
        for block in range(count):
            layers.append(Block(before, width, 2 if stage and not block else 1))
            before = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, outputs)]
    return nn.Sequential(*layers)


class Block(nn.Module):
    """A basic block, with a projection where the shape changes."""

    def __init__(self, a: int, b: int, stride: int):
        super().__init__()
        self.branch = nn.Sequential(
            *conv(a, b, 3, stride), nn.ReLU(), *conv(b, b, 3, 1)
        )
        same = stride == 1 and a == b
        self.skip = nn.Identity() if same else nn.Sequential(*conv(a, b, 1, stride))

    def forward(self, x):
        return F.relu(self.branch(x) + self.skip(x))


def conv(a: int, b: int, kernel: int, stride: int) -> list[nn.Module]:
    """A convolution and its normalisation."""
    return [
        nn.Conv2d(a, b, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(b),
    ]


def augment(x: torch.Tensor) -> torch.Tensor:
    """Flips, warps, lights and erases each face differently."""
    n, side = len(x), x.shape[-1]
    angle = (torch.rand(n, device=DEVICE) - 0.5) * 0.4
    zoom = 0.87 + 0.28 * torch.rand(n, device=DEVICE)
    flip = torch.where(torch.rand(n, device=DEVICE) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    shift = (torch.rand(n, 2, device=DEVICE) - 0.5) * 0.16
    rows = [torch.stack([cos * flip, -sin, shift[:, 0]], 1)]
    rows += [torch.stack([sin * flip, cos, shift[:, 1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), x.shape, align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    light = torch.rand(n, 2, 1, 1, device=DEVICE)
    x = (x - 0.5) * (0.8 + 0.45 * light[:, :1]) + 0.4 + 0.2 * light[:, 1:]
    at = torch.rand(n, 2, 1, 1, device=DEVICE)
    here = torch.linspace(0, 1, side, device=DEVICE)
    hole = (here - at[:, :1]).abs()[..., None, :] < 0.15
    hole = hole & ((here - at[:, 1:]).abs()[..., :, None] < 0.15)
    return x.masked_fill(hole.reshape(n, 1, side, side), 0.5)


def loaded(faces: TensorDataset, batch_size: int) -> Iterator[list[torch.Tensor]]:
    """Batches without end, from a DataLoader and its workers."""
    workers = min(8, (os.cpu_count() or 1) // 2) if CUDA else 0
    loader = DataLoader(
        faces,
        batch_size,
        shuffle=True,
        drop_last=True,
        pin_memory=CUDA,
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context="forkserver" if workers else None,
    )
    while True:
        yield from loader


def on_device(faces: TensorDataset, batch_size: int) -> Iterator[list[torch.Tensor]]:
    """Batches without end, of faces that are all on the device."""
    tensors = [tensor.to(DEVICE) for tensor in faces.tensors]
    while True:
        order = torch.randperm(len(faces), device=DEVICE)
        for rows in order.split(batch_size)[: len(faces) // batch_size]:
            yield [tensor[rows] for tensor in tensors]
