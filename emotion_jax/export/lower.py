"""Lowers a traced function to another framework: one rule for each JAX primitive.

The networks are defined once, in models/; nothing here depends on any of them.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from emotion_jax.errors import Mistake

# Primitives that only call a function, and their parameter for it. (pjit in JAX 0.7.)
CALLS = {"jit": "jaxpr", "pjit": "jaxpr", "custom_jvp_call": "call_jaxpr"}


@dataclasses.dataclass(frozen=True)
class Rules:
    """How another framework does what JAX's primitives do, by their names.

    Attributes:
      file: where the rules are, and where a new one belongs.
      spread: (target, value, shape, axes): inserts axes of length one.
      whole: (target, value, shape): repeats along such axes.
      elementwise: (target, *values, **parameters): elementwise, repeated yet or not.
      others: (target, shape of the result, *values, **parameters).
    """

    file: str
    spread: Callable
    whole: Callable
    elementwise: Mapping[str, Callable]
    others: Mapping[str, Callable]


def lower(target: Any, jaxpr: Any, *arguments: Any, rules: Rules) -> list:
    """Adds a ClosedJaxpr's operations to the target; returns the values of its outputs.

    Whatever depends on constants alone is computed here, by JAX.
    """
    values = dict(zip(jaxpr.jaxpr.constvars, map(np.asarray, jaxpr.consts)))
    values |= dict(zip(jaxpr.jaxpr.invars, arguments))

    def read(atom):
        return np.asarray(atom.val) if hasattr(atom, "val") else values[atom]

    for equation in jaxpr.jaxpr.eqns:
        if any(0 in variable.aval.shape for variable in equation.outvars):
            continue  # it is empty
        atoms = [atom for atom in equation.invars if 0 not in atom.aval.shape]
        shapes = [atom.aval.shape for atom in atoms]
        given = [read(atom) for atom in atoms]
        found = apply(target, equation, given, shapes, rules)
        values |= dict(zip(equation.outvars, found))
    return [read(atom) for atom in jaxpr.jaxpr.outvars]


def apply(target, equation, values: list, shapes: list, rules: Rules) -> list:
    """The output values of one equation."""
    name, parameters = equation.primitive.name, equation.params
    if name in CALLS:
        return lower(target, parameters[CALLS[name]], *values, rules=rules)
    shape = equation.outvars[0].aval.shape
    if name == "broadcast_in_dim":
        axes = parameters["broadcast_dimensions"]
        return [rules.spread(target, values[0], shape, axes)]
    if name not in rules.elementwise:
        values = [
            rules.whole(target, value, size) for value, size in zip(values, shapes)
        ]
    if all(isinstance(value, np.ndarray) for value in values):
        found = equation.primitive.bind(*values, **parameters)
        return [np.asarray(array) for array in jax.tree.leaves(found)]
    if name in rules.elementwise:
        return [rules.elementwise[name](target, *values, **parameters)]
    if name in rules.others:
        return [rules.others[name](target, shape, *values, **parameters)]
    raise Mistake(
        f"this export has no rule for JAX's {name!r}: it wants one in {rules.file}"
    )


def require(holds: bool, operation: str) -> None:
    """Raises unless a rule can do what a network asks of it; names the operation."""
    if not holds:
        raise Mistake(f"this export cannot do JAX's {operation}")


def product_axes(y: object, dimension_numbers: tuple) -> tuple[int, int]:
    """The axis over which dot_general sums, of x and of the constant y."""
    (contracted, others), (batch, _) = dimension_numbers
    require(isinstance(y, np.ndarray), "dot_general of two values, neither constant")
    require(
        len(contracted) == 1 and not batch,
        "dot_general over several axes, or in batches",
    )
    (mine,), (theirs,) = contracted, others
    return mine, theirs
