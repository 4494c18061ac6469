"""One mesh over all devices: batches are split along it, everything else is whole."""

from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from emotion_jax.errors import Mistake


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """These devices, or all of all processes, in one axis."""
    return Mesh(np.array(devices or jax.devices()), ("data",))


def split(mesh: Mesh) -> NamedSharding:
    """The first axis over the devices: batches."""
    return NamedSharding(mesh, PartitionSpec("data"))


def whole(mesh: Mesh) -> NamedSharding:
    """A copy on every device: the state, the tables."""
    return NamedSharding(mesh, PartitionSpec())


def place(tree, sharding: NamedSharding):
    """Host arrays, equal in every process, as global arrays of this sharding."""

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
