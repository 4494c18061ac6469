"""One mesh over all devices: batches are split along it, tables are copied to each.

The state is whole on every device, or, with `config.fsdp`, in parts: parameters,
averages and moments are gathered where a layer needs them (Zhao et al. 2023, FSDP).
"""

import math
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from emotion_jax.errors import Mistake

SMALL = 1024  # values: splitting fewer saves nothing


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh with one axis, of these devices or of all processes' devices."""
    return Mesh(np.array(devices or jax.devices()), ("data",))


def split(mesh: Mesh) -> NamedSharding:
    """The first axis split over the devices: for batches."""
    return NamedSharding(mesh, PartitionSpec("data"))


def whole(mesh: Mesh) -> NamedSharding:
    """A copy on every device: for the state and the tables."""
    return NamedSharding(mesh, PartitionSpec())


def in_parts(shape: tuple[int, ...], mesh: Mesh) -> NamedSharding:
    """One part per device, of the longest axis that divides evenly; whole if small."""
    axes = [axis for axis, size in enumerate(shape) if size % mesh.size == 0]
    if not axes or math.prod(shape) < SMALL:
        return whole(mesh)
    longest = max(axes, key=lambda axis: (shape[axis], axis))
    return NamedSharding(mesh, PartitionSpec(*[None] * longest, "data"))


def abstract(make: Callable[[], PyTree], mesh: Mesh, fsdp: bool = False) -> PyTree:
    """The shapes and shardings of the state that a function makes; it isn't run."""

    def shape(x):
        layout = in_parts(x.shape, mesh) if fsdp else whole(mesh)
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=layout)

    return jax.tree.map(shape, jax.eval_shape(make))


def gather(tree, mesh: Mesh):
    """The same arrays, whole on every device."""
    return jax.jit(lambda x: x, out_shardings=whole(mesh))(tree)


def place(tree, sharding: NamedSharding):
    """Host arrays, equal in every process, as global arrays with this sharding."""

    def put(x):
        return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

    return jax.tree.map(put, tree)


def check_divides(batch_size: int, mesh: Mesh, field: str) -> None:
    """Raises unless a batch of this size splits evenly over the devices."""
    if batch_size < 1 or batch_size % mesh.size:
        raise Mistake(
            f"config.{field} is {batch_size}, which does not split evenly over "
            f"{mesh.size} devices; take a multiple of {mesh.size}"
        )
