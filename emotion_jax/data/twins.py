"""Exact pixel twins, and a hash of a face that never changes.

The hash is blake2b with a digest of 8 bytes, unsalted, over an image's pixels in row
order (or a person's name in UTF-8), read as a big-endian integer. It depends on
nothing else: neither on the row's place nor on the other rows.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, UInt8, UInt64


def hash_images(image: UInt8[np.ndarray, "n h w 1"]) -> UInt64[np.ndarray, " n"]:
    """Equal for twins; for others not, but for one pair in 10^19."""
    return _hash(np.ascontiguousarray(image))


def hash_people(
    person: np.ndarray, image: UInt8[np.ndarray, "n h w 1"]
) -> UInt64[np.ndarray, " n"]:
    """One value a person; where the name is empty, one value an image."""
    people = _hash(str(name).encode() for name in person)
    return np.where(person != "", people, hash_images(image))


def have_twin(
    image: UInt8[np.ndarray, "n h w 1"], others: UInt8[np.ndarray, "m h w 1"]
) -> Bool[np.ndarray, " n"]:
    """Which images stand among the others too."""
    return np.isin(hash_images(image), hash_images(others))


def alone(hashes: UInt64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which hashes occur once."""
    _, group, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    return sizes[group] == 1


def _hash(items: Iterable) -> UInt64[np.ndarray, " n"]:
    digests = (hashlib.blake2b(item, digest_size=8).digest() for item in items)
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)
