# ---
# jupyter:
#   accelerator: TPU
#   colab:
#     gpuType: V5E1
#   jupytext:
#     notebook_metadata_filter: accelerator,colab,kernelspec,jupytext
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# [![Open in Colab][badge]][colab]
#
# [badge]: https://colab.research.google.com/assets/colab-badge.svg
# [colab]: https://colab.research.google.com/github/OWNER/emotion_jax/blob/main/launch/colab/6_precision_or_recall.ipynb
#
# # 6 Precision or recall?
#
# Of the faces that the network calls *disgust*, how many are? That is **precision**. Of
# the faces that are disgust, how many does it find? That is **recall**. You can always
# buy one at the cost of the other; which one matters is not for the network to say.
#
# Disgust is rare: 2 in 100 faces of FER2013. Drawn faces have balanced classes, so we
# keep only every eighth disgusted one. All numbers below come from networks trained
# here, on test faces, for three seeds.

# %%
# @title Install emotion_jax if it is missing; nothing installed is replaced
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("emotion_jax") is None:
    pip = [sys.executable, "-m", "pip"]
    with open("there.txt", "w") as file:
        subprocess.run([*pip, "list", "--format=freeze"], stdout=file, check=True)
    source = "git+https://github.com/OWNER/emotion_jax"
    subprocess.run([*pip, "install", "-q", "-c", "there.txt", source], check=True)

# %%
# @title Settings
DATA = ""  # @param {type:"string"}
# Empty, or SOURCE=PATH: fer2013=/content/fer2013.csv
FACES, SIDE, STEPS, BATCH, SEEDS = 6000, 48, 250, 64, 3
RARE, KEPT = "disgust", 8  # one in so many of the rare class is kept, of drawn faces

import shlex

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from sklearn.metrics import precision_recall_curve

from emotion_jax import data, scores
from emotion_jax.config import load_config
from emotion_jax.data.sections import options_of, sources_of
from emotion_jax.data.splits import make_split
from emotion_jax.evaluator import Evaluator
from emotion_jax.report import charts
from emotion_jax.tasks import make_tasks
from emotion_jax.trial import Trial

if "/content/drive" in DATA:
    from google.colab import drive

    drive.mount("/content/drive")
plt.rcParams.update(charts.STYLE | {"text.parse_math": True})
BLUE, ORANGE = charts.PALETTE[:2]
SOURCES = sources_of(shlex.split(DATA)) or {"synthetic": {"faces": FACES, "seed": 0}}

# %% [markdown]
# ## The faces
#
# We test on many drawn faces, because measuring the rate of something rare takes many:
# out of ten faces, one more or less is a tenth.

# %%
((source, section),) = SOURCES.items()
raw = data.load(source, section.get("path", ""), **options_of(section))
tasks = make_tasks({"emotion": {"head": "flat"}})
names = tasks["emotion"].names
rare = names.index(RARE)


def label_of(split):
    return split.faces["labels"]["emotion"].argmax(1)


if source == "synthetic":
    every = make_split(raw, "all", tasks, SIDE)
    is_rare = label_of(every) == rare
    every = every.take(np.flatnonzero(~is_rare | (is_rare.cumsum() % KEPT == 0)))
    train, val, test = (
        every.take(rows) for rows in np.split(np.arange(len(every)), [2400, 2900])
    )
else:
    parts = ("train", "val", "test")
    train, val, test = (make_split(raw, part, tasks, SIDE) for part in parts)
counts = {
    part: np.bincount(label_of(split), minlength=len(names))
    for part, split in (("train", train), ("val", val), ("test", test))
}
print(pd.DataFrame(counts, index=list(names)).to_string())

# %% [markdown]
# ## Train, and read off probabilities
#
# The network gives five probabilities per face. From here on only that of disgust
# counts: **a face is called disgust if its probability reaches a threshold**.

# %%
config = load_config(
    "configs/synthetic.py",
    [
        f"--config.data.sources={SOURCES}",
        "--config.tasks={'emotion': {'head': 'flat'}}",
        "--config.augment={}",  # it will know its faces too well: see the last part
        "--config.optim.ema_decay=0.0",
        f"--config.train.steps={STEPS}",
        f"--config.train.batch_size={BATCH}",
    ],
)
trial = Trial(config, train)
evaluator = Evaluator(trial.tasks, config.model, trial.mesh)
logits = {"val": [], "test": []}
for seed in range(SEEDS):
    variables = trial.run(seed).variables
    for part, split in (("val", val), ("test", test)):
        found = evaluator.run(variables, split.faces["image"])["emotion"]
        logits[part].append(found)
truth = label_of(test)
positive = truth == rare
accuracy = [(found.argmax(1) == truth).mean() for found in logits["test"]]
print(
    f"accuracy {np.mean(accuracy):.3f}, from {min(accuracy):.3f} to {max(accuracy):.3f}"
)
never = 1 - positive.mean()
print(f"who never says {RARE} is right about {RARE} on {never:.1%} of the faces")

# %% [markdown]
# The last line shows why accuracy cannot measure a rare class: ignoring it is nearly
# always right, and useless.
#
# ## A threshold trades one for the other
#
# A low threshold finds nearly all, among many false alarms. A high one is seldom wrong
# but misses many.

# %%
probability = [scores.softmax(found)[:, rare] for found in logits["test"]]
THRESHOLDS = (0.05, 0.2, 0.5, 0.8)


def rates(p, threshold):
    """Precision, if any is called, and recall of calling it at this threshold."""
    called = p >= threshold
    hits = (called & positive).sum()
    return hits / called.sum() if called.any() else np.nan, hits / positive.sum()


table = np.array([[rates(p, t) for t in THRESHOLDS] for p in probability])
mean = np.nanmean(table, 0)
print(
    pd.DataFrame(
        {"threshold": THRESHOLDS, "precision": mean[:, 0], "recall": mean[:, 1]}
    )
    .round(3)
    .to_string(index=False)
)

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for p, color, style in zip(probability, charts.PALETTE, ("-", "--", ":")):
    precision, recall, thresholds = precision_recall_curve(positive, p)
    axes[0].plot(recall, precision, style, color=color)
axes[0].axhline(positive.mean(), color="gray", lw=1)
axes[0].text(0.02, positive.mean() + 0.02, "calling every face", color="gray")
axes[0].set(
    xlabel="recall", ylabel="precision", title=f"{RARE}: one for the other, three seeds"
)
axes[0].set(xlim=(0, 1.02), ylim=(0, 1.02))
grid = np.linspace(0.01, 0.99, 99)
curves = np.array([[rates(p, t) for t in grid] for p in probability]).mean(0)
axes[1].plot(grid, curves[:, 0], color=BLUE, label="precision")
axes[1].plot(grid, curves[:, 1], color=ORANGE, ls="--", label="recall")
axes[1].set(xlabel="threshold", title="mean of the seeds", ylim=(0, 1.02))
axes[1].legend()
plt.show()

# %% [markdown]
# ## Which threshold? What do mistakes cost?
#
# Say a missed face costs ten times as much as a false alarm. A face of probability $p$
# costs $10\,p$ on average if it is not called, and $1 - p$ if it is; so it should be
# called from $p = 1/11$ on. No search is needed, **if** the probabilities are honest.
# The usual threshold, one half, is right only if both mistakes cost the same.

# %%
MISSED, ALARM = 10, 1
best = ALARM / (ALARM + MISSED)


def cost(p, threshold):
    """Of 1,000 faces."""
    called = p >= threshold
    missed, alarms = (positive & ~called).sum(), (called & ~positive).sum()
    return 1000 * (MISSED * missed + ALARM * alarms) / len(p)


costs = np.array([[cost(p, t) for t in grid] for p in probability])
figure, axis = plt.subplots(figsize=(9, 3), layout="constrained")
axis.plot(grid, costs.mean(0), color=BLUE)
axis.fill_between(grid, costs.min(0), costs.max(0), color=BLUE, alpha=0.2)
for threshold, name in ((best, "1/11"), (0.5, "one half")):
    axis.axvline(threshold, color=ORANGE, ls="--")
    axis.text(threshold + 0.01, axis.get_ylim()[1] * 0.97, name, va="top")
axis.set(xlabel="threshold", title="cost of 1,000 faces: mean and range of the seeds")
plt.show()
paid = {t: np.array([cost(p, t) for p in probability]) for t in (best, 0.5)}
print(f"at 1/11: {paid[best].mean():.0f}; at one half: {paid[0.5].mean():.0f}")

# %% [markdown]
# ## Are the probabilities honest?
#
# Of all faces the network is 80 % sure about, 80 % should be right. The figure shows
# how it really is; the expected calibration error (ECE) is the mean gap. One number,
# the *temperature*, divides all logits; it is chosen to make the truth on `val` least
# surprising. It changes no answer, only how sure the network is.


# %%
def surprise(found, truth, temperature):
    """The mean negative logarithm of the true class's probability."""
    p = scores.softmax(found.astype(float) / temperature)
    return -np.log(np.maximum(p[np.arange(len(p)), truth], 1e-300)).mean()


temperatures = [
    minimize_scalar(
        lambda t, found=found: surprise(found, label_of(val), t),
        bounds=(0.2, 5),
        method="bounded",
    ).x
    for found in logits["val"]
]
before = [surprise(found, truth, 1) for found in logits["test"]]
after = [surprise(f, truth, t) for f, t in zip(logits["test"], temperatures)]

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
edges = np.linspace(0.2, 1, 9)
for axis, name in zip(axes, ("as trained", "with its temperature")):
    found = []
    for logit, t, color, mark in zip(
        logits["test"], temperatures, charts.PALETTE, "os^"
    ):
        p = scores.softmax(logit / (1 if name == "as trained" else t))
        sure, hit = p.max(1), p.argmax(1) == truth
        found.append(scores.ece(sure, hit))
        inside = [(sure >= a) & (sure < b) for a, b in zip(edges, edges[1:] + 1e-9)]
        inside = [rows for rows in inside if rows.sum() >= 20]
        x, y = ([v[rows].mean() for rows in inside] for v in (sure, hit))
        axis.plot(x, y, mark + "-", color=color, lw=1)
    axis.axline((0, 0), slope=1, color="gray", lw=1)
    axis.set(xlim=(0.2, 1), ylim=(0.2, 1), xlabel="how sure it is")
    axis.set_title(f"{name}: ECE {np.mean(found):.3f}")
axes[0].set_ylabel("how often it is right")
plt.show()
print("temperatures:", np.round(temperatures, 2))
print(
    f"surprise on test: {np.mean(before):.4f} as trained, {np.mean(after):.4f} with it"
)

# %% [markdown]
# **What this lesson claims**, measured just now, on test faces, averaged over the
# seeds: a higher threshold has more precision and less recall; the threshold derived
# from the cost is cheaper than one half; and a temperature from `val` makes `test` less
# surprising.

# %%
assert (np.diff(table[:, :, 1], axis=1) <= 0).all(), "recall never rises"
assert mean[-1, 0] > mean[0, 0] and mean[-1, 1] < mean[0, 1]
assert paid[best].mean() < paid[0.5].mean()
assert np.mean(after) < np.mean(before)
