"""From a traced function to another's operations: a rule for each of JAX's primitives.

The networks are described once, in models/; nothing here knows one of them.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

# What only calls a function, and under which name it has it. (0.7 says pjit.)
CALLS = {"jit": "jaxpr", "pjit": "jaxpr", "custom_jvp_call": "call_jaxpr"}


@dataclasses.dataclass(frozen=True)
class Rules:
    """How another framework says what JAX does, by the names of JAX's primitives.

    Attributes:
      file: where they stand, and a new one would.
      spread: (target, value, shape, axes): puts axes of length one in between.
      whole: (target, value, shape): repeats along such axes.
      elementwise: (target, *values, **parameters): value by value, whole or not.
      others: (target, shape of the result, *values, **parameters).
    """

    file: str
    spread: Callable
    whole: Callable
    elementwise: Mapping[str, Callable]
    others: Mapping[str, Callable]


def lower(target: Any, jaxpr: Any, *arguments: Any, rules: Rules) -> list:
    """Adds what a ClosedJaxpr does to the target; the values of its outputs.

    What depends on constants alone is computed here, by JAX.
    """
    values = dict(zip(jaxpr.jaxpr.constvars, map(np.asarray, jaxpr.consts)))
    values |= dict(zip(jaxpr.jaxpr.invars, arguments))

    def read(atom):
        return np.asarray(atom.val) if hasattr(atom, "val") else values[atom]

    for equation in jaxpr.jaxpr.eqns:
        if any(0 in variable.aval.shape for variable in equation.outvars):
            continue  # nothing is in it
        atoms = [atom for atom in equation.invars if 0 not in atom.aval.shape]
        shapes = [atom.aval.shape for atom in atoms]
        given = [read(atom) for atom in atoms]
        found = apply(target, equation, given, shapes, rules)
        values |= dict(zip(equation.outvars, found))
    return [read(atom) for atom in jaxpr.jaxpr.outvars]


def apply(target, equation, values: list, shapes: list, rules: Rules) -> list:
    """The values of one equation."""
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
    raise NotImplementedError(
        f"this export has no rule for JAX's {name!r}: it wants one in {rules.file}"
    )
