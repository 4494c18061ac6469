"""Laws of the mesh: where an array lies, and what divides."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from emotion_jax import sharding
from emotion_jax.errors import Mistake
from emotion_jax.sharding import abstract
from emotion_jax.step import TrainState


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


@pytest.mark.parametrize(
    "shape, spec",
    [
        ((3, 3, 64, 128), (None, None, None, "data")),
        ((3, 3, 128, 64), (None, None, "data")),
        ((8, 200), (None, "data")),
        ((64, 36), ("data",)),  # 36 does not divide
        ((5, 7, 99), ()),
        ((64,), ()),  # too small to be worth it
        ((), ()),
    ],
)
def test_a_part_lies_along_the_longest_axis_that_divides(shape, spec):
    layout = sharding.in_parts(shape, sharding.make_mesh())
    assert layout.spec == PartitionSpec(*spec)


def test_a_split_state_takes_an_eighth_of_each_device():
    def init():
        params = {"kernel": jnp.zeros((3, 3, 32, 64)), "scale": jnp.zeros(64)}
        return TrainState(jnp.int32(0), params, {}, {}, {})

    like = abstract(init, sharding.make_mesh(), fsdp=True)
    parts = {k: x.sharding.shard_shape(x.shape) for k, x in like.params.items()}
    assert parts == {"kernel": (3, 3, 32, 8), "scale": (64,)}
