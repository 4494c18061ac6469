"""Laws of the mesh: where an array lies, and what divides."""

import jax
import numpy as np
import pytest

from emotion_jax import sharding
from emotion_jax.errors import Mistake


def test_the_mesh_is_all_devices_or_those_given():
    assert sharding.make_mesh().size == len(jax.devices()) == 8
    assert sharding.make_mesh(jax.devices()[2:5]).size == 3


def test_a_split_array_lies_in_equal_parts_in_order():
    mesh = sharding.make_mesh(jax.devices()[:4])
    x = np.arange(24).reshape(8, 3)
    placed = sharding.place({"x": x}, sharding.split(mesh))["x"]
    np.testing.assert_array_equal(placed, x)
    for i, device in enumerate(jax.devices()[:4]):
        (shard,) = [s for s in placed.addressable_shards if s.device == device]
        np.testing.assert_array_equal(shard.data, x[2 * i : 2 * i + 2])


def test_a_whole_array_lies_on_every_device():
    x = np.arange(5.0, dtype=np.float32)
    placed = sharding.place(x, sharding.whole(sharding.make_mesh()))
    assert len(placed.addressable_shards) == 8 and placed.is_fully_replicated
    for shard in placed.addressable_shards:
        np.testing.assert_array_equal(shard.data, x)


def test_a_batch_that_divides_passes():
    mesh = sharding.make_mesh(jax.devices()[:4])
    for size in (4, 64):
        sharding.check_divides(size, mesh, "train.batch_size")


@pytest.mark.parametrize("size", [0, -4, 2, 6])
def test_a_batch_that_does_not_divide_is_a_mistake(size):
    mesh = sharding.make_mesh(jax.devices()[:4])
    with pytest.raises(Mistake) as error:
        sharding.check_divides(size, mesh, "train.batch_size")
    assert str(error.value) == (
        f"config.train.batch_size is {size}, which does not split evenly over "
        "4 devices; take a multiple of 4"
    )
