"""Laws of devices that come and go: another number of them, the same curve."""

import jax
import numpy as np
import tiny

from emotion_jax import sharding
from emotion_jax.data import pipeline
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
