"""A graph of ONNX nodes under construction, and the memory order of its values.

Axes are numbered as in JAX, and each value records the order in which they are stored:
a convolution's output stays channels-first, so no Transpose is needed around it.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from emotion_jax.export.lower import require

# The batch size while tracing, standing for any. Prime, and larger than any other axis.
BATCH = 65_537


@dataclasses.dataclass(frozen=True)
class Node:
    """One operation; an input is the name of another's output, or a constant."""

    op: str
    inputs: tuple
    output: str
    attributes: dict


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A value that depends on the image.

    Attributes:
      shape: by JAX's axes; 1 where the value still has to be repeated.
      order: the axes in the order in which they are stored.
    """

    name: str
    shape: tuple[int, ...]
    order: tuple[int, ...]

    def lying(self) -> list[int]:
        """The sizes of the axes as stored."""
        return [self.shape[axis] for axis in self.order]


Value = Tensor | np.ndarray


class Graph:
    """The nodes of one function, in order of creation."""

    def __init__(self):
        self.nodes: list[Node] = []

    def emit(self, op: str, *inputs, **attributes) -> str:
        """Adds a node and returns its output's name."""
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(Node(op, inputs, name, attributes))
        return name

    def spread(self, value: Value, shape: Sequence[int], axes: Sequence[int]) -> Value:
        """Inserts axes; they are repeated later, or never."""
        kept = [1] * len(shape)
        for axis, size in zip(axes, value.shape):
            kept[axis] = size
        if isinstance(value, np.ndarray):
            return value.reshape(kept)
        return self.reshape(value, kept)

    def whole(self, value: Value, shape: Sequence[int]) -> Value:
        """Repeats the axes that still have to be repeated."""
        if value.shape == tuple(shape):
            return value
        if isinstance(value, np.ndarray):
            require(BATCH not in shape, "broadcast_in_dim of a constant over the batch")
            return np.broadcast_to(value, shape)
        target = [1 if shape[a] == BATCH else shape[a] for a in value.order]
        name = self.emit("Expand", value.name, np.array(target, np.int64))
        return Tensor(name, tuple(shape), value.order)

    def arrange(self, value: Value, order: Sequence[int]) -> str | np.ndarray:
        """The value with its axes stored in this order, as a node's input."""
        if isinstance(value, np.ndarray):
            return value.transpose(order) if value.ndim else value
        if value.order == tuple(order):
            return value.name
        places = [value.order.index(axis) for axis in order]
        long = [place for place in places if value.lying()[place] != 1]
        if long == sorted(long):  # only axes of length one move
            return self.view(value.name, [value.shape[axis] for axis in order])
        return self.emit("Transpose", value.name, perm=places)

    def view(self, name: str, sizes: Sequence[int]) -> str:
        """The same numbers in the same order, with other sizes."""
        sizes = [-1 if size % BATCH == 0 else size for size in sizes]
        return self.emit("Reshape", name, np.array(sizes, np.int64))

    def elementwise(self, op: str, *values: Value, **attributes) -> Tensor:
        """An elementwise operation, with axes stored as in the largest input."""
        tensors = [value for value in values if isinstance(value, Tensor)]
        order = max(tensors, key=lambda tensor: math.prod(tensor.shape)).order
        inputs = [self.arrange(value, order) for value in values]
        shape = np.broadcast_shapes(*(value.shape for value in values))
        return Tensor(self.emit(op, *inputs, **attributes), shape, order)

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """Splits and merges axes; transposes only if axes to merge are stored apart."""
        long = [axis for axis in x.order if x.shape[axis] != 1]
        pieces = matches(x.shape, shape)
        for old, _ in pieces:
            start = long.index(old[0])
            if long[start : start + len(old)] != old:
                straight = tuple(range(len(x.shape)))
                x = Tensor(self.arrange(x, straight), x.shape, straight)
                long = sorted(long)
                break
        pieces.sort(key=lambda piece: long.index(piece[0][0]))
        order = [axis for _, new in pieces for axis in new]
        order += [axis for axis in range(len(shape)) if axis not in order]
        sizes = [shape[axis] for axis in order]
        name = x.name if sizes == x.lying() else self.view(x.name, sizes)
        return Tensor(name, tuple(shape), tuple(order))

    def reduce(self, op: str, x: Tensor, axes: Sequence[int]) -> Tensor:
        """A sum or a maximum over some axes."""
        places = np.array(sorted(x.order.index(axis) for axis in axes), np.int64)
        name = self.emit(op, x.name, places, keepdims=0)
        kept = [axis for axis in range(len(x.shape)) if axis not in axes]
        order = tuple(kept.index(axis) for axis in x.order if axis in kept)
        return Tensor(name, tuple(x.shape[axis] for axis in kept), order)


def matches(old: Sequence[int], new: Sequence[int]) -> list[tuple[list, list]]:
    """The axes longer than one, in groups that hold the same numbers in both shapes.

    For example ([0], [0]), ([1, 2, 3], [1]) for (n, 6, 6, 16) and (n, 576).
    """
    left = [axis for axis, size in enumerate(old) if size != 1]
    right = [axis for axis, size in enumerate(new) if size != 1]
    pieces = []
    while left:
        a, b = [left.pop(0)], [right.pop(0)]
        while (before := math.prod(old[i] for i in a)) != (
            after := math.prod(new[i] for i in b)
        ):
            if before < after:
                a.append(left.pop(0))
            else:
                b.append(right.pop(0))
        pieces.append((a, b))
    return pieces
