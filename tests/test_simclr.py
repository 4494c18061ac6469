"""Laws of self-supervision: two views of a face, one loss, and labels kept from it."""

from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from emotion_jax import simclr, step
from emotion_jax.errors import Mistake
from emotion_jax.models import make_network
from emotion_jax.sharding import make_mesh
from emotion_jax.simclr import SimCLR
from emotion_jax.tasks import make_tasks
from emotion_jax.train import train_and_evaluate

MODEL = tiny.MODEL | {"simclr": {"width": 16}}


def loss(vectors, temperature=0.2) -> tuple[float, float]:
    """The loss, and the share of views that find their other."""
    found, metrics = SimCLR(16, temperature).loss_and_metrics(jnp.asarray(vectors))
    total, count = metrics["simclr/accuracy"]
    assert count == len(vectors)
    found = float(found)
    assert float(metrics["simclr/loss"][0] / count) == pytest.approx(found, rel=1e-6)
    return found, float(total / count)


def by_definition(z: np.ndarray, temperature: float) -> float:
    """Equation 1 of the paper, word for word."""

    def similar(i, k):
        return z[i] @ z[k] / np.linalg.norm(z[i]) / np.linalg.norm(z[k])

    terms, n = [], len(z)
    for i in range(n):
        j = i + 1 if i % 2 == 0 else i - 1
        others = [np.exp(similar(i, k) / temperature) for k in range(n) if k != i]
        terms.append(-np.log(np.exp(similar(i, j) / temperature) / sum(others)))
    return float(np.mean(terms))


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_the_loss_is_that_of_the_paper(temperature):
    vectors = np.random.default_rng(0).normal(size=(12, 16)).astype(np.float32)
    expected = by_definition(vectors.astype(float), temperature)
    assert loss(vectors, temperature)[0] == pytest.approx(expected, rel=1e-5)
    assert loss(3 * vectors, temperature)[0] == pytest.approx(expected, rel=1e-5)


def test_pairs_that_agree_and_differ_from_all_others_cost_least():
    axes = np.repeat(np.eye(16, dtype=np.float32), 2, axis=0)
    assert loss(axes, 0.05) == (pytest.approx(0.0, abs=1e-6), 1.0)
    apart = np.roll(axes, 1, axis=0)  # each beside a stranger
    assert loss(apart, 0.05)[0] > 10 and loss(apart, 0.05)[1] == 0.0


@pytest.mark.parametrize("vector", [0.0, 1.0])
def test_vectors_that_are_all_alike_cost_as_much_as_a_guess(vector):
    alike = np.full((10, 16), vector, np.float32)
    assert loss(alike)[0] == pytest.approx(np.log(9), rel=1e-6)
    grad = jax.grad(lambda v: SimCLR().loss_and_metrics(v)[0])(jnp.asarray(alike))
    assert np.isfinite(grad).all()


def test_a_batch_has_each_face_twice_in_a_row_augmented_apart():
    _, _, feed = tiny.make_step(tiny.faces())
    augment = tiny.make_augment(make_tasks(tiny.TASKS), tiny.AUGMENT)
    once, twice = (
        jax.device_get(
            jax.jit(step.make_batch(augment, feed, make_mesh(), 0, views))(
                jnp.int32(3), next(feed.batches(3))
            )
        )
        for views in (1, 2)
    )
    assert len(once["image"]) == 8 and len(twice["image"]) == 16
    for seen in (twice["row"][::2], twice["row"][1::2]):
        np.testing.assert_array_equal(seen, once["row"])
    np.testing.assert_array_equal(
        twice["labels"]["emotion"][::2], twice["labels"]["emotion"][1::2]
    )
    np.testing.assert_allclose(twice["image"][::2], once["image"], atol=1e-5)
    assert np.abs(twice["image"][1::2] - once["image"]).mean(axis=(1, 2, 3)).min() > 0


def gradients(labels: int) -> dict:
    """Of one batch, with the labels rolled by so many faces."""
    table = jax.tree.map(jnp.asarray, tiny.faces(16))
    batch = table | {"image": table["image"] / 255, "turn": jnp.zeros((16, 2, 2))}
    batch["labels"] = jax.tree.map(lambda x: jnp.roll(x, labels, 0), batch["labels"])
    tasks = make_tasks(tiny.TASKS)
    network = make_network(tasks, **MODEL)
    variables = jax.jit(network.init)(jax.random.key(0), batch["image"])
    function = jax.jit(jax.grad(step.make_loss(network, tasks), has_aux=True))
    key = jax.random.key(1)
    return function(variables["params"], variables["batch_stats"], batch, key)[0]


def test_labels_reach_the_heads_and_nothing_else():
    one, other = gradients(0), gradients(1)
    for name in ("trunk", "projector"):
        a, b = jax.tree.leaves(one[name]), jax.tree.leaves(other[name])
        assert any(np.abs(x).max() > 0 for x in a)
        assert all(map(np.array_equal, a, b)), name
    for name in ("heads_emotion", "heads_keypoints"):
        a, b = jax.tree.leaves(one[name]), jax.tree.leaves(other[name])
        assert not all(map(np.array_equal, a, b)), name


def trained(steps: int, **options) -> list[dict[str, float]]:
    """The metrics of each step, on faces of sixteen gray squares each."""
    table = tiny.faces(64)
    squares = np.random.default_rng(1).integers(0, 256, (64, 4, 4, 1), np.uint8)
    table["image"] = squares.repeat(6, axis=1).repeat(6, axis=2)
    state, train_step, feed = tiny.make_step(
        table, model=MODEL, batch_size=32, total=steps, **options
    )
    found = []
    for inputs in islice(feed.batches(0), steps):
        state, metrics = train_step(state, inputs)
        found.append({k: float(t / n) for k, (t, n) in metrics.items()})
    return found


def test_it_learns_to_tell_faces_apart_and_its_loss_is_part_of_the_whole():
    found = trained(60)
    assert found[0]["simclr/accuracy"] < 0.1
    assert np.mean([f["simclr/accuracy"] for f in found[-5:]]) > 0.2  # a guess: 0.016
    for f in (found[0], found[-1]):
        parts = f["simclr/loss"] + f["emotion/loss"] + f["keypoints/loss"]
        assert f["loss"] == pytest.approx(parts, rel=1e-5)


def test_one_device_equals_eight():
    devices = jax.devices()
    one, eight = (trained(3, devices=d) for d in (devices[:1], devices))
    for a, b in zip(one, eight):
        assert a["simclr/loss"] == pytest.approx(b["simclr/loss"], rel=1e-4)
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)


@pytest.mark.parametrize(
    "options, told",
    [
        ({"temperature": 0.0}, "a temperature of at least 0.001, got 128 and 0.0"),
        ({"width": 0}, "a width of 1 to 16384"),
        ({"width": 20_000}, "a width of 1 to 16384"),
        ({"size": 8}, "unknown field of config.model.simclr 'size'"),
    ],
)
def test_a_field_that_cannot_be_is_told(options, told):
    with pytest.raises(Mistake, match=told):
        make_network(make_tasks(tiny.TASKS), **tiny.MODEL, simclr=options)


@pytest.mark.parametrize(
    "augment, batch_size, told",
    [
        ({}, 8, "has none that differs between them"),
        ({"policy": {"count": 1}, "alternating_flip": {}}, 8, "has none that differs"),
        ({"flip": {}, "mixup": {}}, 8, "config.augment.mixup mixes faces"),
        ({"flip": {}}, 1, "config.train.batch_size is 1, must be at least 2"),
    ],
)
def test_batches_without_two_views_and_other_faces_are_told(
    augment, batch_size, told, tmp_path
):
    config = tiny.config(**{"model": MODEL, "train.batch_size": batch_size})
    config.augment = augment
    with pytest.raises(Mistake, match=told):
        train_and_evaluate(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_pairs_keep_any_shape():
    one, other = {"a": jnp.zeros((3, 2))}, {"a": jnp.ones((3, 2))}
    pairs = simclr.in_pairs(one, other)["a"]
    np.testing.assert_array_equal(pairs, np.tile([[0, 0], [1, 1]], (3, 1)))
