"""Laws of devices that come and go: another number of them, the same curve."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from jax.sharding import PartitionSpec

from emotion_jax import sharding
from emotion_jax.checkpoint import abstract
from emotion_jax.data import pipeline
from emotion_jax.step import TrainState
from emotion_jax.train import train_and_evaluate

STAGES = ((8, 2, False), (4, 4, True), (1, 6, False), (2, 8, True))


def rows_taken(monkeypatch) -> list[list[int]]:
    """Fills with the rows of every batch that is trained on, as it is made."""
    taken, before = [], pipeline.batch_indices

    def batch_indices(step, *args):
        rows, epochs = before(step, *args)
        taken.append([step, *rows.tolist()])
        return rows, epochs

    monkeypatch.setattr(pipeline, "batch_indices", batch_indices)
    return taken


def test_eight_four_one_and_two_devices_train_one_curve(tmp_path, monkeypatch):
    """On the way the state is split over the devices and made whole again."""
    taken = rows_taken(monkeypatch)
    train_and_evaluate(tiny.config(), tmp_path / "whole")
    expected_rows = [rows for rows in taken if rows[0] < 8]
    taken.clear()
    make_mesh = sharding.make_mesh
    for devices, stop, fsdp in STAGES:
        mesh = make_mesh(jax.devices()[:devices])
        monkeypatch.setattr(sharding, "make_mesh", lambda mesh=mesh: mesh)
        train_and_evaluate(tiny.config(stop_at=stop, fsdp=fsdp), tmp_path / "parts")
    found, expected = map(tiny.losses_of, (tmp_path / "parts", tmp_path / "whole"))
    assert len(found) == 8
    np.testing.assert_allclose(found, expected, rtol=2e-4)
    seen = {tuple(rows) for rows in taken if rows[0] < 8}
    assert seen == {tuple(rows) for rows in expected_rows} and len(seen) == 8


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
