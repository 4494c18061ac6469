"""JAX's primitives as TensorFlow operations: for SavedModel, and so for TFLite.

Each rule is passed TensorFlow itself, so this module never imports it. Axes are stored
as in JAX, channels last, which is what TensorFlow's and LiteRT's CPU kernels expect.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from emotion_jax.export.graph import BATCH
from emotion_jax.export.lower import Rules, product_axes, require

CHANNELS_LAST = ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))  # image, kernel, result


def sizes(shape: Sequence[int]) -> list[int]:
    """A shape for any batch size."""
    return [-1 if size % BATCH == 0 else size for size in shape]


def spread(tf, value, shape: Sequence[int], axes: Sequence[int]):
    """Inserts axes; they are repeated later, or never."""
    kept = [1] * len(shape)
    for axis, size in zip(axes, value.shape):
        kept[axis] = -1 if size is None else size
    return (
        value.reshape(kept)
        if isinstance(value, np.ndarray)
        else as_shaped(tf, kept, value)
    )


def whole(tf, value, shape: Sequence[int]):
    """Repeats the axes that still have to be repeated."""
    if isinstance(value, np.ndarray):
        require(BATCH not in shape, "broadcast_in_dim of a constant over the batch")
        return np.broadcast_to(value, shape)
    times = [
        1 if have in (None, want) else want for have, want in zip(value.shape, shape)
    ]
    return value if set(times) <= {1} else tf.tile(value, times)


def simple(op: str) -> Callable:
    """The rule for a primitive that is a single operation."""

    def rule(tf, *values, **parameters):
        return getattr(tf.math, op)(*values)

    return rule


def maximum(tf, x, y, **parameters):
    """With a constant 0 it is a ReLU, which converters fuse into the previous layer."""
    constant, other = (x, y) if isinstance(x, np.ndarray) else (y, x)
    if isinstance(constant, np.ndarray) and constant.ndim == 0:
        if constant == -np.inf:
            return other
        if constant == 0:
            return tf.nn.relu(other)
    return tf.maximum(x, y)


def integer_pow(tf, x, *, y: int):
    return tf.pow(x, np.float32(y))


def select(tf, which, no, yes):
    return tf.where(which, yes, no)


def cast(tf, x, *, new_dtype, **parameters):
    return tf.cast(x, np.dtype(new_dtype))


def nothing(tf, x, **parameters):
    return x


def as_shaped(tf, shape, x, **parameters):
    return tf.reshape(x, sizes(shape))


def padded(tf, x, padding: Sequence[Sequence[int]], value: float = 0.0):
    """The image padded along the two axes between n and c."""
    margin = [[0, 0], *map(list, padding), [0, 0]]
    return tf.pad(x, margin, constant_values=value) if np.any(margin) else x


def same(x, window, strides, padding) -> bool:
    """Whether this padding is what TensorFlow calls SAME."""
    for size, w, s, (low, high) in zip(x.shape[1:3], window, strides, padding):
        total = max((-(-size // s) - 1) * s + w - size, 0)
        if (low, high) != (total // 2, total - total // 2):
            return False
    return True


def convolve(
    tf,
    shape,
    x,
    kernel: np.ndarray,
    *,
    window_strides,
    padding,
    lhs_dilation,
    rhs_dilation,
    dimension_numbers,
    feature_group_count: int,
    batch_group_count: int,
    **parameters,
):
    """With a dilated image it is a transposed convolution, whose margin is cut off."""
    require(batch_group_count == 1, "conv_general_dilated in groups of the batch")
    require(
        tuple(dimension_numbers) == CHANNELS_LAST,
        "conv_general_dilated of anything but images, channels last",
    )
    if set(lhs_dilation) == {1}:
        window = (np.array(kernel.shape[:2]) - 1) * rhs_dilation + 1
        fits = np.any(padding) and same(x, window, window_strides, padding)
        x = x if fits else padded(tf, x, padding)
        how = (window_strides, "SAME" if fits else "VALID", rhs_dilation)
        return grouped(tf, x, kernel, feature_group_count, *how)
    require(
        {*window_strides, *rhs_dilation, feature_group_count} == {1},
        "conv_general_dilated of a dilated image with strides, holes or groups",
    )
    window = np.array(kernel.shape[:2])
    full = (np.array(x.shape[1:3]) - 1) * lhs_dilation + window
    kernel = np.flip(kernel, (0, 1)).swapaxes(2, 3)
    target = [tf.shape(x)[0], *full.tolist(), shape[3]]
    y = tf.nn.conv2d_transpose(x, kernel, target, lhs_dilation, "VALID")
    top, left = (w - 1 - low for w, (low, _) in zip(window, padding))
    return y[:, top : top + shape[1], left : left + shape[2]]


def grouped(tf, x, kernel, groups: int, strides, padding: str, dilations):
    """A convolution, in groups by operations that every device and LiteRT have."""
    if groups == 1:
        return tf.nn.conv2d(x, kernel, strides, padding, dilations=dilations)
    even = len(set(strides)) == 1 and 1 in (max(strides), max(dilations))
    if groups == x.shape[3] and even:  # all that TensorFlow's depthwise one can do
        kernel = kernel.reshape(*kernel.shape[:2], groups, -1)
        steps = [1, *strides, 1]
        return tf.nn.depthwise_conv2d(x, kernel, steps, padding, dilations=dilations)
    parts = zip(tf.split(x, groups, 3), np.split(kernel, groups, 3))
    how = (1, strides, padding, dilations)
    return tf.concat([grouped(tf, *part, *how) for part in parts], 3)


def pool(
    tf,
    shape,
    x,
    *,
    op: str,
    window_dimensions,
    window_strides,
    padding,
    base_dilation,
    window_dilation,
):
    """The maximum or the sum of windows over the two axes between n and c."""
    require({*base_dilation, *window_dilation} == {1}, "reduce_window with dilation")
    require(
        len(shape) == 4 and window_dimensions[0] == window_dimensions[3] == 1,
        "reduce_window over other axes than an image's height and width",
    )
    window, strides = window_dimensions[1:3], window_strides[1:3]
    if op == "max":
        x = padded(tf, x, padding[1:3], -np.inf)
        return tf.nn.max_pool2d(x, window, strides, "VALID")
    means = tf.nn.avg_pool2d(padded(tf, x, padding[1:3]), window, strides, "VALID")
    return means * np.float32(np.prod(window))


def multiply(tf, shape, x, y, *, dimension_numbers, **parameters):
    """A matrix product with constants, over one axis of each."""
    mine, theirs = product_axes(y, dimension_numbers)
    if mine != len(x.shape) - 1:
        axes = [axis for axis in range(len(x.shape)) if axis != mine]
        x = tf.transpose(x, [*axes, mine])
    y = np.moveaxis(y, theirs, 0)
    return tf.reshape(tf.matmul(x, y.reshape(len(y), -1)), sizes(shape))


def reduce(tf, shape, x, *, op: str, axes, **parameters):
    return getattr(tf, op)(x, list(axes))


def transpose(tf, shape, x, *, permutation):
    return tf.transpose(x, permutation)


def concatenate(tf, shape, *parts, dimension: int):
    return tf.concat(parts, dimension)


def stack(tf, shape, *parts, axis: int):
    return tf.stack(parts, axis)


def cut(tf, shape, x, *, start_indices, limit_indices, strides):
    """A strided slice; axes that keep their size are left whole."""
    bounds = zip(start_indices, limit_indices, strides or [1] * len(shape))
    return x[
        tuple(
            slice(None) if size == have or have is None else slice(*bound)
            for size, have, bound in zip(shape, x.shape, bounds)
        )
    ]


TENSORFLOW = Rules(
    "emotion_jax/export/tf_rules.py",
    spread,
    whole,
    elementwise={
        **{"add": simple("add"), "sub": simple("subtract"), "mul": simple("multiply")},
        **{"div": simple("divide"), "min": simple("minimum"), "max": maximum},
        **{"exp": simple("exp"), "tanh": simple("tanh"), "logistic": simple("sigmoid")},
        **{"rsqrt": simple("rsqrt"), "square": simple("square")},
        **{"integer_pow": integer_pow, "ge": simple("greater_equal")},
        **{"select_n": select, "convert_element_type": cast},
        **{"stop_gradient": nothing, "copy": nothing},
    },
    others={
        **{"reshape": as_shaped, "squeeze": as_shaped, "transpose": transpose},
        **{"conv_general_dilated": convolve, "dot_general": multiply},
        "reduce_window_max": partial(pool, op="max"),
        "reduce_window_sum": partial(pool, op="sum"),
        "reduce_sum": partial(reduce, op="reduce_sum"),
        "reduce_max": partial(reduce, op="reduce_max"),
        **{"concatenate": concatenate, "stack": stack, "slice": cut},
    },
)
