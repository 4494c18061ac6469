"""From a traced function to ONNX nodes: one rule for each of JAX's primitives.

The networks are described once, in models/; nothing here knows one of them.
"""

from typing import Any

import jax
import numpy as np

from emotion_jax.export.graph import Graph, Value
from emotion_jax.export.rules import ELEMENTWISE, RULES

# What only calls a function, and under which name it has it. (0.7 says pjit.)
CALLS = {"jit": "jaxpr", "pjit": "jaxpr", "custom_jvp_call": "call_jaxpr"}


def lower(graph: Graph, jaxpr: Any, *arguments: Value) -> list[Value]:
    """Adds a ClosedJaxpr's nodes; the values of its outputs.

    What depends on constants alone is computed here, by JAX.
    """
    values = dict(zip(jaxpr.jaxpr.constvars, map(np.asarray, jaxpr.consts)))
    values |= dict(zip(jaxpr.jaxpr.invars, arguments))

    def read(atom) -> Value:
        return np.asarray(atom.val) if hasattr(atom, "val") else values[atom]

    for equation in jaxpr.jaxpr.eqns:
        if any(0 in variable.aval.shape for variable in equation.outvars):
            continue  # nothing is in it
        atoms = [atom for atom in equation.invars if 0 not in atom.aval.shape]
        shapes = [atom.aval.shape for atom in atoms]
        found = apply(graph, equation, [read(atom) for atom in atoms], shapes)
        values |= dict(zip(equation.outvars, found))
    return [read(atom) for atom in jaxpr.jaxpr.outvars]


def apply(graph: Graph, equation, values: list[Value], shapes: list) -> list[Value]:
    """The values of one equation."""
    name, parameters = equation.primitive.name, equation.params
    if name in CALLS:
        return lower(graph, parameters[CALLS[name]], *values)
    shape = equation.outvars[0].aval.shape
    if name == "broadcast_in_dim":
        return [graph.spread(values[0], shape, parameters["broadcast_dimensions"])]
    if name not in ELEMENTWISE:
        values = [graph.whole(value, size) for value, size in zip(values, shapes)]
    if all(isinstance(value, np.ndarray) for value in values):
        found = equation.primitive.bind(*values, **parameters)
        return [np.asarray(array) for array in jax.tree.leaves(found)]
    if name in ELEMENTWISE:
        return [ELEMENTWISE[name](graph, *values, **parameters)]
    if name in RULES:
        return [RULES[name](graph, shape, *values, **parameters)]
    raise NotImplementedError(
        f"the ONNX export has no rule for JAX's {name!r}: it wants one in "
        "emotion_jax/export/rules.py"
    )
