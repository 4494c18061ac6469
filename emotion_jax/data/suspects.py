"""Points that do not fit their face: labels worth a look.

The shapes of faces are taken as normal: mean and covariance of all coordinates, over
the faces that know every point, the quarter that fits worst left out. Then each
point is predicted from the others of its face, whichever of them are known, and a
label is suspicious that lies much further from there than this point does as a rule.
"""

import numpy as np
from jaxtyping import Bool, Float

FEWEST = 100  # whole faces, or their covariance says nothing
KEPT = 0.75
NOISE_PX = 0.5  # what a label is uncertain by at the least; also keeps inverses finite
OTHERS = 3  # a point is judged by at least so many others


def enough(known: Bool[np.ndarray, "n p"]) -> bool:
    """Whether there are faces enough to know what is usual."""
    return int(known.all(1).sum()) >= FEWEST


def distances(
    points: Float[np.ndarray, "n p 2"], known: Bool[np.ndarray, "n p"]
) -> Float[np.ndarray, "n p"]:
    """How far each point lies from where its face's others put it; NaN where unknown.

    In the unit of `points`, which ought to be pixels of the 96-pixel frame.
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
    """Mean and covariance, fitted three times to the rows that fit best."""
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
