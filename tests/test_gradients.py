"""Laws of the gradients: the norm at each kernel, from the image to the heads."""

import by_hand
import jax
import numpy as np
import pytest
import tiny

from emotion_jax.data.pipeline import Order, Resident
from emotion_jax.gradients import depth, make_gradient_norms
from emotion_jax.models import make_network
from emotion_jax.sharding import make_mesh, whole
from emotion_jax.tasks import make_tasks

FACES = tiny.faces(8)


@pytest.fixture(scope="module")
def begun():
    """The function, and the variables as training begins with them."""
    tasks = make_tasks(tiny.TASKS)
    network = make_network(tasks, **tiny.MODEL)
    image = np.zeros((1, 24, 24, 1), np.float32)
    return make_gradient_norms(network, tasks), by_hand.beginning(network, image)


def test_every_kernel_has_a_norm_from_the_image_to_the_heads(begun):
    norms_of, variables = begun
    norms = norms_of(variables, FACES)
    assert list(norms) == [
        "trunk/stem",
        "trunk/stage1_block1/conv1",
        "trunk/stage1_block1/conv2",
        "heads_emotion/output",
        "heads_keypoints/output",
    ]
    # The heads begin at zero, and let nothing through to what lies before them.
    assert [norm > 0 for norm in norms.values()] == [False] * 3 + [True] * 2


def test_blocks_are_sorted_by_their_numbers():
    names = ["trunk/stage1_block10/conv1", "trunk/stem", "trunk/stage1_block9/conv1"]
    names += ["heads_emotion/output", "trunk/stage2_block1/conv1"]
    assert sorted(names, key=depth) == [names[i] for i in (1, 2, 0, 4, 3)]


def test_a_heads_norm_is_what_the_train_step_tells(begun):
    """At the beginning no other kernel has a gradient; the biases' are by hand."""
    norms_of, variables = begun
    norms = norms_of(variables, FACES)
    state, train_step, _ = tiny.make_step(FACES, augment={})
    mesh = make_mesh()
    feed = Resident(FACES, Order(0, [np.arange(8)], [8]), mesh)
    state = state.replace(**jax.device_put(variables, whole(mesh)))
    _, metrics = train_step(state, next(feed.batches(0)))
    heads = [norms[f"heads_{name}/output"] for name in tiny.TASKS]
    total = float(metrics["grad_norm"][0])
    biases = total**2 - heads[0] ** 2 - heads[1] ** 2
    np.testing.assert_allclose(biases, bias_square(), rtol=1e-3)


def bias_square() -> float:
    """The square of the biases' gradients, of even logits and points in the middle."""
    labels, known = FACES["labels"], FACES["known"]
    smooth = 0.9 * labels["emotion"] + 0.1 / 5
    classes = (0.2 - smooth)[known["emotion"]].sum(0) / known["emotion"].sum()
    error = (11.5 - labels["keypoints"]) * (96 / 24) / 2.0  # in units of delta_px
    slope = np.clip(error, -1, 1) * (96 / 24) / 2.0 * (24 / 4)
    points = np.where(known["keypoints"][..., None], slope, 0).sum(0)
    points /= known["keypoints"].sum()
    return float(np.square(classes).sum() + np.square(points).sum())
