"""The numbers of a report, from arrays: NumPy and scikit-learn, float64, no JAX."""

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn import metrics as sk

ECE_BINS = 15
LOWER_IS_BETTER = ("ece", "nll", "rmse_px", "nme", "loss")


def lower_is_better(key: str) -> bool:
    """Whether a smaller value of this metric (`task/name...`) is the better one."""
    return key.split("/")[1].split("@")[0] in LOWER_IS_BETTER


def softmax(logits: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Probabilities of each row; a logit of -inf is a class ruled out."""
    exp = np.exp(logits - logits.max(-1, keepdims=True))
    return exp / exp.sum(-1, keepdims=True)


def ece(probability: Float[np.ndarray, " n"], hit: Bool[np.ndarray, " n"]) -> float:
    """Expected calibration error, equal-width bins (Guo et al. 2017, eq. 3)."""
    bins = np.clip(np.ceil(probability * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    gap = np.bincount(bins, probability - hit, minlength=ECE_BINS)
    return float(np.abs(gap).sum() / len(hit))


def classification(
    logits: Float[np.ndarray, "n k"],
    truth: Int[np.ndarray, " n"],
    names: tuple[str, ...],
) -> dict[str, float | int | None]:
    """Accuracy, calibration and per-class scores; None where there is no face.

    Means over classes are over those that occur in `truth`.
    """
    n, labels = len(truth), range(len(names))
    found: dict[str, float | int | None] = {"n": n}
    found |= dict.fromkeys(
        ("accuracy", "macro_f1", "balanced_accuracy", "ece", "nll", "top2")
    )
    for part in ("precision", "recall", "f1", "support"):
        found |= {f"{part}/{name}": 0 if part == "support" else None for name in names}
    if n == 0:
        return found
    probability = softmax(logits.astype(np.float64))
    guess = probability.argmax(-1)
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        truth, guess, labels=labels, zero_division=0.0
    )
    true = np.take_along_axis(probability, truth[:, None], -1)
    found |= {
        "accuracy": float((guess == truth).mean()),
        "macro_f1": float(f1[support > 0].mean()),
        "balanced_accuracy": float(recall[support > 0].mean()),
        "ece": ece(probability.max(-1), guess == truth),
        "nll": float(-np.log(np.maximum(true, 1e-300)).mean()),
        "top2": float(((probability > true).sum(-1) < 2).mean()),
    }
    for i, name in enumerate(names):
        found[f"support/{name}"] = int(support[i])
        if support[i]:  # without a face of the class these three say nothing
            found[f"precision/{name}"] = float(precision[i])
            found[f"recall/{name}"] = float(recall[i])
            found[f"f1/{name}"] = float(f1[i])
    return found


def by_thirds(
    hit: Bool[np.ndarray, " n"], intensity: Float[np.ndarray, " n"]
) -> dict[str, float | None]:
    """Accuracy of the weakest, middle and strongest third of the expressions."""
    thirds = np.array_split(np.argsort(intensity, kind="stable"), 3)
    return {
        f"accuracy@{name}": float(hit[rows].mean()) if len(rows) else None
        for name, rows in zip(("weak", "medium", "strong"), thirds, strict=True)
    }


def points(
    error: Float[np.ndarray, "n p 2"],
    known: Bool[np.ndarray, "n p"],
    eye_px: Float[np.ndarray, " n"],
    names: tuple[str, ...],
) -> dict[str, float | int | None]:
    """RMSE, normalised mean error and PCK of points; None where none is known.

    Args:
      error: differences in pixels of the 96-pixel frame.
      eye_px: distance of the true eye centres there, NaN where one is unknown.
    """

    def rmse(mask: np.ndarray) -> float | None:
        return float(np.sqrt(np.square(error[mask]).mean())) if mask.any() else None

    found: dict[str, float | int | None] = {"n": int(known.any(-1).sum())}
    found["rmse_px"] = rmse(known)
    for i, name in enumerate(names):
        found[f"rmse_px/{name}"] = rmse(known & (np.arange(len(names)) == i))
    distance = (
        np.linalg.norm(error, axis=-1) / np.where(eye_px > 0, eye_px, np.nan)[:, None]
    )
    valid = distance[known & np.isfinite(distance)]
    found["nme"] = float(valid.mean()) if len(valid) else None
    found["pck_10"] = float((valid <= 0.1).mean()) if len(valid) else None
    return found
