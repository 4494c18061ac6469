"""The numbers of a report, from arrays: NumPy and scikit-learn, float64, no JAX."""

import numpy as np
from jaxtyping import Bool, Float, Int

ECE_BINS = 15
LOWER_IS_BETTER = ("ece", "nll", "rmse_px", "nme", "failure_10", "loss")
# Counts; a temperature; biases, which are best at 0.
RANK_NOTHING = ("n", "support", "confusion", "temperature", "bias_x_px", "bias_y_px")
COLDEST, HOTTEST = 0.05, 20.0  # temperatures
COVERAGES = (50, 80, 90)  # percent of the faces that get an answer
MOST_CLASSES = 20  # up to which every pair of classes is counted

# The numbers that a person reads first, and what they are called; unit is the task's.
HEADLINES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "balanced_accuracy": "balanced accuracy",
    "top2": "top-2 accuracy",
    "ece": "calibration error",
    "nll": "negative log-likelihood",
    "rmse_px": "RMSE",
    "nme": "mean error by {unit}",
    "pck_10": "points within a tenth of it",
    "failure_10": "faces that fail",
}

Numbers = dict[str, float | int | None]


def measure(key: str) -> str:
    """The bare name of a metric: `accuracy` of `emotion/accuracy@tta`."""
    return key.split("/")[1].split("@")[0]


def lower_is_better(key: str) -> bool:
    """Whether a smaller value of this metric (`task/name...`) is better."""
    return measure(key) in LOWER_IS_BETTER


def ranks(key: str) -> bool:
    """Whether networks can be ranked by this metric, upwards or downwards."""
    return measure(key) not in RANK_NOTHING


def softmax(logits: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Probabilities of each row; a logit of -inf rules its class out."""
    exp = np.exp(logits - logits.max(-1, keepdims=True))
    return exp / exp.sum(-1, keepdims=True)


def ece(probability: Float[np.ndarray, " n"], hit: Bool[np.ndarray, " n"]) -> float:
    """Expected calibration error, equal-width bins (Guo et al. 2017, eq. 3)."""
    gap = np.bincount(bins_of(probability), probability - hit, minlength=ECE_BINS)
    return float(np.abs(gap).sum() / len(hit))


def bins_of(probability: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Each probability's bin; a bin includes its upper edge."""
    return np.clip(np.ceil(probability * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)


def confusion(
    truth: Int[np.ndarray, " n"], guess: Int[np.ndarray, " n"], k: int
) -> Int[np.ndarray, "k k"]:
    """How many faces of each class (row) are taken for each class (column)."""
    return np.bincount(truth * k + guess, minlength=k * k).reshape(k, k)


def classification(
    logits: Float[np.ndarray, "n k"],
    truth: Int[np.ndarray, " n"],
    names: tuple[str, ...],
) -> Numbers:
    """Accuracy, calibration and per-class scores; None where there are no faces.

    Means over classes are over those that occur in `truth`.
    """
    n = len(truth)
    found: Numbers = {"n": n}
    found |= dict.fromkeys(
        ("accuracy", "macro_f1", "balanced_accuracy", "ece", "nll", "top2")
    )
    for part in ("precision", "recall", "f1", "support"):
        found |= {f"{part}/{name}": 0 if part == "support" else None for name in names}
    if n == 0:
        return found
    probability = softmax(logits.astype(np.float64))
    guess = probability.argmax(-1)
    # The same as scikit-learn's, but fast enough for a thousand resamples.
    counts = confusion(truth, guess, len(names))
    right, support, guessed = counts.diagonal(), counts.sum(1), counts.sum(0)
    precision = right / np.maximum(guessed, 1)
    recall = right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(guessed + support, 1)
    true = np.take_along_axis(probability, truth[:, None], -1)
    found |= {
        "accuracy": float((guess == truth).mean()),
        "macro_f1": float(f1[support > 0].mean()),
        "balanced_accuracy": float(recall[support > 0].mean()),
        "ece": ece(probability.max(-1), guess == truth),
        "nll": float(0 - np.log(np.maximum(true, 1e-300)).mean()),
        "top2": float(((probability > true).sum(-1) < 2).mean()),
    }
    for i, name in enumerate(names):
        found[f"support/{name}"] = int(support[i])
        if support[i]:  # without a face of this class these mean nothing
            found[f"precision/{name}"] = float(precision[i])
            found[f"recall/{name}"] = float(recall[i])
            found[f"f1/{name}"] = float(f1[i])
    return found


def ranking(
    logits: Float[np.ndarray, "n k"],
    truth: Int[np.ndarray, " n"],
    names: tuple[str, ...],
) -> Numbers:
    """Each class against the rest: the areas under its two curves, and their means."""
    from sklearn import metrics as sk  # a second, which training need not wait

    probability = softmax(logits.astype(np.float64)) if len(truth) else logits
    found: Numbers = {}
    for key, score in (("auc", sk.roc_auc_score), ("ap", sk.average_precision_score)):
        each: Numbers = {}
        for i, name in enumerate(names):
            mine = truth == i
            both = mine.any() and not mine.all()
            each[f"{key}/{name}"] = score(mine, probability[:, i]) if both else None
        there = [value for value in each.values() if value is not None]
        found |= {key: float(np.mean(there)) if there else None}
        found |= {k: None if v is None else float(v) for k, v in each.items()}
    return found


def by_coverage(
    sure: Float[np.ndarray, " n"], hit: Bool[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Accuracy on the surest face, on the two surest, and so on to all of them."""
    order = np.argsort(-sure, kind="stable")
    return np.cumsum(hit[order]) / np.arange(1, len(hit) + 1)


def choices(
    logits: Float[np.ndarray, "n k"],
    truth: Int[np.ndarray, " n"],
    names: tuple[str, ...],
) -> Numbers:
    """Numbers too many for a training log: ranking, coverage, every confusion."""
    found, k = ranking(logits, truth, names), len(names)
    guess = logits.argmax(-1)
    accuracy = None
    if len(truth):
        sure = softmax(logits.astype(np.float64)).max(-1)
        accuracy = by_coverage(sure, guess == truth)
    for percent in COVERAGES:
        key = f"accuracy@coverage_{percent}"
        last = -(-len(truth) * percent // 100) - 1
        found[key] = None if accuracy is None else float(accuracy[last])
    if k <= MOST_CLASSES:
        counts = confusion(truth, guess, k)
        for name, row in zip(names, counts.tolist(), strict=True):
            found |= {f"confusion/{name}/{g}": c for g, c in zip(names, row)}
    return found


def fit_temperature(
    logits: Float[np.ndarray, "n k"], truth: Int[np.ndarray, " n"]
) -> float:
    """The divisor of logits that minimises NLL (Guo et al. 2017, 4.2); 1 if no face."""
    from scipy.optimize import minimize_scalar  # scipy takes a while to import
    from scipy.special import logsumexp

    if not len(logits):
        return 1.0
    logits, truth = logits.astype(np.float64), truth[:, None]

    def nll(log_temperature: float) -> float:
        z = logits / np.exp(log_temperature)
        return logsumexp(z, axis=-1).sum() - np.take_along_axis(z, truth, -1).sum()

    ends = np.log([COLDEST, HOTTEST])
    found = minimize_scalar(nll, bounds=ends, method="bounded", options={"xatol": 1e-8})
    return float(np.exp(found.x))


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
    ruler_px: Float[np.ndarray, " n"],
    names: tuple[str, ...],
) -> Numbers:
    """RMSE, bias, normalised mean error and PCK of points; None where none is known.

    Args:
      error: differences in pixels of the 96-pixel frame.
      ruler_px: the ruler's true length there, NaN where one of its ends is unknown.
    """

    def rmse(mask: np.ndarray) -> float | None:
        return float(np.sqrt(np.square(error[mask]).mean())) if mask.any() else None

    found: Numbers = {"n": int(known.any(-1).sum())}
    found["rmse_px"] = rmse(known)
    for i, name in enumerate(names):
        found[f"rmse_px/{name}"] = rmse(known & (np.arange(len(names)) == i))
    for axis, values in zip("xy", error[known].T):
        found[f"bias_{axis}_px"] = float(values.mean()) if len(values) else None
    distance = relative(error, known, ruler_px)
    valid = distance[np.isfinite(distance)]
    found["nme"] = float(valid.mean()) if len(valid) else None
    found["pck_10"] = float((valid <= 0.1).mean()) if len(valid) else None
    faces = of_faces(distance)
    found["failure_10"] = float((faces > 0.1).mean()) if len(faces) else None
    return found


def relative(
    error: Float[np.ndarray, "n p 2"],
    known: Bool[np.ndarray, "n p"],
    ruler_px: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "n p"]:
    """Each point's distance from the true one, by the ruler; NaN where unknown."""
    ruler = np.where(ruler_px > 0, ruler_px, np.nan)[:, None]
    return np.where(known, np.linalg.norm(error, axis=-1) / ruler, np.nan)


def of_faces(distance: Float[np.ndarray, "n p"]) -> Float[np.ndarray, " m"]:
    """The mean distance of each face's known points, for the faces that have any.

    Above a tenth, a face counts as a failure (Burgos-Artizzu et al. 2013, 4).
    """
    valid = np.isfinite(distance)
    some = valid.any(-1)
    return np.where(valid, distance, 0)[some].sum(-1) / valid[some].sum(-1)
