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
# [colab]: https://colab.research.google.com/github/OWNER/emotion_jax/blob/main/launch/colab/5_sigmoid_or_relu.ipynb
#
# # 5 Sigmoid or ReLU?
#
# Between its layers a network needs something nonlinear, or all layers together would
# amount to just one. For decades that was the sigmoid, $1 / (1 + e^{-x})$, which looks
# like a neuron that fires or does not. Today it is mostly the ReLU, $\max(0, x)$, which
# looks like nothing at all. Why?

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
FACES, SIDE, STEPS, BATCH, SEEDS = 3000, 48, 200, 32, 3
BLOCKS = 4  # of two convolutions each
DEPTH, WIDTH = 12, 64  # of the chain of layers

import shlex

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from emotion_jax.config import load_config
from emotion_jax.data.sections import load_train_and_val, sources_of
from emotion_jax.evaluator import Evaluator
from emotion_jax.report import charts
from emotion_jax.step import normalise, standardise
from emotion_jax.tasks import make_tasks
from emotion_jax.trial import Trial

if "/content/drive" in DATA:
    from google.colab import drive

    drive.mount("/content/drive")
plt.rcParams.update(charts.STYLE | {"text.parse_math": True})
BLUE, ORANGE = charts.PALETTE[:2]
LOOK = {"relu": (BLUE, "o-"), "sigmoid": (ORANGE, "^--")}
ACT = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid}
SOURCES = sources_of(shlex.split(DATA)) or {"synthetic": {"faces": FACES, "seed": 0}}

# %% [markdown]
# ## Saturation
#
# On its way back, the gradient is multiplied by the slope of every activation it
# passes. A ReLU's slope is one wherever it is on. A sigmoid's is a quarter at best, and
# nearly zero where the unit is sure of itself: it is **saturated**, and stops learning.

# %%
x = jnp.linspace(-6, 6, 241)
slope = {name: jax.vmap(jax.grad(act)) for name, act in ACT.items()}
figure, axes = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
for name, (color, style) in LOOK.items():
    axes[0].plot(x, ACT[name](x), style[1:], color=color, label=name)
    axes[1].plot(x, slope[name](x), style[1:], color=color, label=name)
axes[0].set(title="the activation", xlabel="x", ylim=(-0.1, 2.5))
axes[1].set(title="its slope", xlabel="x")
axes[0].legend()
plt.show()
steepest = float(slope["sigmoid"](x).max())
print(f"a sigmoid's slope is at most {steepest:.3f}")

# %% [markdown]
# ## What is left after twelve layers
#
# A chain of twelve layers and nothing else, each initialised as suits its activation
# (He et al. 2015 for the ReLU, Glorot & Bengio 2010 for the sigmoid). We send a
# gradient back through it and measure how much arrives at each layer's weights, for ten
# draws of the weights.


# %%
def chain(weights, inputs, act):
    for weight in weights:
        inputs = act(inputs @ weight)
    return inputs.sum(-1).mean()


def arriving(name, seed):
    """The norm of the gradient at every layer's weights, from the first to the last."""
    keys = jax.random.split(jax.random.key(seed), DEPTH + 1)
    scale = np.sqrt({"relu": 2.0, "sigmoid": 1.0}[name] / WIDTH)
    weights = [scale * jax.random.normal(key, (WIDTH, WIDTH)) for key in keys[:-1]]
    inputs = jax.random.normal(keys[-1], (128, WIDTH))
    return [jnp.linalg.norm(g) for g in jax.grad(chain)(weights, inputs, ACT[name])]


norms = {name: np.array([arriving(name, seed) for seed in range(10)]) for name in ACT}
figure, axis = plt.subplots(figsize=(9, 3.2), layout="constrained")
for name, (color, style) in LOOK.items():
    low, mean, high = np.quantile(norms[name], (0, 0.5, 1), axis=0)
    layers = np.arange(1, DEPTH + 1)
    axis.plot(layers, mean, style, color=color, label=name)
    axis.fill_between(layers, low, high, color=color, alpha=0.2)
axis.set(yscale="log", xlabel="layer, from the input to the output")
axis.set_title("norm of the gradient: median and range of ten draws")
axis.set_xticks(layers)
axis.legend()
plt.show()
left = {name: np.median(found[:, 0] / found[:, -1]) for name, found in norms.items()}
print("at the first layer, of what the last one gets:")
print({name: f"{share:.1e}" for name, share in left.items()})

# %% [markdown]
# ## The same network with both
#
# Our residual network is built to prevent that: shortcuts let the gradient bypass the
# activations, and BatchNorm keeps their inputs around zero, where a sigmoid is
# steepest. So a sigmoid should do better here than in the chain. Does it do as well as
# the ReLU? Only the activation differs; three seeds each.


# %%
def config(activation):
    return load_config(
        "configs/synthetic.py",
        [
            f"--config.data.sources={SOURCES}",
            f"--config.data.side={SIDE}",
            "--config.tasks={'keypoints': {}}",
            "--config.augment={}",
            f"--config.model.blocks=({BLOCKS},)",
            f"--config.model.activation={activation}",
            "--config.model.width=8",
            "--config.model.stem_stride=4",
            "--config.optim.ema_decay=0.0",
            f"--config.train.steps={STEPS}",
            f"--config.train.batch_size={BATCH}",
        ],
    )


train, val = load_train_and_val(make_tasks({"keypoints": {}}), **config("relu").data)
((_, train),), ((_, val),) = train.items(), val.items()
trials = {name: Trial(config(name), train) for name in ACT}
runs = {n: [trial.run(seed) for seed in range(SEEDS)] for n, trial in trials.items()}
rmse = {}
for name, trial in trials.items():
    evaluator = Evaluator(trial.tasks, config(name).model, trial.mesh)
    found = [evaluator.run(run.variables, val.faces["image"]) for run in runs[name]]
    rmse[name] = [evaluator.report(f, val)["keypoints/rmse_px"] for f in found]

# %%
figure, (left_axis, right_axis) = plt.subplots(
    1, 2, figsize=(9, 3.2), layout="constrained", width_ratios=(2, 1)
)
for i, (name, (color, style)) in enumerate(LOOK.items()):
    loss = pd.DataFrame([run.loss for run in runs[name]]).T
    loss = loss.rolling(10, min_periods=1).mean()
    left_axis.plot(loss.mean(axis=1), style[1:], color=color, label=name)
    low, high = loss.min(axis=1), loss.max(axis=1)
    left_axis.fill_between(loss.index, low, high, color=color, alpha=0.2)
    aside = i + np.linspace(-0.1, 0.1, SEEDS)  # so that no seed hides another
    right_axis.plot(aside, rmse[name], style[0], color=color)
    print(
        f"{name:8} {np.mean(rmse[name]):.2f} px RMSE on val {np.round(rmse[name], 2)}"
    )
left_axis.set(title="training loss: mean and range of the seeds", xlabel="step")
left_axis.set(yscale="log")
left_axis.legend()
right_axis.set_xticks(range(2), list(LOOK))
right_axis.set(title="RMSE on val, px: three seeds", xlim=(-0.5, 1.5))
right_axis.set_ylim(0, 1.1 * max(rmse["sigmoid"]))
plt.show()

# %% [markdown]
# ## How saturated are its units?
#
# The slopes at the inputs of the trained networks' activations, for 64 faces.

# %%
image = standardise(normalise(train.faces["image"][:64]))
slopes = {}
for name, trial in trials.items():
    _, state = trial.network.apply(
        runs[name][0].variables,
        image,
        capture_intermediates=True,
        mutable="intermediates",
    )
    trunk = state["intermediates"]["trunk"]
    inputs = [trunk["stem_norm"]["__call__"][0]]
    inputs += [
        block["norm1"]["__call__"][0] for n, block in trunk.items() if "block" in n
    ]
    slopes[name] = slope[name](jnp.concatenate([x.ravel() for x in inputs]))
saturated = {name: float((found < 0.05).mean()) for name, found in slopes.items()}
average = {name: float(found.mean()) for name, found in slopes.items()}
for name in ACT:
    print(f"{name:8} mean slope {average[name]:.2f}; below 0.05: {saturated[name]:.0%}")

# %% [markdown]
# The sigmoids are hardly ever saturated, as BatchNorm keeps them near zero. Many of the
# ReLUs have no slope at all: they are off for this face. Those that are on pass
# everything.
#
# **What this lesson claims**, measured just now: a sigmoid's slope is a quarter at
# most; after twelve plain layers less than a millionth of its gradient is left, while
# ReLUs keep more than a tenth; and in the same residual network the ReLU has the lower
# error, for every seed.

# %%
assert abs(steepest - 0.25) < 1e-6
assert left["sigmoid"] < 1e-6 and left["relu"] > 0.1
assert max(rmse["relu"]) < min(rmse["sigmoid"])
