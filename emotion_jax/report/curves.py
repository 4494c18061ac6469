"""The charts of an evaluation, in the same style as a data set's."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from emotion_jax.report.charts import PALETTE, drawing, figure_of
from emotion_jax.report.mosaic import short
from emotion_jax.scores import ECE_BINS, bins_of, by_coverage

GRAY = "#8a8a92"
MOST_CURVES = 10  # only for the most common classes


def draw_confusion(
    path: Path, counts: Int[np.ndarray, "k k"], names: Sequence[str]
) -> None:
    """Draws labels down, answers across: in faces, and in percent of each label's.

    Of a label without faces there is no share: its cells hold a dash.
    """
    support = counts.sum(1, keepdims=True)
    share = 100 * counts / np.maximum(support, 1)
    percent = np.where(support > 0, np.char.mod("%.0f", share), "–")
    with drawing():
        k = len(names)
        figure, axes = figure_of(1.6 + 0.42 * max(k, 4), 2, sharey=True)
        texts = (counts.astype(str), percent)
        titles = ("faces", "percent of the label's faces")
        for axis, text, title in zip(axes, texts, titles, strict=True):
            axis.imshow(share, cmap="Blues", vmin=0, vmax=100, aspect="auto")
            axis.set_xticks(range(k), [short(n, 12) for n in names], rotation=30)
            axis.set_yticks(range(k), [short(n, 12) for n in names])
            axis.set_title(title)
            axis.set_xlabel("the network says")
            axis.grid(False)
            axis.tick_params(length=0)
            for i in range(k):
                for j in range(k):
                    color = "white" if share[i, j] > 55 else "#1d1d1f"
                    options = {"ha": "center", "va": "center", "color": color}
                    axis.text(j, i, text[i, j], fontsize=8 if k < 12 else 5, **options)
        axes[0].set_ylabel("label")
        figure.savefig(path)


def draw_ranking(
    path: Path,
    probability: Float[np.ndarray, "n k"],
    truth: Int[np.ndarray, " n"],
    names: Sequence[str],
) -> None:
    """Draws each class against the rest: ROC, and precision against recall."""
    from sklearn import metrics as sk

    size = np.bincount(truth, minlength=len(names))
    common = np.sort(np.argsort(-size, kind="stable")[:MOST_CURVES])
    with drawing():
        figure, (left, right) = figure_of(4.0, 2)
        for place, k in enumerate(common):
            mine, score = truth == k, probability[:, k]
            if not mine.any() or mine.all():
                continue
            color = PALETTE[place % len(PALETTE)]
            style = "-" if place < len(PALETTE) else "--"
            options = {"color": color, "ls": style, "lw": 1.6}
            false, true, _ = sk.roc_curve(mine, score)
            left.plot(false, true, label=short(names[k]), **options)
            precision, recall, _ = sk.precision_recall_curve(mine, score)
            right.step(recall, precision, where="post", **options)
        left.plot([0, 1], [0, 1], ":", color=GRAY, lw=1)
        left.set(xlabel="others taken by mistake", ylabel="faces found")
        right.set(xlabel="faces found (recall)", ylabel="of those taken, right ones")
        left.set_title("ROC")
        right.set_title("precision against recall")
        for axis in (left, right):
            axis.set(xlim=(-0.01, 1.01), ylim=(0, 1.02))
        figure.legend(loc="outside lower center", ncols=5)
        figure.savefig(path)


def draw_calibration(
    path: Path,
    raw: Float[np.ndarray, " n"],
    after: Float[np.ndarray, " n"],
    hit: Bool[np.ndarray, " n"],
) -> None:
    """Draws accuracy by bin of confidence, before and after temperature scaling."""
    with drawing():
        figure, (left, right) = figure_of(3.8, 2)
        left.plot([0, 1], [0, 1], ":", color=GRAY, lw=1)
        edges = np.linspace(0, 1, ECE_BINS + 1)
        kinds = (("before", raw, PALETTE[1]), ("after temperature", after, PALETTE[0]))
        for name, sure, color in kinds:
            bins = bins_of(sure)
            count = np.bincount(bins, minlength=ECE_BINS)
            some = count > 0
            mean = np.bincount(bins, sure, ECE_BINS)[some] / count[some]
            right_share = np.bincount(bins, hit, ECE_BINS)[some] / count[some]
            left.plot(mean, right_share, "-", color=color, lw=1.4, label=name)
            area = 8 + 160 * count[some] / count.max()
            left.scatter(mean, right_share, area, color=color, alpha=0.55, lw=0)
            right.stairs(100 * count / len(hit), edges, color=color, lw=1.6)
        left.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="how sure it is")
        left.set_title("how often it is right")
        right.set(xlim=(0, 1.02), xlabel="how sure it is")
        right.set_title("percent of the faces")
        figure.legend(loc="outside lower center", ncols=2)
        figure.savefig(path)


def draw_coverage(
    path: Path, sure: Float[np.ndarray, " n"], hit: Bool[np.ndarray, " n"]
) -> None:
    """Draws accuracy by share of faces answered; confidence when right and wrong."""
    with drawing():
        figure, (left, right) = figure_of(3.4, 2)
        accuracy = 100 * by_coverage(sure, hit)
        share = 100 * np.arange(1, len(hit) + 1) / len(hit)
        start = min(len(hit) // 50, len(hit) - 1)  # a handful of faces is noise
        left.plot(share[start:], accuracy[start:], color=PALETTE[0], lw=1.8)
        left.plot(share[-1], accuracy[-1], "o", color=PALETTE[0], markersize=5)
        left.set(xlim=(0, 102), xlabel="percent of the faces answered")
        left.set_title("percent of those answers that are right")
        bins = np.linspace(0, 1, ECE_BINS + 1)
        for name, mask, color in (("right", hit, 2), ("wrong", ~hit, 4)):
            count = np.histogram(sure[mask], bins)[0]
            options = {"color": PALETTE[color], "alpha": 0.55, "label": name}
            right.stairs(count, bins, fill=True, **options)
        right.set(xlim=(0, 1.02), xlabel="how sure it is")
        right.set_title("faces")
        right.legend(loc="upper left")
        figure.savefig(path)


def draw_errors(path: Path, distance: Float[np.ndarray, " n"], unit: str) -> None:
    """Draws the cumulative curve of the faces' mean errors, which are in this unit."""
    with drawing():
        figure, axis = figure_of(3.2, 1)
        error = 100 * np.sort(distance)
        share = 100 * np.arange(1, len(error) + 1) / len(error)
        most = max(12.0, min(2 * error[int(0.95 * (len(error) - 1))], 60.0))
        axis.step([0, *error], [0, *share], where="post", color=PALETTE[0], lw=1.8)
        axis.axvline(10, color=GRAY, ls=":", lw=1)
        axis.set(xlim=(0, most), ylim=(0, 102))
        axis.set_xlabel(f"mean error of a face, percent of its {unit}")
        axis.set_title("percent of faces below this error; right of the line they fail")
        figure.savefig(path)
