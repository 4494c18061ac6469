"""Laws of the heads: where points start, and what a heat map's place is."""

from functools import partial

import by_hand
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emotion_jax.errors import Mistake
from emotion_jax.losses import grid
from emotion_jax.losses import soft_argmax as eager
from emotion_jax.models import make_network
from emotion_jax.models.heads import Flat, HeatMap, Pooled
from emotion_jax.tasks import make_tasks

POINTS = ("points", ("eye", "nose"))
soft_argmax = jax.jit(eager, static_argnums=1)
CLASSES = ("classes", ("calm", "glad", "cross"))
FEATURES = np.random.default_rng(0).normal(size=(2, 3, 3, 4)).astype(np.float32)


def apply(head, variables, features, train=False, side=24):
    return jax.jit(partial(head.apply, side=side, train=train))(variables, features)


def test_a_sharp_map_is_at_the_centre_of_its_cell():
    # Side 96, 24 cells of 4 pixels: cell 0 is pixels 0 to 3, about 1.5.
    heat = np.zeros((1, 4, 24, 24), np.float32)
    for point, (row, column) in enumerate([(0, 0), (0, 5), (23, 2), (10, 23)]):
        heat[0, point, row, column] = 1e4
    expected = [[1.5, 1.5], [21.5, 1.5], [9.5, 93.5], [93.5, 41.5]]
    np.testing.assert_allclose(soft_argmax(heat, 96)[0], expected)


def test_an_even_map_is_at_the_images_centre():
    found = soft_argmax(jnp.full((1, 1, 6, 8), 3.0), 24)
    np.testing.assert_allclose(found, [[[11.5, 11.5]]], rtol=1e-6)


def test_two_equal_peaks_are_found_between_them():
    heat = np.zeros((1, 1, 24, 24), np.float32)
    heat[0, 0, 4, [3, 9]] = 1e4
    np.testing.assert_allclose(soft_argmax(heat, 96), [[[25.5, 17.5]]])


def test_the_cells_of_a_map_of_the_images_side_are_its_pixels():
    np.testing.assert_array_equal(grid(5, 5), [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(grid(2, 4), [0.5, 2.5])


@pytest.mark.parametrize("make", [Pooled, Flat, HeatMap])
@pytest.mark.parametrize("side, centre", [(24, 11.5), (48, 23.5)])
def test_points_start_at_the_images_centre(make, side, centre):
    head, features = make(*POINTS), FEATURES.repeat(2, 1).repeat(2, 2)
    begun = by_hand.beginning(head, features, side=side, train=False)
    found = apply(head, begun, features, side=side)
    np.testing.assert_allclose(found, np.full((2, 2, 2), centre), rtol=1e-5)


@pytest.mark.parametrize("make", [Pooled, Flat])
def test_classes_start_even(make):
    head = make(*CLASSES)
    begun = by_hand.beginning(head, FEATURES, side=24, train=False)
    np.testing.assert_array_equal(apply(head, begun, FEATURES), np.zeros((2, 3)))


@pytest.mark.parametrize("make", [Pooled, Flat])
def test_a_point_is_learnt_in_units_of_a_quarter_side(make):
    head = make(*POINTS)
    variables = by_hand.variables(head, FEATURES, side=24, train=False)
    output = jax.tree.map(np.zeros_like, variables["params"]["output"])
    output["bias"] += np.array([1, 0, -1, 0.5], np.float32)
    found = apply(head, {"params": {"output": output}}, FEATURES)
    expected = [[11.5 + 6, 11.5], [11.5 - 6, 11.5 + 3]]
    np.testing.assert_allclose(found, [expected] * 2)


@pytest.mark.parametrize("make, seen", [(Pooled, False), (Flat, True)])
def test_only_the_flat_head_sees_where_a_feature_is(make, seen):
    head = make(*CLASSES)
    variables = by_hand.variables(head, FEATURES, side=24, train=False)
    found, turned = (apply(head, variables, x) for x in (FEATURES, FEATURES[:, ::-1]))
    assert seen != np.allclose(found, turned, rtol=1e-4, atol=1e-6)


def test_the_pooled_head_is_a_layer_on_the_means():
    head = Pooled(*CLASSES)
    variables = by_hand.variables(head, FEATURES, side=24, train=False)
    layer = variables["params"]["output"]
    expected = FEATURES.mean((1, 2)) @ layer["kernel"] + layer["bias"]
    found = apply(head, variables, FEATURES)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "features, side, cells",
    [(3, 24, 6), (6, 24, 6), (3, 96, 24), (5, 96, 40), (3, 48, 12), (24, 48, 24)],
)
def test_in_training_a_map_has_at_least_a_quarter_of_the_side(features, side, cells):
    head = HeatMap(*POINTS, width=8)
    x = jax.ShapeDtypeStruct((2, features, features, 4), jnp.float32)

    def maps(x):
        key = jax.random.key(0)
        return head.init_with_output(key, x, side=side, train=True)[0]

    shape = jax.eval_shape(maps, x).shape
    assert shape == (2, 2, cells, cells) and cells >= side / 4


def test_in_evaluation_the_points_are_the_mean_places_of_the_maps():
    head = HeatMap(*POINTS, width=8)
    variables = by_hand.variables(head, FEATURES, side=24, train=False)
    variables["params"]["output"]["kernel"] *= 30  # far from even
    heat = apply(head, variables, FEATURES, train=True)
    found = apply(head, variables, FEATURES)
    share = np.exp(np.array(heat, float))
    share /= share.sum((2, 3), keepdims=True)
    cells = np.array([1.5, 5.5, 9.5, 13.5, 17.5, 21.5])
    x, y = (np.einsum(f"bphw,{axis}->bp", share, cells) for axis in "wh")
    assert np.ptp(x) > 1 and np.ptp(y) > 1
    np.testing.assert_allclose(found, np.stack([x, y], -1), rtol=1e-5)


def test_a_heat_map_of_classes_is_told():
    tasks = make_tasks({"emotion": {"head": "heatmap"}})
    with pytest.raises(Mistake, match="'heatmap' finds points; classes take pooled or"):
        make_network(tasks, name="resnet")
