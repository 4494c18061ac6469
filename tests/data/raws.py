"""Sources of small faces of noise, for the tests of what is made of them."""

import dataclasses

import numpy as np

from emotion_jax.data.table import SEVEN, Raw


def make_raw(num_faces=400, twin_rows=(), classes=SEVEN, seed=0, **fields):
    """Random faces of 4 x 4, face b made a twin of face a for each pair (a, b)."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (num_faces, 4, 4, 1), dtype=np.uint8)
    for a, b in twin_rows:
        image[b] = image[a]
    emotion = np.arange(num_faces) % len(classes)
    labels = {"emotion": np.eye(len(classes), dtype=np.float32)[emotion]}
    known = {"emotion": np.ones(num_faces, bool)}
    defaults = {"labels": labels, "known": known, "names": {"emotion": classes}}
    return Raw(source="fer2013", path="fer.csv", image=image, **(defaults | fields))


def fer_usage(training, public, private=0):
    names = (
        ["Training"] * training + ["PublicTest"] * public + ["PrivateTest"] * private
    )
    return np.array(names)


def take(raw, rows):
    """The same source with its rows in another order."""
    return dataclasses.replace(
        raw,
        image=raw.image[rows],
        labels={k: v[rows] for k, v in raw.labels.items()},
        known={k: v[rows] for k, v in raw.known.items()},
        usage=None if raw.usage is None else raw.usage[rows],
        person=None if raw.person is None else raw.person[rows],
    )
