"""Trees of arrays whose leaves go by their paths, such as params/trunk/stem/kernel."""

from collections.abc import Callable
from typing import Any

import jax


def by_path(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their paths."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {joined(path): leaf for path, leaf in leaves}


def map_by_path(function: Callable[[str, Any], Any], tree: Any) -> Any:
    """The tree of what a function makes of each path and its leaf."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: function(joined(path), leaf), tree
    )


def joined(path: tuple) -> str:
    """JAX's path of a leaf, as one string."""
    return jax.tree_util.keystr(path, simple=True, separator="/")
