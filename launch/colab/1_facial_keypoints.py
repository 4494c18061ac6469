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
# [colab]: https://colab.research.google.com/github/OWNER/emotion_jax/blob/main/launch/colab/1_facial_keypoints.ipynb
#
# # 1 Facial keypoints
#
# Where are the eyes, the brows, the nose and the mouth? We train a residual network to
# place fifteen points on a face, in the six steps of the course's first part: look,
# augment, normalise, build, train, assess.
#
# Without a file of your own, the faces are drawn by code, so their points are exact.
# Kaggle's `training.csv` works too: upload it in the panel on the left, or leave it on
# your Drive, and name it below.

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
# Empty, or SOURCE=PATH: keypoints=/content/drive/MyDrive/training.csv
FACES, SIDE, STEPS, BATCH = 3000, 48, 300, 64

import shlex
import tempfile
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Image, display

from emotion_jax import data
from emotion_jax.config import load_config
from emotion_jax.data.sections import options_of, sources_of
from emotion_jax.data.splits import make_split
from emotion_jax.data.table import POINTS
from emotion_jax.evaluate import load_splits, numbers_of
from emotion_jax.evaluator import restore
from emotion_jax.models import make_network
from emotion_jax.report import augmentations, charts, mosaic, sheet
from emotion_jax.step import normalise, standardise
from emotion_jax.tasks import make_tasks
from emotion_jax.train import train_and_evaluate

if "/content/drive" in DATA:
    from google.colab import drive

    drive.mount("/content/drive")
plt.rcParams.update(charts.STYLE | {"text.parse_math": True})
BLUE, ORANGE = charts.PALETTE[:2]
OUT = Path(tempfile.mkdtemp())
SOURCES = sources_of(shlex.split(DATA)) or {"synthetic": {"faces": FACES, "seed": 0}}

# %% [markdown]
# ## Step 1: look
#
# A face is an image and whatever is known about it. Blue points are on the subject's
# own left, green ones on the right, orange ones in the middle: if the colours were
# swapped, the labels would belong to a mirror image.

# %%
((source, section),) = SOURCES.items()
raw = data.load(source, section.get("path", ""), **options_of(section))
print(
    f"{len(raw.image):,} faces of {raw.image.shape[1:3]} pixels, {len(POINTS)} points"
)
print(f"{raw.known['keypoints'].mean():.1%} of the points are labelled")
some = mosaic.evenly(np.arange(len(raw.image)), 16)
mosaic.draw_rows(OUT / "faces.png", raw, some, [""] * len(some))
display(Image(OUT / "faces.png"))

# %% [markdown]
# Where do the points lie? If they always lay where the mean face has them, there would
# be nothing to learn. Their spread is what the network has to explain.

# %%
points, known = raw.labels["keypoints"], raw.known["keypoints"]
mean_face = raw.image[:1000, :, :, 0].mean(0).astype(np.uint8)
charts.draw_points(OUT / "points.png", mean_face, points, known, POINTS)
display(Image(OUT / "points.png"))

# %% [markdown]
# ## Step 2: augment
#
# The network sees each face turned, zoomed, shifted and mirrored, a little differently
# every time: that is more data for free. **The points must move with the pixels.** The
# upper row shows faces as they are, the rows below what training sees.

# %%
AUGMENT = {
    "flip": {},
    "rotate": {"degrees": 8.0},
    "zoom": {"low": 0.92, "high": 1.08},
    "translate": {"fraction": 0.04},
    "brightness": {"delta": 0.1},
}
tasks = make_tasks({"keypoints": {}})
train = make_split(raw, "train", tasks, SIDE)
augmentations.draw_faces(OUT / "augmented.png", train, tasks, AUGMENT)
display(Image(OUT / "augmented.png"))

# %% [markdown]
# Mirroring is what most often goes wrong. What was the left eye is now the right eye,
# so the two must also trade names. How large is the error if they do not?

# %%
ALWAYS = {"flip": {"probability": 1.0}}
few = jax.tree.map(lambda table: table[:200], train.faces)
mirrored = augmentations.augmented(few, tasks, ALWAYS, samples=1)
twice = augmentations.augmented(mirrored, tasks, ALWAYS, samples=1)

before, after = (faces["labels"]["keypoints"] for faces in (few, mirrored))
known = few["known"]["keypoints"] & mirrored["known"]["keypoints"]
only_moved = before.copy()
only_moved[..., 0] = SIDE - 1 - before[..., 0]
mistake = np.sqrt(np.square((only_moved - after)[known]).mean()) * 96 / SIDE
print(f"mirrored without trading names: {mistake:.1f} px RMSE of wrong labels")

assert np.array_equal(twice["image"], few["image"]), "two mirrors change nothing"
assert np.allclose(twice["labels"]["keypoints"], before, atol=1e-3)
assert mistake > 5

# %% [markdown]
# ## Step 3: normalise
#
# Pixels are whole numbers from 0 to 255. A network learns best from numbers around zero
# with a spread near one, so on the device they become $(x / 255 - 0.5) \cdot 4$. They
# stay 8-bit in memory, which makes the data four times smaller; each step converts
# them.

# %%
grays = train.faces["image"][:500]
taken = np.asarray(standardise(normalise(grays)))
figure, axes = plt.subplots(1, 2, figsize=(9, 2.4), layout="constrained")
for axis, values, color in zip(axes, (grays, taken), (ORANGE, BLUE)):
    axis.hist(values.ravel(), bins=64, color=color, density=True)
    axis.set(yticks=[], xlabel="gray value of a pixel")
mean, spread = taken.mean(), taken.std()
axes[0].set_title(f"stored: mean {grays.mean():.0f}, spread {grays.std():.0f}")
axes[1].set_title(f"as the network sees it: mean {mean:.2f}, spread {spread:.2f}")
plt.show()
assert abs(mean) < 1 and 0.4 < spread < 2

# %% [markdown]
# ## Step 4: build
#
# A residual network: a stem that halves the side, then blocks whose convolutions add
# something to their input, $x + F(x)$ (lesson 4 shows why). The head is one linear
# layer from all positions to thirty numbers.

# %%
config = load_config(
    "configs/synthetic.py",
    [
        f"--config.data.sources={SOURCES}",
        f"--config.data.side={SIDE}",
        "--config.tasks={'keypoints': {}}",
        f"--config.augment={AUGMENT}",
        f"--config.train.steps={STEPS}",
        f"--config.train.batch_size={BATCH}",
        "--config.eval.every=20%",
        "--config.eval.report=False",
        "--config.checkpoint.every=20%",
        "--config.checkpoint.best=keypoints/rmse_px",
        "--config.log.every=10",
    ],
)
network = make_network(tasks, **config.model)
one = jax.ShapeDtypeStruct((1, SIDE, SIDE, 1), np.float32)
shapes = jax.eval_shape(network.init, jax.random.key(0), one)["params"]
count = pd.Series(
    {
        f"{part} {layer}": sum(x.size for x in jax.tree.leaves(inner))
        for part, layers in shapes.items()
        for layer, inner in layers.items()
    }
)
print(count.to_string(), f"\n{count.sum():,} parameters; the course's net: 18,016,286")

# %% [markdown]
# ## Step 5: train
#
# One call. Every step draws a batch, augments it, and moves the parameters against the
# gradient of the loss. On the way it is evaluated on `val`, faces it never trains on.

# %%
train_and_evaluate(config, OUT / "run")

# %%
log = pd.read_json(OUT / "run" / "metrics.jsonl", lines=True)
figure, axes = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
steps = log.dropna(subset="train/loss")
axes[0].plot(steps["step"], steps["train/loss"], color=BLUE)
axes[0].set(title="loss of each batch", xlabel="step", yscale="log")
val = log.dropna(subset="val/keypoints/rmse_px")
axes[1].plot(val["step"], val["val/keypoints/rmse_px"], "o-", color=ORANGE)
axes[1].set(title="RMSE on val, in pixels of a 96-pixel face", xlabel="step")
axes[1].set_ylim(0, 1.1 * val["val/keypoints/rmse_px"].max())
plt.show()

# %% [markdown]
# ## Step 6: assess
#
# On the test split, whose faces neither training nor the choice of the best checkpoint
# has seen. The baseline to beat: always answer the mean training face.

# %%
restored = restore(str(OUT / "run"))
(test,) = load_splits(restored, [], None)
outputs, found = numbers_of(restored, test, tta=False)

label, known = test.faces["labels"]["keypoints"], test.faces["known"]["keypoints"]
weights = train.faces["known"]["keypoints"][..., None]
mean_points = (train.faces["labels"]["keypoints"] * weights).sum(0) / weights.sum(0)
guess = np.broadcast_to(mean_points, label.shape)
baseline = float(np.sqrt(np.square((guess - label)[known]).mean()) * 96 / SIDE)
rmse = found["keypoints/rmse_px"]
print(
    f"{len(test):,} unseen faces: {rmse:.2f} px RMSE; the mean face: {baseline:.2f} px"
)
print(f"{found['keypoints/pck_10']:.1%} of points within a tenth of the eyes' distance")

# %%
each = pd.Series({p: found[f"keypoints/rmse_px/{p}"] for p in POINTS}).sort_values()
figure, axis = plt.subplots(figsize=(9, 3.6), layout="constrained")
axis.barh([name.replace("_", " ") for name in each.index], each, color=BLUE)
axis.axvline(baseline, color=ORANGE, ls="--", label="the mean face, all points")
axis.set(title="RMSE of each point, in pixels of a 96-pixel face")
axis.grid(False, axis="y")
axis.legend()
plt.show()
sheet.draw(OUT / "sheet.png", test, outputs, restored.tasks)
display(Image(OUT / "sheet.png"))

# %% [markdown]
# **What this lesson claims**, measured just now: on faces it has never seen, the
# network's error is less than 0.6 of the mean face's.

# %%
assert rmse < 0.6 * baseline, (rmse, baseline)
print(f"{rmse:.2f} px is {rmse / baseline:.0%} of {baseline:.2f} px")
