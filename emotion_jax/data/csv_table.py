"""A CSV file with one column of pixels, read strictly and fast.

Each line is one row, and a row is either taken as it stands or rejected by its line
number: no value is guessed, wrapped or skipped. Columns may come in any order; spaces
and quotes around values, CRLF, a byte order mark, empty lines at the end and a missing
final newline make no difference.
"""

import codecs
import collections
import dataclasses
import difflib
import itertools
import math
import os
import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
from jaxtyping import Int64, UInt8

from emotion_jax.errors import Mistake

SIDES = range(16, 513)
BATCH = 64  # rows parsed at once: half a megabyte, so NumPy works in the cache
MAX_HEADER = 1 << 16  # bytes; a file without newlines is rejected before reading it all
MAX_LINE = 1 << 22  # four times the pixels of the largest image

# Matched against the line plus one more comma, so that every field ends with one.
# The possessive `*+` keeps a line of spaces from taking quadratic time.
QUOTABLE_FIELD = re.compile(rb'[ \t]*+(?:"([^"]*+)"[ \t]*+|([^",]*+)),')
PIXEL = re.compile(rb"[0-9]{1,3}")  # bytes.isdigit, int and float accept far more


@dataclasses.dataclass(frozen=True)
class Table:
    """The rows of one file: the pixels, and its other columns as text."""

    path: str
    image: UInt8[np.ndarray, "n side side 1"]
    columns: dict[str, list[str]]

    def mistake(self, row: int, problem: str) -> Mistake:
        return _mistake(self.path, row + 2, problem)

    def choices(self, column: str, allowed: Sequence[str]) -> Int64[np.ndarray, " n"]:
        """Each row's value as its index in `allowed`."""
        index = {value: i for i, value in enumerate(allowed)}
        for row, value in enumerate(self.columns[column]):
            if value not in index:
                expected = f"expected {column} to be one of {', '.join(allowed)}"
                raise self.mistake(row, f"{expected}, got {_show(value)}")
        return np.array([index[v] for v in self.columns[column]], np.int64)


def read(
    path: str,
    pixels: str,
    required: Sequence[str],
    optional: Sequence[str] = (),
    further: bool = False,
) -> Table:
    """Reads the column `pixels` as images and the other columns as text.

    Any further column is rejected, since it may be a misspelt optional one, unless
    `further` allows it.
    """
    path = os.fspath(path)
    try:
        with open(path, "rb") as file:
            line = file.readline(MAX_HEADER)
            header = _header(path, line, (*required, pixels), optional, further)
            return _table(path, _rows(path, file, header, pixels), header, pixels)
    except OSError as error:
        raise Mistake(f"{path}: cannot be read: {error.strerror}") from None


def _table(path: str, rows: Iterator[list], header: list[str], pixels: str) -> Table:
    columns = {name: [] for name in header if name != pixels}
    blocks = []
    while batch := list(itertools.islice(rows, BATCH)):
        fields = dict(zip(header, zip(*batch, strict=True), strict=True))
        faces = fields.pop(pixels)
        side = blocks[0].shape[1] if blocks else _side(path, faces[0])
        blocks.append(_images(path, faces, side, first=sum(map(len, blocks))))
        for name, values in fields.items():
            columns[name] += values
    if not blocks:
        raise Mistake(f"{path}: expected rows below the header, got none")
    return Table(path, np.concatenate(blocks), columns)


def _header(
    path: str,
    line: bytes,
    required: Sequence[str],
    optional: Sequence[str],
    further: bool,
) -> list[str]:
    if not line:
        raise Mistake(f"{path}: the file is empty")
    names = [
        _text(path, 1, f) for f in _fields(path, 1, line.removeprefix(codecs.BOM_UTF8))
    ]
    missing = [name for name in required if name not in names]
    counts = collections.Counter(names)
    known = (*required, *optional)
    strange = [n for n in counts if n not in known]
    wrong = [n for n in known if counts[n] > 1] + ([] if further else strange)
    if not missing and not wrong:
        return names
    expected = f"expected the columns {_listing(required)}"
    expected += f" and perhaps {_listing(optional)}" if optional else ""
    got = _listing(names) or "an empty line"
    problem = f"no {_show(missing[0])}" if missing else f"{_show(wrong[0])} too many"
    absent = [name for name in known if name not in counts]
    for name in strange[:10]:
        if close := difflib.get_close_matches(name, absent, 1):
            problem += f" (is {_show(name)} meant to be {_show(close[0])}?)"
            break
    raise _mistake(path, 1, f"{expected}, got {got}: {problem}")


def _rows(path: str, file: BinaryIO, header: list[str], pixels: str) -> Iterator[list]:
    """Each line's values: the pixels still as bytes, the others as text."""
    at = header.index(pixels)
    empty = 0
    for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), b""), 2):
        if len(line) == MAX_LINE:
            raise _mistake(path, number, f"expected less than {MAX_LINE:,} characters")
        if not line.strip(b" \t\r\n"):
            empty = empty or number
            continue
        if empty:
            raise _mistake(path, empty, "expected a row, got an empty line")
        fields = _fields(path, number, line)
        if len(fields) != len(header):
            expected = f"{len(header)} values ({_listing(header)})"
            raise _mistake(path, number, f"expected {expected}, got {len(fields)}")
        yield [
            field if i == at else _text(path, number, field)
            for i, field in enumerate(fields)
        ]


def _fields(path: str, number: int, line: bytes) -> list[bytes]:
    line = line.removesuffix(b"\n").removesuffix(b"\r")
    if b'"' not in line:
        return [field.strip(b" \t") for field in line.split(b",")]
    fields, at, line = [], 0, line + b","
    while at < len(line):
        match = QUOTABLE_FIELD.match(line, at)
        if match is None:
            raise _mistake(path, number, "expected quotes around whole values only")
        fields.append((match[1] or match[2] or b"").strip(b" \t"))
        at = match.end()
    return fields


def _text(path: str, number: int, field: bytes) -> str:
    try:
        text = field.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # NumPy would drop it from the end of a string
        raise _mistake(path, number, f"expected UTF-8 text, got {_show(field)}")
    return text


def _images(
    path: str, rows: Sequence[bytes], side: int, first: int
) -> UInt8[np.ndarray, "n side side 1"]:
    values = _values(rows, side * side)
    if values is None:  # a mistake, or just an unusual way to write a row
        lines = range(first + 2, first + 2 + len(rows))
        each = [_row(path, n, row, side) for n, row in zip(lines, rows, strict=True)]
        values = np.array(each, np.uint8)
    return values.reshape(-1, side, side, 1)


def _values(rows: Sequence[bytes], num_pixels: int) -> UInt8[np.ndarray, "n p"] | None:
    """All rows at once, or None unless each is p numbers separated by single spaces.

    Treats every byte as if it were the last digit of a number, then keeps those that
    are: a few passes over small integers, where a loop would take minutes.
    """
    text = np.frombuffer(b"  " + b" ".join(rows) + b" ", np.uint8)
    gap = text == ord(" ")
    digit = (text - np.uint8(ord("0"))) * ~gap  # a non-digit wraps to more than 9
    ends = np.flatnonzero(gap[2:])  # of each number; the text starts at 2
    lengths = np.diff(ends, prepend=-1) - 1
    row_ends = np.cumsum([len(row) + 1 for row in rows]) - 1
    if (
        digit.max() > 9
        or lengths.min() < 1
        or lengths.max() > 3
        or len(ends) != len(rows) * num_pixels
        or (ends[num_pixels - 1 :: num_pixels] != row_ends).any()
    ):
        return None
    hundreds = digit[:-2] * ~gap[1:-1]  # but not of the previous number
    value = digit[2:] + np.multiply(digit[1:-1], 10, dtype=np.uint16)
    value += np.multiply(hundreds, 100, dtype=np.uint16)
    value = value[ends - 1]
    return value.astype(np.uint8).reshape(len(rows), -1) if value.max() < 256 else None


def _row(path: str, number: int, row: bytes, side: int) -> list[int]:
    texts = _split(path, number, row)
    if len(texts) != side * side:
        expected = f"expected {side * side} pixels ({side} x {side}, as in line 2)"
        raise _mistake(path, number, f"{expected}, got {len(texts)}")
    return [int(text) for text in texts]


def _side(path: str, row: bytes) -> int:
    """The side of the first image, which sets it for the whole file."""
    count = len(_split(path, 2, row))
    side = math.isqrt(count)
    if side not in SIDES or side * side != count:
        expected = "expected the pixels of a square, 16 x 16 to 512 x 512"
        raise _mistake(path, 2, f"{expected}, got {count} pixels")
    return side


def _split(path: str, number: int, row: bytes) -> list[bytes]:
    texts = re.split(rb"[ \t]+", row) if row else []
    for i, text in enumerate(texts, 1):
        if not PIXEL.fullmatch(text) or int(text) > 255:
            expected = f"expected whole numbers from 0 to 255, got {_show(text)}"
            raise _mistake(path, number, f"{expected} as pixel {i}")
    return texts


def _mistake(path: str, number: int, problem: str) -> Mistake:
    return Mistake(f"{path}, line {number}: {problem}")


def _show(value: bytes | str, limit: int = 40) -> str:
    shown = repr(value[:limit]).removeprefix("b")
    return shown if len(value) <= limit else f"{shown}..."


def _listing(names: Sequence[str], limit: int = 6) -> str:
    shown = [repr(name[:40])[1:-1] for name in names]
    if len(shown) > limit:
        shown[limit - 2 : -1] = ["..."]
        return f"{', '.join(shown)} ({len(names)} in all)"
    return ", ".join(shown)
