"""Fewer nodes for the same numbers: BatchNorm is folded into the convolution before it.

A constant that is added to or multiplied with each channel of a layer's output is
folded into its weights and bias, consecutive constants are joined, and unused nodes are
dropped.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from emotion_jax.export.graph import Node

# The weights' axis for the output channels; in the output these are always axis 1.
LAYERS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1}


def fold(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """The remaining nodes, in their order."""
    nodes, before = needed(nodes, outputs), None
    while nodes != before:
        before, nodes = nodes, join_one(nodes, outputs)
    return nodes


def needed(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """The nodes that an output depends on."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if node.output in wanted:
            wanted |= {name for name in node.inputs if isinstance(name, str)}
            kept.insert(0, node)
    return kept


def join_one(nodes: list[Node], outputs: Sequence[str]) -> list[Node]:
    """The nodes, with the first pair that can be joined made into one."""
    at = {node.output: place for place, node in enumerate(nodes)}
    uses = Counter([*outputs, *(i for n in nodes for i in n.inputs if type(i) is str)])
    for place, node in enumerate(nodes):
        name, constant = affine(node)
        if name not in at or uses[name] != 1:
            continue
        joined = join(nodes[at[name]], node, constant)
        if joined is not None:
            rest = nodes[:place], nodes[place + 1 :]
            return [n for n in rest[0] if n.output != name] + joined + rest[1]
    return nodes


def affine(node: Node) -> tuple[str, np.ndarray | None]:
    """A Mul's or Add's variable input and its constant; "" for any other node."""
    if node.op in ("Mul", "Add"):
        first, second = node.inputs
        if isinstance(second, np.ndarray) and isinstance(first, str):
            return first, second
        if isinstance(first, np.ndarray) and isinstance(second, str):
            return second, first
    return "", None


def join(before: Node, node: Node, constant: np.ndarray) -> list[Node] | None:
    """The two as one (or as two that can be joined with others), or None."""
    if before.op in LAYERS:
        weight = before.inputs[1]
        channels = weight.shape[LAYERS[before.op]]
        others = constant.shape[:1] + constant.shape[2:]
        if constant.size in (1, channels) and set(others) <= {1}:
            values = np.broadcast_to(constant.reshape(-1), channels)
            return [absorb(before, node, values)]
        return None
    name, earlier = affine(before)
    if not name:
        return None
    if node.op == before.op:
        both = earlier * constant if node.op == "Mul" else earlier + constant
        return [Node(node.op, (name, np.asarray(both)), node.output, {})]
    if node.op == "Mul":  # (x + a) b = x b + a b
        scaled = Node("Mul", (name, constant), before.output, {})
        shift = np.asarray(earlier * constant)
        return [scaled, Node("Add", (scaled.output, shift), node.output, {})]
    return None


def absorb(layer: Node, node: Node, values: np.ndarray) -> Node:
    """The layer with its outputs scaled or shifted by one value per channel."""
    source, weight, *bias = layer.inputs
    bias = bias[0] if bias else np.zeros(len(values), np.float32)
    if node.op == "Mul":
        shape = [1] * weight.ndim
        shape[LAYERS[layer.op]] = len(values)
        weight, bias = weight * values.reshape(shape), bias * values
    else:
        bias = bias + values
    return Node(layer.op, (source, weight, bias), node.output, layer.attributes)
