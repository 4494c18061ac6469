"""Points that do not fit their face: labels worth a look.

Face shapes are modelled as a normal distribution: mean and covariance of all
coordinates, over the faces with every point known, except the quarter that fits worst.
Each point is then predicted from those of its face's other points that are known; a
label is suspicious if it is much further from there than is usual for this point.
"""

import numpy as np
from jaxtyping import Bool, Float

FEWEST = 100  # complete faces; with fewer, their covariance means nothing
KEPT = 0.75
NOISE_PX = 0.5  # a label's least uncertainty; also keeps inverses finite
OTHERS = 3  # a point is judged by at least this many others


def enough(known: Bool[np.ndarray, "n p"]) -> bool:
    """Whether there are enough faces to know what is usual."""
    return int(known.all(1).sum()) >= FEWEST


def distances(
    points: Float[np.ndarray, "n p 2"], known: Bool[np.ndarray, "n p"]
) -> Float[np.ndarray, "n p"]:
    """Each point's distance from where its face's other points predict it, else NaN.

    In the unit of `points`, which should be pixels of the 96-pixel frame.
    """
    flat = points.reshape(len(points), -1).astype(np.float64)
    mean, covariance = usual(flat[known.all(1)])
    found = np.full(known.shape, np.nan)
    patterns, pattern_of = np.unique(known, axis=0, return_inverse=True)
    for i, pattern in enumerate(patterns):
        if pattern.sum() <= OTHERS:
            continue
        rows, dims = np.flatnonzero(pattern_of.ravel() == i), np.repeat(pattern, 2)
        # The residual of a block of a Gaussian given the rest is P_bb^-1 (P d)_b.
        precision = np.linalg.inv(covariance[np.ix_(dims, dims)])
        pull = ((flat[rows][:, dims] - mean[dims]) @ precision).reshape(
            len(rows), -1, 2
        )
        blocks = precision.reshape(-1, 2, pattern.sum(), 2)
        own = np.linalg.inv(np.einsum("pxpy->pxy", blocks))
        away = np.einsum("npx,pxy->npy", pull, own)
        found[np.ix_(rows, pattern)] = np.linalg.norm(away, axis=-1)
    return found


def usual(
    whole: Float[np.ndarray, "m d"],
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
    """Mean and covariance, fitted three times, each time to the rows that fit best."""
    kept = whole
    for _ in range(3):
        mean = kept.mean(0)
        covariance = np.cov(kept.T) + NOISE_PX**2 * np.eye(len(mean))
        away = whole - mean
        square = np.einsum("nd,de,ne->n", away, np.linalg.inv(covariance), away)
        kept = whole[square <= np.quantile(square, KEPT)]
    return mean, covariance


def times_usual(found: Float[np.ndarray, "n p"]) -> Float[np.ndarray, "n p"]:
    """Distances as multiples of the point's median; 0 where unknown."""
    asked = ~np.isnan(found).all(0)
    typical = np.ones(found.shape[1])
    typical[asked] = np.nanmedian(found[:, asked], axis=0)
    return np.nan_to_num(found / np.maximum(typical, NOISE_PX))
