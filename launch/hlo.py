"""Read a compiled program's text: its operations, their layouts, their cycles.

An array's layout, such as {0,3,2,1:T(8,128)(2,1)}, lists its axes, the fastest-varying
first; the tile T pads the first two of them to multiples of 8 and 128: padding is
wasted memory and time.
"""

import dataclasses
import math
import re
from collections.abc import Iterator

BYTES = {"pred": 1, "s4": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2}
BYTES |= {"f32": 4, "s32": 4, "u32": 4, "f64": 8, "s64": 8, "u64": 8}
SHAPE = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\](?:\{([\d,]*)(?::([^}]*))?\})?")
LINE = re.compile(r"^\s*(?:ROOT )?%?([\w.-]+) = (.+?) ([a-z][\w-]*)\((.*)$")
FREE = ("parameter", "constant", "tuple", "bitcast", "get-tuple-element")
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all")
COLLECTIVES += ("collective-permute",)


@dataclasses.dataclass(frozen=True)
class Operation:
    """One of the program's operations, which run in turn.

    Attributes:
      kind: fusion, all-reduce, ...
      layer: where in the network's code it comes from.
      logical, padded: bytes of its result, without and with the tiles' padding.
      moved: bytes that it reads from and writes to the chip's main memory, without
        those that its layout places in on-chip memory, S(1).
      cycles: the compiler's estimate; 0 if it gives none.
    """

    name: str
    kind: str
    layer: str
    logical: int
    padded: int
    moved: int
    cycles: int


def sizes(text: str) -> tuple[int, int]:
    """Bytes of all arrays named in a type, without and with padding."""
    logical = padded = 0
    for dtype, dims, order, tiling in SHAPE.findall(text):
        if dtype not in BYTES:
            continue
        shape = [int(size) for size in dims.split(",") if size]
        logical += math.prod(shape) * BYTES[dtype]
        tile = re.match(r"T\((\d+)(?:,(\d+))?\)", tiling or "")
        if tile and order:
            minor = [int(axis) for axis in order.split(",")]
            fill = [int(size) for size in reversed(tile.groups()) if size]
            for axis, size in zip(minor, fill):
                shape[axis] = -(-shape[axis] // size) * size
        padded += math.prod(shape) * BYTES[dtype]
    return logical, padded


def in_main_memory(text: str) -> list[int]:
    """Bytes of each array named in a type; 0 if it is not in main memory."""
    return [
        0 if "S(" in (found[4] or "") else sizes(found[0])[0]
        for found in SHAPE.finditer(text)
    ]


def moved(name: str, kind: str, made: str, given: list[str]) -> int:
    """Bytes that an operation moves from and to main memory.

    Args:
      made, given: the types of its result and of its inputs.
    """
    if kind.endswith("-done"):
        return 0
    if kind in ("copy-start", "slice-start"):  # of a sliced array, only the slice
        size = min(sizes(found[0])[0] for found in list(SHAPE.finditer(made))[:2])
        return sum(min(size, there) for there in in_main_memory(made)[:2])
    written = sum(in_main_memory(made))
    if "gather" in name:  # only the rows that it takes
        given = [made]
    return written + sum(sum(in_main_memory(text)) for text in given)


def layer_of(line: str) -> str:
    """The network's layer that a line belongs to, followed by "'" for its gradient."""
    name = re.search(r'op_name="([^"]*)"', line)
    path = name[1] if name else ""
    layer = re.search(r"Network\)*/(.+)/[^/]+$", path)
    if not layer:
        return "outside the network"
    return layer[1] + ("'" if "transpose(" in path else "")


def entry(text: str) -> Iterator[str]:
    """The lines of the program's main computation."""
    inside = False
    for line in text.splitlines():
        if line.startswith("ENTRY "):
            inside = True
        elif inside and line.startswith("}"):
            return
        elif inside:
            yield line


def operations(text: str, inner: bool = False) -> list[Operation]:
    """The program's operations, without parameters and others that cost nothing.

    Args:
      inner: include the operations inside its loops, branches and fusions.
    """
    found, types = [], {}
    for line in text.splitlines() if inner else entry(text):
        match = LINE.match(line)
        if not match:
            continue
        name, made, kind, rest = match.groups()
        types[name] = made
        if kind in FREE or "ConcatBitcast" in rest:
            continue
        names = re.findall(r"%([\w.-]+)", rest.split("), ")[0])
        given = [types.get(name, "") for name in names]
        cycles = re.search(r'"estimated_cycles":"?(\d+)', line)
        found.append(
            Operation(
                name,
                kind,
                layer_of(line),
                *sizes(made),
                moved(name, kind, made, given),
                int(cycles[1]) if cycles else 0,
            )
        )
    return found


def collectives(found: list[Operation]) -> dict[str, dict[str, int]]:
    """Collectives by kind: how many, and the bytes they reduce or move per device."""
    kinds = {}
    for operation in found:
        kind = operation.kind.removesuffix("-start")
        if kind in COLLECTIVES:
            row = kinds.setdefault(kind, {"count": 0, "bytes": 0})
            row["count"] += 1
            row["bytes"] += operation.logical
    return kinds


def padding(found: list[Operation], least: int = 1 << 16) -> list[dict]:
    """The layers whose arrays are padded the most, by wasted bytes."""
    layers: dict[str, list[int]] = {}
    for operation in found:
        if operation.padded >= least:
            row = layers.setdefault(operation.layer, [0, 0])
            row[0] += operation.logical
            row[1] += operation.padded
    rows = [
        {"layer": name, "bytes": logical, "padded": round(padded / logical, 3)}
        for name, (logical, padded) in layers.items()
    ]
    return sorted(rows, key=lambda row: -row["bytes"] * (row["padded"] - 1))


def costliest(found: list[Operation], count: int = 10) -> list[dict]:
    """The operations with the most cycles or, if unknown, with the most bytes."""
    total = sum(operation.cycles for operation in found)
    ranked = sorted(found, key=lambda o: (-o.cycles, -o.padded))[:count]
    return [
        {
            "name": operation.name,
            "layer": operation.layer,
            "cycles": operation.cycles,
            "share": round(operation.cycles / total, 4) if total else None,
            "bytes": operation.padded,
        }
        for operation in ranked
    ]
