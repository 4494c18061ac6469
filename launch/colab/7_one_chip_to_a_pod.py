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
# [colab]: https://colab.research.google.com/github/OWNER/emotion_jax/blob/main/launch/colab/7_one_chip_to_a_pod.ipynb
#
# # 7 From one chip to a pod
#
# Data parallelism in brief: every chip has a copy of the network and a part of the
# batch; each computes the gradient of its part; they add up their results, and all take
# the same step. So eight chips do what one would do with the whole batch, eight times
# faster if adding up costs nothing.
#
# A pod is no different from what we can try here: JAX splits one CPU into eight
# simulated devices, and compiles the very program that eight chips would run. (This
# lesson uses the CPU, whatever the runtime has.)

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
FACES, SIDE, STEPS, BATCH = 800, 48, 20, 64

import re
import shlex

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)

import matplotlib.pyplot as plt
import numpy as np

from emotion_jax import sharding
from emotion_jax.config import load_config
from emotion_jax.data.sections import load_train_and_val, sources_of
from emotion_jax.report import charts
from emotion_jax.tasks import make_tasks
from emotion_jax.trial import Trial

if "/content/drive" in DATA:
    from google.colab import drive

    drive.mount("/content/drive")
plt.rcParams.update(charts.STYLE | {"text.parse_math": True})
BLUE, ORANGE = charts.PALETTE[:2]
SOURCES = sources_of(shlex.split(DATA)) or {"synthetic": {"faces": FACES, "seed": 0}}
print(jax.devices())

# %% [markdown]
# ## One mesh, two ways to lie on it
#
# A mesh lets us refer to the devices by name: ours has one axis, `data`. An array is
# either **split** along it (batches) or **whole** on every device (the network). That
# is all we tell the compiler; what has to be sent, and when, it works out by itself.

# %%
mesh = sharding.make_mesh()
batch = sharding.place(np.zeros((BATCH, SIDE, SIDE, 1), np.uint8), sharding.split(mesh))
kernel = sharding.place(np.zeros((3, 3, 16, 16), np.float32), sharding.whole(mesh))
for name, array in (("batch", batch), ("kernel", kernel)):
    parts = {shard.data.shape for shard in array.addressable_shards}
    print(f"{name:7} {array.shape}: each of {mesh.size} devices holds {parts}")

# %% [markdown]
# ## The same training on one device and on eight
#
# The order of the faces, and every random number of the augmentation, depend only on
# the seed and the step. So both runs see the same faces, turned by the same angles.

# %%
config = load_config(
    "configs/synthetic.py",
    [
        f"--config.data.sources={SOURCES}",
        f"--config.data.side={SIDE}",
        "--config.tasks={'emotion': {'head': 'flat'}}",
        "--config.model.blocks=(1, 1)",
        "--config.optim.name=sgd",
        "--config.optim.learning_rate=0.05",
        f"--config.train.steps={STEPS}",
        f"--config.train.batch_size={BATCH}",
    ],
)
((_, split),) = load_train_and_val(make_tasks(config.tasks), **config.data)[0].items()
trials = {
    n: Trial(config, split, sharding.make_mesh(jax.devices()[:n])) for n in (1, 8)
}
runs = {n: trial.run(seed=0) for n, trial in trials.items()}

figure, axis = plt.subplots(figsize=(9, 2.8), layout="constrained")
axis.plot(runs[1].loss, color=BLUE, lw=5, alpha=0.45, label="one device")
axis.plot(runs[8].loss, color=ORANGE, lw=1.5, label="eight devices")
axis.set(title="loss of each step", xlabel="step")
axis.set_xticks(range(0, STEPS + 1, 5))
axis.legend()
plt.show()
apart = np.abs(runs[1].loss / runs[8].loss - 1).max()
print(f"the losses differ by at most {apart:.1e} of themselves: rounding, no more")

# %% [markdown]
# ## What the compiler sends
#
# Let us read the compiled step. An **all-reduce** adds up what all devices hold and
# gives the sum to each of them. Two kinds of sums are needed: the gradients, as many
# numbers as the network has parameters; and in every BatchNorm the mean and variance of
# the whole batch, forward and backward, as a device alone would see only its own
# eighth.


# %%
def compiled(trial):
    """The text of the step's program, as it runs on each device."""
    inputs = next(trial.feed_of(0).batches(0))
    return trial.step.lower(trial.first(0), inputs).compile().as_text()


def all_reduces(text):
    """How many numbers each all-reduce adds up."""
    sums = re.findall(r"= (.+?) all-reduce(?:-start)?\(", text)
    shapes = [re.findall(r"\w+\[([\d,]*)\]", found) for found in sums]
    return [
        sum(int(np.prod([int(n) for n in shape.split(",") if n])) for shape in many)
        for many in shapes
    ]


programs = {n: compiled(trial) for n, trial in trials.items()}
sums = {n: all_reduces(text) for n, text in programs.items()}
parameters = sum(x.size for x in jax.tree.leaves(runs[8].variables["params"]))
for n, found in sums.items():
    print(
        f"{n} device{'s' * (n > 1)}: {len(found)} all-reduces, {sum(found):,} numbers"
    )
print(f"the network has {parameters:,} parameters")

# %%
figure, axis = plt.subplots(figsize=(9, 2.8), layout="constrained")
axis.bar(range(len(sums[8])), sums[8], color=BLUE)
axis.axhline(parameters, color=ORANGE, ls="--")
axis.text(-0.4, 1.4 * parameters, "the network's parameters: a gradient for each")
axis.set(yscale="log", xlabel="all-reduces of one step, in the program's order")
axis.set_ylim(0.5, 20 * parameters)
axis.set_title("numbers that each adds up over the devices")
axis.grid(False, axis="x")
plt.show()

# %% [markdown]
# ## What it costs, in arithmetic
#
# In a ring, each chip sends every number about twice, however many chips there are. So
# communication costs about the same on 8 chips as on 256; what counts is how much each
# chip has to compute meanwhile. The curves are **arithmetic, not a measurement**: a
# step of ResNet-18's size (11 million parameters) on chips that process a face in 25
# microseconds and send 40 GB per second, with no overlap.

# %%
FACE, SENT, NUMBERS = 25e-6, 40e9, 11e6
chips = 2 ** np.arange(9)
ring = 2 * (chips - 1) / chips * 4 * NUMBERS / SENT
figure, axis = plt.subplots(figsize=(9, 3), layout="constrained")
for faces, color, marker in zip((16, 64, 256), charts.PALETTE, "o^s"):
    share = faces * FACE / (faces * FACE + ring)
    axis.plot(chips, 100 * share, marker + "-", color=color, label=f"{faces} a chip")
axis.set(xscale="log", xlabel="chips", ylim=(0, 105))
axis.set_xticks(chips, chips)
axis.minorticks_off()
axis.set_title("percent of the time that is spent computing, by faces on each chip")
axis.legend()
plt.show()

# %% [markdown]
# ## When the network itself is too large
#
# A copy on every chip is wasteful if it is large. With `--config.fsdp=True` each device
# keeps a part of every large array, parameters, averages and moments alike, and layers
# are gathered when needed.

# %%
leaves = jax.tree.leaves(trials[8].first(0))
parts = [jax.device_put(x, sharding.in_parts(x.shape, mesh)) for x in leaves]
held = {
    "a copy each": sum(x.addressable_shards[0].data.nbytes for x in leaves),
    "in parts": sum(x.addressable_shards[0].data.nbytes for x in parts),
}
for name, size in held.items():
    print(f"{name:12} {size / 1e6:.2f} MB of state on each device")

# %% [markdown]
# **What this lesson claims**, measured just now: eight devices train like one; one
# sends nothing, eight add up every gradient and hardly more; and a state in parts takes
# less than a quarter of the space.

# %%
assert apart < 1e-3
assert sums[1] == [] and parameters <= sum(sums[8]) < 2 * parameters
assert held["in parts"] < held["a copy each"] / 4
