"""Ten faces, drawn once, and a place of its own for what a test prepares."""

import numpy as np
import pytest

from emotion_jax.data import synthetic


@pytest.fixture(scope="session")
def ten() -> dict:
    """A batch of ten faces of side 24, as the step hands it to Augment.

    All is known, and no face has the class of its neighbour.
    """
    raw = synthetic.read(faces=10)
    pixels = raw.image.reshape(10, 24, 4, 24, 4, 1).mean((2, 4)) / 255
    return {
        "image": pixels.astype(np.float32),
        "labels": {
            "emotion": np.eye(5, dtype=np.float32)[np.arange(10) % 5],
            "keypoints": (raw.labels["keypoints"] + 0.5) / 4 - 0.5,
        },
        "known": {"emotion": np.ones(10, bool), "keypoints": np.ones((10, 15), bool)},
        "row": np.arange(10, dtype=np.int32),
        "epoch": np.zeros(10, np.float32),
    }


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Where prepared sets are."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    return tmp_path / "tfds"
