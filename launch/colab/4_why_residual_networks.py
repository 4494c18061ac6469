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
# [colab]: https://colab.research.google.com/github/OWNER/emotion_jax/blob/main/launch/colab/4_why_residual_networks.ipynb
#
# # 4 Why residual networks?
#
# A deeper network can do whatever a shallower one can: its extra layers need only pass
# on their input. Yet without help they do not learn to, and deep plain networks are
# worse than shallow ones, **on their own training faces**. That is not overfitting;
# they fail to learn.
#
# He et al. (2015) let each block add to its input, $x + F(x)$. A block that does
# nothing then passes on $x$, and the gradient flows back along the sum, whatever $F$
# is. Here we take the shortcuts away and see what they were good for.

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
# Empty, or SOURCE=PATH: keypoints=/content/training.csv
FACES, SIDE, STEPS, BATCH, SEEDS = 3000, 48, 150, 32, 3
BLOCKS = (2, 12)  # of two convolutions each

import shlex

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from emotion_jax.config import load_config
from emotion_jax.data.sections import load_train_and_val, sources_of
from emotion_jax.evaluator import Evaluator
from emotion_jax.gradients import make_gradient_norms
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
# ## Four networks
#
# Two depths, each with shortcuts and without. All else is the same: the width, the
# faces and their order, the optimizer, the number of steps. Each network is compiled
# once and trained from several seeds, since one run may be luck.


# %%
def config(blocks, shortcut):
    """Keypoints by one stage of so many blocks."""
    return load_config(
        "configs/synthetic.py",
        [
            f"--config.data.sources={SOURCES}",
            f"--config.data.side={SIDE}",
            "--config.tasks={'keypoints': {}}",
            "--config.augment={}",
            f"--config.model.blocks=({blocks},)",
            f"--config.model.shortcut={shortcut}",
            "--config.model.width=8",
            "--config.model.stem_stride=4",
            "--config.optim.ema_decay=0.0",
            f"--config.train.steps={STEPS}",
            f"--config.train.batch_size={BATCH}",
        ],
    )


KINDS = {"with shortcuts": True, "without": False}
first = config(BLOCKS[0], True)
train, val = load_train_and_val(make_tasks(first.tasks), **first.data)
((_, train),), ((_, val),) = train.items(), val.items()
few = [
    jax.tree.map(lambda table, start=start: table[start : start + BATCH], train.faces)
    for start in range(0, 8 * BATCH, BATCH)
]
runs, rmse, norms = {}, {}, {}
for kind, shortcut in KINDS.items():
    for blocks in BLOCKS:
        key, chosen = (kind, blocks), config(blocks, shortcut)
        trial = Trial(chosen, train)
        evaluator = Evaluator(trial.tasks, chosen.model, trial.mesh)
        runs[key] = [trial.run(seed) for seed in range(SEEDS)]
        rmse[key] = [
            evaluator.report(evaluator.run(run.variables, val.faces["image"]), val)
            for run in runs[key]
        ]
        rmse[key] = [found["keypoints/rmse_px"] for found in rmse[key]]
        norms_of = make_gradient_norms(trial.network, trial.tasks)
        norms[key] = [
            pd.DataFrame([norms_of(run.variables, batch) for batch in few]).mean()
            for run in runs[key]
        ]
        print(f"{kind}, {blocks} blocks: {np.round(rmse[key], 2)} px on val")

# %% [markdown]
# ## Depth with and without
#
# The loss of each training batch: the mean of the seeds (line) and their range (band).
# Look at where the two depths end: together on the left; on the right the deeper
# network stays above the shallow one.

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
for axis, kind in zip(axes, KINDS):
    for blocks, color, style in zip(BLOCKS, (BLUE, ORANGE), ("-", "--")):
        loss = pd.DataFrame([run.loss for run in runs[kind, blocks]]).T
        loss = loss.rolling(10, min_periods=1).mean()
        label = f"{2 * blocks + 1} convolutions"
        axis.plot(loss.mean(axis=1), style, color=color, label=label)
        axis.fill_between(
            loss.index, loss.min(axis=1), loss.max(axis=1), color=color, alpha=0.2
        )
    axis.set(title=f"training loss, {kind}", xlabel="step", yscale="log")
    axis.legend()
plt.show()

# %%
final = {
    key: np.array([run.loss[-20:].mean() for run in found])
    for key, found in runs.items()
}
print("mean training loss of the last 20 steps, and RMSE on val in pixels:")
for (kind, blocks), loss in final.items():
    print(
        f"  {kind:15} {2 * blocks + 1:3} convolutions  {loss.mean():.2f}"
        f"  {np.mean(rmse[kind, blocks]):.2f} px"
    )

# %% [markdown]
# ## The gradient, layer by layer
#
# What reaches each convolution of the trained deep networks when a batch's loss is sent
# back, averaged over eight batches. The image is on the left, the answer on the right.
#
# It is often said that without shortcuts the gradient vanishes. BatchNorm prevents
# that, and goes too far: layer after layer the gradient **grows** on its way back (Yang
# et al. 2019), so that no learning rate suits all layers. Shortcuts give it a way
# around all layers.

# %%
deep, shallow = BLOCKS[-1], BLOCKS[0]
figure, axis = plt.subplots(figsize=(9, 3.2), layout="constrained")
grows = {}
for kind, color, mark in zip(KINDS, (BLUE, ORANGE), "o^"):
    found = pd.DataFrame(norms[kind, deep]).T
    found = found[found.index.str.contains("conv")].to_numpy()
    quarter = len(found) // 4
    grows[kind] = np.median(found[:quarter], 0) / np.median(found[-quarter:], 0)
    axis.plot(found.mean(1), mark + "-", color=color, ms=4, label=kind)
    low, high = found.min(1), found.max(1)
    axis.fill_between(range(len(found)), low, high, color=color, alpha=0.2)
axis.set(yscale="log", xlabel="convolution, from the image to the answer")
axis.set_title("norm of the gradient: mean and range of the seeds")
axis.legend()
plt.show()
print("the first quarter's gradients over the last's, by seed:")
for kind, ratio in grows.items():
    print(f"  {kind:15} {np.round(ratio, 2)}")

# %% [markdown]
# **What this lesson claims**, measured just now, for every seed: without shortcuts the
# deep network ends with a higher loss on its own training faces than the shallow one,
# and than the deep one with shortcuts, which depth does not harm; and the gradient
# grows on its way back without shortcuts, but not with them.

# %%
residual, plain = ({b: final[kind, b] for b in BLOCKS} for kind in KINDS)
assert plain[deep].min() > plain[shallow].max()
assert (plain[deep] > residual[deep]).all()
assert residual[deep].mean() < 1.05 * residual[shallow].mean()
assert grows["without"].min() > 1 > grows["with shortcuts"].max()
