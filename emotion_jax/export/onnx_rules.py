"""JAX's primitives as ONNX nodes: those that the networks in models/ use."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from emotion_jax.export.graph import Graph, Tensor, Value
from emotion_jax.export.lower import Rules, product_axes, require

CHANNELS_FIRST = (0, 3, 1, 2)
TYPES = {"float32": 1, "uint8": 2, "int32": 6, "int64": 7, "bool": 9}  # ONNX's numbers


def simple(op: str) -> Callable[..., Tensor]:
    """The rule for a primitive that is a single node."""

    def rule(graph: Graph, *values: Value, **parameters) -> Tensor:
        return graph.elementwise(op, *values)

    return rule


def subtract(graph: Graph, x: Value, y: Value, **parameters) -> Tensor:
    """A constant is negated and added instead, because Adds are folded."""
    if isinstance(y, np.ndarray):
        return graph.elementwise("Add", x, np.asarray(-y))
    return graph.elementwise("Sub", x, y)


def divide(graph: Graph, x: Value, y: Value, **parameters) -> Tensor:
    """A constant divisor becomes a factor, because Muls are folded."""
    if isinstance(y, np.ndarray):
        return graph.elementwise("Mul", x, np.asarray(1 / y))
    return graph.elementwise("Div", x, y)


def maximum(graph: Graph, x: Value, y: Value, **parameters) -> Tensor:
    """With a constant 0 it is a Relu; with minus infinity it is dropped."""
    constant, other = (x, y) if isinstance(x, np.ndarray) else (y, x)
    if isinstance(constant, np.ndarray) and constant.ndim == 0:
        if constant == -np.inf:
            return other
        if constant == 0:
            return graph.elementwise("Relu", other)
    return graph.elementwise("Max", x, y)


def rsqrt(graph: Graph, x: Tensor, **parameters) -> Tensor:
    return graph.elementwise("Reciprocal", graph.elementwise("Sqrt", x))


def square(graph: Graph, x: Tensor, **parameters) -> Tensor:
    return graph.elementwise("Mul", x, x)


def integer_pow(graph: Graph, x: Tensor, *, y: int) -> Tensor:
    return graph.elementwise("Pow", x, np.asarray(y, np.float32))


def select(graph: Graph, which: Value, no: Value, yes: Value) -> Tensor:
    return graph.elementwise("Where", which, yes, no)


def cast(graph: Graph, x: Tensor, *, new_dtype, **parameters) -> Tensor:
    name = np.dtype(new_dtype).name
    require(name in TYPES, f"convert_element_type to {name}")
    return graph.elementwise("Cast", x, to=TYPES[name])


def nothing(graph: Graph, x: Tensor, **parameters) -> Tensor:
    return x


def as_shaped(graph: Graph, shape: Sequence[int], x: Tensor, **parameters) -> Tensor:
    return graph.reshape(x, shape)


def convolve(
    graph: Graph,
    shape: Sequence[int],
    x: Tensor,
    kernel: np.ndarray,
    *,
    window_strides: Sequence[int],
    padding: Sequence[Sequence[int]],
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
    dimension_numbers,
    feature_group_count: int,
    batch_group_count: int,
    **parameters,
) -> Tensor:
    """Channels first. With a dilated image it is a ConvTranspose."""
    require(batch_group_count == 1, "conv_general_dilated in groups of the batch")
    image = graph.arrange(x, dimension_numbers.lhs_spec)
    kernel = kernel.transpose(dimension_numbers.rhs_spec)
    begin, end = np.transpose(padding)
    if set(lhs_dilation) == {1}:
        op, strides = "Conv", window_strides
    else:
        require(
            {*window_strides, *rhs_dilation, feature_group_count} == {1},
            "conv_general_dilated of a dilated image with strides, holes or groups",
        )
        op, strides = "ConvTranspose", lhs_dilation
        begin, end = (np.array(kernel.shape[2:]) - 1 - pad for pad in (begin, end))
        kernel = np.flip(kernel, (2, 3)).swapaxes(0, 1)
    name = graph.emit(
        op,
        image,
        kernel,
        strides=list(strides),
        pads=[*begin.tolist(), *end.tolist()],
        dilations=list(rhs_dilation),
        group=feature_group_count,
    )
    return Tensor(name, tuple(shape), dimension_numbers.out_spec)


def pool(
    graph: Graph,
    shape: Sequence[int],
    x: Tensor,
    *,
    op: str,
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: Sequence[Sequence[int]],
    base_dilation: Sequence[int],
    window_dilation: Sequence[int],
) -> Tensor:
    """The maximum or the mean of windows over the two axes between n and c."""
    require({*base_dilation, *window_dilation} == {1}, "reduce_window with dilation")
    require(
        len(shape) == 4 and window_dimensions[0] == window_dimensions[3] == 1,
        "reduce_window over other axes than an image's height and width",
    )
    begin, end = np.transpose(padding)[:, 1:3]
    name = graph.emit(
        op,
        graph.arrange(x, CHANNELS_FIRST),
        kernel_shape=list(window_dimensions[1:3]),
        strides=list(window_strides[1:3]),
        pads=[*begin.tolist(), *end.tolist()],
        **({"count_include_pad": 1} if op == "AveragePool" else {}),
    )
    return Tensor(name, tuple(shape), CHANNELS_FIRST)


def sum_pool(graph: Graph, shape: Sequence[int], x: Tensor, **parameters) -> Tensor:
    """A mean times the window's size: ONNX has no sum pooling."""
    mean = pool(graph, shape, x, op="AveragePool", **parameters)
    count = math.prod(parameters["window_dimensions"])
    return graph.elementwise("Mul", mean, np.asarray(count, np.float32))


def multiply(
    graph: Graph,
    shape: Sequence[int],
    x: Tensor,
    y: Value,
    *,
    dimension_numbers,
    **parameters,
) -> Tensor:
    """A matrix product with constants, over one axis of each."""
    mine, theirs = product_axes(y, dimension_numbers)
    axes = [axis for axis in range(len(x.shape)) if axis != mine]
    op = "Gemm" if len(x.shape) == y.ndim == 2 else "MatMul"
    name = graph.emit(op, graph.arrange(x, [*axes, mine]), np.moveaxis(y, theirs, 0))
    return Tensor(name, tuple(shape), tuple(range(len(shape))))


def reduce(graph: Graph, shape, x: Tensor, *, op: str, axes, **parameters) -> Tensor:
    return graph.reduce(op, x, axes)


def transpose(graph: Graph, shape, x: Tensor, *, permutation) -> Tensor:
    """Nothing moves: only the axes are renumbered."""
    order = tuple(permutation.index(axis) for axis in x.order)
    return Tensor(x.name, tuple(shape), order)


def concatenate(graph: Graph, shape, *parts: Tensor, dimension: int) -> Tensor:
    order = max(parts, key=lambda part: math.prod(part.shape)).order
    inputs = [graph.arrange(part, order) for part in parts]
    name = graph.emit("Concat", *inputs, axis=order.index(dimension))
    return Tensor(name, tuple(shape), order)


def stack(graph: Graph, shape, *parts: Tensor, axis: int) -> Tensor:
    one = [*shape[:axis], 1, *shape[axis + 1 :]]
    parts = [graph.reshape(part, one) for part in parts]
    return concatenate(graph, shape, *parts, dimension=axis)


def cut(graph: Graph, shape, x: Tensor, *, start_indices, limit_indices, strides):
    """A Slice of only those axes that get shorter."""
    axes = [axis for axis, size in enumerate(shape) if size != x.shape[axis]]
    bounds = [
        np.array([values[axis] for axis in axes], np.int64)
        for values in (start_indices, limit_indices)
    ]
    places = np.array([x.order.index(axis) for axis in axes], np.int64)
    steps = np.array([(strides or [1] * len(shape))[axis] for axis in axes], np.int64)
    name = graph.emit("Slice", x.name, *bounds, places, steps)
    return Tensor(name, tuple(shape), x.order)


ONNX = Rules(
    "emotion_jax/export/onnx_rules.py",
    Graph.spread,
    Graph.whole,
    elementwise={
        **{"add": simple("Add"), "mul": simple("Mul"), "min": simple("Min")},
        **{"sub": subtract, "div": divide, "max": maximum},
        **{"exp": simple("Exp"), "tanh": simple("Tanh"), "logistic": simple("Sigmoid")},
        **{"rsqrt": rsqrt, "square": square, "integer_pow": integer_pow},
        **{"ge": simple("GreaterOrEqual"), "select_n": select},
        **{"convert_element_type": cast, "stop_gradient": nothing, "copy": nothing},
    },
    others={
        **{"reshape": as_shaped, "squeeze": as_shaped, "transpose": transpose},
        **{"conv_general_dilated": convolve, "dot_general": multiply},
        "reduce_window_max": partial(pool, op="MaxPool"),
        "reduce_window_sum": sum_pool,
        "reduce_sum": partial(reduce, op="ReduceSum"),
        "reduce_max": partial(reduce, op="ReduceMax"),
        **{"concatenate": concatenate, "stack": stack, "slice": cut},
    },
)
