"""Twins: exact ones by a stable hash of the pixels, near ones by appearance.

The hash is blake2b with a digest of 8 bytes, unsalted, over an image's pixels in row
order (or a person's name in UTF-8), read as a big-endian integer. It depends on
nothing else: neither the row's position nor the other rows.
"""

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8, UInt64

FLAT = 8  # gray levels: an image that spans fewer shows nobody
LOW = 7  # frequencies a side that represent an image when all pairs are compared
ALIKE = 0.92  # correlation of those from which a pair is examined
NEAR = 0.94  # correlation of its pixels from which it is one photo: see `near_pairs`
BLOCK = 1 << 23  # correlations in memory at once, 32 MiB
PAIRS = 128  # pairs examined at once, so that NumPy works in the cache


def hash_images(image: UInt8[np.ndarray, "n h w 1"]) -> UInt64[np.ndarray, " n"]:
    """Hashes, equal for exact twins; for other images in one pair of 10^19."""
    return _hash(np.ascontiguousarray(image))


def hash_people(
    person: np.ndarray, image: UInt8[np.ndarray, "n h w 1"]
) -> UInt64[np.ndarray, " n"]:
    """One value per person; where the name is empty, one value per image.

    People who have a photo in common, directly or through others, all get the smallest
    of their values, so that neither they nor the photo straddle a split. Otherwise a
    person's value depends on the name alone. A flat image does not connect people.
    """
    from scipy.sparse import coo_array  # scipy takes a while to import
    from scipy.sparse.csgraph import connected_components

    images = hash_images(image)
    own = np.where(person != "", _hash(str(name).encode() for name in person), images)
    who, group = (np.unique(x, return_inverse=True)[1] for x in (own, images))
    shown = ~flat(image)
    size = len(own) + len(images)
    ends = (who[shown], len(own) + group[shown])
    links = coo_array((np.ones(len(ends[0]), bool), ends), shape=(size, size))
    count, component = connected_components(links, directed=False)
    least = np.full(count, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(least, component[who], own)
    return least[component[who]]


def alone(hashes: UInt64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which hashes occur only once."""
    _, group, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    return sizes[group] == 1


def groups(image: UInt8[np.ndarray, "n h w 1"]) -> Int64[np.ndarray, " n"]:
    """Each row's group of exact twins, numbered from 0 in order of first appearance."""
    _, first, group = np.unique(
        hash_images(image), return_index=True, return_inverse=True
    )
    return np.argsort(np.argsort(first))[group]


def conflicts(
    group: Int64[np.ndarray, " n"], label: Int64[np.ndarray, " n"]
) -> list[Int64[np.ndarray, " m"]]:
    """The rows of each group whose members do not all have the same label."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order])) + 1
    return [rows for rows in np.split(order, starts) if np.ptp(label[rows])]


def blank(image: UInt8[np.ndarray, "n h w 1"]) -> Bool[np.ndarray, " n"]:
    """Which images have a single gray level."""
    return np.ptp(image, axis=(1, 2, 3)) == 0


def flat(image: UInt8[np.ndarray, "n h w 1"]) -> Bool[np.ndarray, " n"]:
    """Which images are blank, or nearly: they are nobody's near twins."""
    return np.ptp(image, axis=(1, 2, 3)) < FLAT


def near_pairs(image: UInt8[np.ndarray, "n h w 1"]) -> Int64[np.ndarray, "m 2"]:
    """Rows i < j of near twins, ascending, without exact twins and flat images.

    Near twins are one photo mirrored, with other brightness or contrast, recompressed,
    shifted by a pixel, or watermarked; another crop of it is not found. Of copies of
    3,000 FER2013 faces, it finds all that are mirrored or JPEG of quality 90, 99.4 % of
    those 20 % brighter, and 99.8 % or more of those shifted by a pixel. Of 240 pairs
    inspected between 0.93 and 0.95 none shows two faces; at 0.92 some do.
    """
    rows = np.flatnonzero(~flat(image))
    shown, hashes = image[rows, ..., 0], hash_images(image)[rows]
    low, found = _low_frequencies(shown), [np.empty((0, 2), np.int64)]
    for turned, mirror in ((low, False), (_low_frequencies(shown[..., ::-1]), True)):
        for pairs in _candidates(turned, low):
            i, j = pairs[hashes[pairs[:, 0]] != hashes[pairs[:, 1]]].T
            left = shown[i, :, ::-1] if mirror else shown[i]
            near = _correlation(left, shown[j]) > NEAR
            found.append(np.stack([rows[i[near]], rows[j[near]]], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _low_frequencies(
    image: UInt8[np.ndarray, "n h w"],
) -> Float32[np.ndarray, "n f"]:
    """Each image's lowest cosines without the mean, of length 1 to ignore the light."""
    from scipy.fft import dctn  # scipy takes a while to import

    parts = []
    for start in range(0, len(image), 1024):
        cosines = dctn(image[start : start + 1024].astype(np.float32), axes=(1, 2))
        parts.append(cosines[:, :LOW, :LOW].reshape(len(cosines), -1)[:, 1:])
    low = np.concatenate(parts) if parts else np.empty((0, 1), np.float32)
    return low / np.maximum(np.linalg.norm(low, axis=1, keepdims=True), 1e-6)


def _candidates(
    low: Float32[np.ndarray, "n f"], others: Float32[np.ndarray, "n f"]
) -> Iterator[Int64[np.ndarray, "m 2"]]:
    """Every pair i < j worth examining: all against all, some rows at a time."""
    size = max(1, BLOCK // max(len(low), 1))
    for start in range(0, len(low), size):
        alike = low[start : start + size] @ others[start:].T > ALIKE
        pairs = np.stack(np.divmod(np.flatnonzero(alike), alike.shape[1]), axis=1)
        pairs = pairs[pairs[:, 0] < pairs[:, 1]] + start
        yield from (pairs[k : k + PAIRS] for k in range(0, len(pairs), PAIRS))


def _correlation(
    image: UInt8[np.ndarray, "m h w"], others: UInt8[np.ndarray, "m h w"]
) -> Float32[np.ndarray, " m"]:
    """Correlation of each pair's pixels, at the best shift of up to a pixel.

    The image's one-pixel border is left out, as a shift leaves it nothing to match.
    """
    _, height, width = image.shape
    core = _centred(image[:, 1:-1, 1:-1])
    length = np.sqrt(np.maximum(_products(core, core), 1))
    others = _centred(others)
    best = np.full(len(image), -1, np.float32)
    for y in range(3):
        for x in range(3):
            window = others[:, y : y + height - 2, x : x + width - 2].copy()
            square = _products(window, window)
            square -= window.mean((1, 2)) * window.sum((1, 2))
            fit = _products(core, window) / length / np.sqrt(np.maximum(square, 1))
            np.maximum(best, fit, out=best)
    return best


def _centred(image: UInt8[np.ndarray, "m h w"]) -> Float32[np.ndarray, "m h w"]:
    """Each image with mean 0."""
    return image - image.mean((1, 2), np.float32, keepdims=True)


def _products(
    images: Float32[np.ndarray, "m h w"], others: Float32[np.ndarray, "m h w"]
) -> Float32[np.ndarray, " m"]:
    return np.einsum("mhw,mhw->m", images, others)


def _hash(items: Iterable) -> UInt64[np.ndarray, " n"]:
    digests = (hashlib.blake2b(item, digest_size=8).digest() for item in items)
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)
