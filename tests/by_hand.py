"""The layers in NumPy, and random variables for a module to hold against them."""

from functools import partial

import jax
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def variables(module, *args, **options):
    """Random variables of the shapes that the module asks for, compiling nothing."""
    init = partial(module.init, **options)
    shapes = jax.eval_shape(init, jax.random.key(0), *args)
    return jax.tree_util.tree_map_with_path(drawing(), shapes)


def beginning(module, *args, **options):
    """Variables as training begins with them, but kernels in NumPy: 10x faster."""
    init = partial(module.init, **options)
    text, draw = jax.tree_util.keystr, drawing()

    def is_drawn(path):
        return "kernel" in text(path) and "output" not in text(path)

    @jax.jit
    def begin(*args):
        flat = jax.tree_util.tree_leaves_with_path(init(jax.random.key(0), *args))
        return {text(path): leaf for path, leaf in flat if not is_drawn(path)}

    begun = begin(*args)
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: draw(path, leaf) if is_drawn(path) else begun[text(path)],
        jax.eval_shape(init, jax.random.key(0), *args),
    )


def drawing():
    """Draws leaf after leaf: kernels that keep the size of their input."""
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        if "var" in jax.tree_util.keystr(path):
            return rng.uniform(0.001, 1, leaf.shape).astype(np.float32)
        scale = np.prod(leaf.shape[:-1]) ** -0.5
        return rng.normal(0, scale, leaf.shape).astype(np.float32)

    return draw


def layers(variables, epsilon):
    """(conv, norm): a layer's name and an array in, an array out."""
    params, stats = variables["params"], variables.get("batch_stats", {})

    def conv(name, x):
        kernel = params[name]["kernel"]
        size = len(kernel)
        edge = size // 2
        x = np.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
        windows = sliding_window_view(x, (size, size), (1, 2))
        y = np.einsum("bhwcij,ijcd->bhwd", windows, kernel, optimize=True)
        return y + params[name].get("bias", 0)

    def norm(name, x):
        mean, var = stats[name]["mean"], stats[name]["var"]
        unit = (x - mean) / np.sqrt(var + epsilon)
        return unit * params[name]["scale"] + params[name]["bias"]

    return conv, norm


def max_pool(x, window):
    """Maxima at every second place, none over the edge."""
    windows = sliding_window_view(x, (window, window), (1, 2))
    return windows[:, ::2, ::2].max((-2, -1))


def count(tree) -> int:
    """How many numbers a tree of arrays, or of their shapes, holds."""
    return sum(int(np.prod(x.shape)) for x in jax.tree.leaves(tree))
