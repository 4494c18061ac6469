"""Laws of the losses: each in a few lines of NumPy, its joints and its minimum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emotion_jax import losses

focal = jax.jit(losses.focal, static_argnums=2)
uncertain = jax.jit(jax.value_and_grad(losses.uncertain, argnums=1))
heatmap = jax.jit(losses.heatmap, static_argnums=(2, 3))
ERROR = np.array([-30.0, -3.0, -0.4, 0.0, 0.2, 1.0, 2.9, 3.1, 12.0], np.float32)


def distributions(n=6, k=4):
    """Logits, their softmax, and soft targets."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (n, k)).astype(np.float32)
    p = np.exp(logits.astype(float))
    p /= p.sum(1, keepdims=True)
    return logits, p, rng.dirichlet(np.ones(k), n).astype(np.float32)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("soft", [True, False])
def test_focal_is_the_cross_entropy_times_a_power_of_the_rest(gamma, soft):
    logits, p, target = distributions()
    if not soft:
        target = np.eye(4, dtype=np.float32)[target.argmax(1)]
    expected = -(target * (1 - p) ** gamma * np.log(p)).sum(1)
    found = focal(logits, target, gamma)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_of_a_certain_face_is_nothing_and_so_is_its_gradient(gamma):
    logits = jnp.array([[200.0, 0.0, 0.0]])  # p is 1 exactly, and twice 0
    target = jnp.array([[1.0, 0.0, 0.0]])

    def total(x):
        return focal(x, target, gamma).sum()

    value, gradient = jax.value_and_grad(total)(logits)
    assert jax.nn.softmax(logits)[0, 0] == 1 and value == 0
    np.testing.assert_allclose(gradient, np.zeros((1, 3)), atol=1e-5)


def test_squared_is_half_the_square_in_deltas():
    found = losses.squared(jnp.array(ERROR), 3.0)
    np.testing.assert_allclose(found, ERROR**2 / 18, rtol=1e-6)


def test_smooth_l1_is_hubers_over_delta():
    size = np.abs(ERROR)
    huber = np.where(size <= 3, size**2 / 2, 3 * (size - 1.5))
    found = losses.smooth_l1(jnp.array(ERROR), 3.0)
    np.testing.assert_allclose(found, huber / 3**2, rtol=1e-6)


def test_wing_is_that_of_the_paper_over_w():
    w, epsilon = 10.0, 2.0  # the paper's best
    size = np.abs(ERROR)
    c = w - w * np.log(1 + w / epsilon)
    paper = np.where(size < w, w * np.log(1 + size / epsilon), size - c)
    found = losses.wing(jnp.array(ERROR), w)
    np.testing.assert_allclose(found, paper / w, rtol=1e-5)


@pytest.mark.parametrize("loss", [losses.smooth_l1, losses.wing])
def test_a_loss_of_two_pieces_is_continuous_where_they_meet(loss):
    loss = jax.jit(loss, static_argnums=1)
    below, at, above = np.array(loss(np.float32([2.9999, 3.0, 3.0001]), 3.0))
    np.testing.assert_allclose([below, above], [at, at], rtol=1e-3)
    assert below < at < above


def test_smooth_l1_has_no_kink_and_wing_has_one():
    def slopes(loss):
        gradient = jax.jit(jax.grad(lambda x: loss(x, 3.0).sum()))
        return gradient(np.float32([2.9999, 3.0001]))

    np.testing.assert_allclose(slopes(losses.smooth_l1), [1 / 3, 1 / 3], rtol=1e-3)
    # From 1 / (curvature + 1) to 1, in units of delta.
    np.testing.assert_allclose(slopes(losses.wing), [1 / 3.6, 1 / 3], rtol=1e-3)


@pytest.mark.parametrize("name", losses.POINT_LOSSES)
def test_a_loss_of_points_is_even_and_zero_at_zero(name):
    loss = losses.POINT_LOSSES[name]
    np.testing.assert_array_equal(
        loss(jnp.array(ERROR), 2.0), loss(-jnp.array(ERROR), 2.0)
    )
    value, slope = jax.value_and_grad(lambda x: loss(x, 2.0))(0.0)
    assert value == 0 and np.isfinite(slope)


def gaussians(label, sigma, cells=6, step=4.0):
    """A normalised Gaussian a point, on cells of `step` pixels."""
    places = (np.arange(cells) + 0.5) * step - 0.5
    x, y = (
        np.exp(-0.5 * ((places - label[..., i, None]) / sigma) ** 2) for i in (0, 1)
    )
    both = y[..., :, None] * x[..., None, :]
    return both / both.sum((-2, -1), keepdims=True)


LABEL = np.array([[[3.0, 7.5], [20.0, 1.0], [-5.0, 30.0]]], np.float32)


@pytest.mark.parametrize("sigma", [1.0, 5.0])
def test_heatmap_is_the_cross_entropy_with_a_gaussian(sigma):
    heat = np.random.default_rng(0).normal(size=(1, 3, 6, 6)).astype(np.float32)
    p = np.exp(heat.astype(float))
    p /= p.sum((2, 3), keepdims=True)
    expected = -(gaussians(LABEL.astype(float), sigma) * np.log(p)).sum((2, 3))
    found = heatmap(heat, LABEL, 24, sigma)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_target_of_a_heatmap_sums_to_one_even_outside_of_the_frame():
    # So the loss of an even map is the log of its cells.
    found = heatmap(np.zeros((1, 3, 6, 6), np.float32), LABEL, 24, 2.0)
    np.testing.assert_allclose(found, np.full((1, 3), np.log(36)), rtol=1e-5)


def test_heatmap_is_least_where_the_map_is_the_target():
    target = gaussians(LABEL.astype(float), 3.0)
    entropy = -(target * np.log(target)).sum((2, 3))

    best = np.log(target).astype(np.float32)
    np.testing.assert_allclose(heatmap(best, LABEL, 24, 3.0), entropy, rtol=1e-4)
    gradient = jax.grad(lambda heat: heatmap(heat, LABEL, 24, 3.0).sum())(best)
    np.testing.assert_allclose(gradient, np.zeros((1, 3, 6, 6)), atol=1e-5)


COUNTS = np.array([4000.0, 300.0, 20.0, 0.0])


@pytest.mark.parametrize(
    "kind, expected",
    [
        ("inverse", 1 / COUNTS[:3]),
        ("effective", (1 - 0.999) / (1 - 0.999 ** COUNTS[:3])),
        ((2.0, 5.0, 1.0, 7.0), np.array([2.0, 5.0, 1.0])),
    ],
)
def test_class_weights_are_in_these_proportions_and_1_a_face(kind, expected):
    found = losses.class_weights(kind, COUNTS)
    np.testing.assert_allclose(found[:3] / found[0], expected / expected[0], rtol=1e-5)
    assert found[3] == 0  # no face of it
    assert (found * COUNTS).sum() / COUNTS.sum() == pytest.approx(1)


@pytest.mark.parametrize("kind", ["inverse", "effective", (1.0, 1.0, 1.0)])
def test_even_classes_weigh_one_each(kind):
    found = losses.class_weights(kind, np.full(3, 50.0))
    np.testing.assert_allclose(found, [1, 1, 1], rtol=1e-6)


def test_effective_lies_between_even_and_inverse():
    few, many = np.array([5.0, 10.0]), np.array([50_000.0, 100_000.0])
    found = losses.class_weights("effective", few)  # few faces: all are new
    np.testing.assert_allclose(found, losses.class_weights("inverse", few), rtol=0.01)
    found = losses.class_weights("effective", many)  # many: a thousand are all there is
    np.testing.assert_allclose(found, [1, 1], rtol=1e-6)


@pytest.mark.parametrize("loss", [0.1, 1.0, 7.0])
def test_uncertain_is_least_where_the_noise_is_twice_the_loss(loss):
    best = np.log(2 * loss)
    _, before = uncertain(loss, best - 0.1)
    least, slope = uncertain(loss, best)
    _, after = uncertain(loss, best + 0.1)
    assert before < 0 < after and slope == pytest.approx(0, abs=1e-6)
    assert least == pytest.approx(0.5 + 0.5 * best)


def test_uncertain_begins_as_the_loss():
    assert uncertain(3.0, 0.0)[0] == 3.0
