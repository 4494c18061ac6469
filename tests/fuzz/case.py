"""One thing to try: what is called, with what, and bytes damaged for it."""

import dataclasses
import pickle
import random
from collections.abc import Callable
from pathlib import Path


class Reached(BaseException):
    """The data or the config was taken; what would come next is slow."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A binary, or any function of arguments, and what it is to be tried with.

    Attributes:
      name: of the mutation, for the count of how each kind of them ends.
    """

    name: str
    binary: Callable[[list[str]], None]
    args: list[str]

    def run(self, args: list[str]) -> None:
        """The binary, as far as it is not slow."""
        try:
            self.binary(args)
        except Reached:
            pass


class Payload:
    """Leaves a folder where it is unpickled."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self):
        return Path.mkdir, (self.folder / "owned",)


def pickled(folder: Path) -> bytes:
    """A pickle that shows that it was loaded."""
    return pickle.dumps(Payload(folder))


def flip_bits(rng: random.Random, data: bytes) -> bytes:
    made = bytearray(data)
    for _ in range(rng.choice([1, 3, 30])):
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
    return bytes(made)


def truncate(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def behead(rng: random.Random, data: bytes) -> bytes:
    return data[rng.randrange(1, len(data)) :]


def insert(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.choice([1, 5, 500])) + data[at:]


def cut_out(rng: random.Random, data: bytes) -> bytes:
    a, b = sorted(rng.choices(range(len(data)), k=2))
    return data[:a] + data[b:]


def repeat(rng: random.Random, data: bytes) -> bytes:
    a, b = sorted(rng.choices(range(len(data)), k=2))
    return data[:b] + data[a:]


def blank(rng: random.Random, data: bytes) -> bytes:
    a, b = sorted(rng.choices(range(len(data)), k=2))
    return data[:a] + bytes(b - a) + data[b:]


def shuffle(rng: random.Random, data: bytes) -> bytes:
    a, b = sorted(rng.choices(range(len(data)), k=2))
    return data[b:] + data[a:b] + data[:a]


DAMAGES = [flip_bits, truncate, behead, insert, cut_out, repeat, blank, shuffle]
