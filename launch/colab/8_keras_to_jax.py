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
# [colab]: https://colab.research.google.com/github/OWNER/emotion_jax/blob/main/launch/colab/8_keras_to_jax.ipynb
#
# # 8 From Keras to JAX
#
# You took the course and have its networks in Keras. Here is what became of each line.
# Your trained weights come along: this package has the same network, which takes the
# same numbers and gives the same answers.
#
# | in the course, with Keras | here, with JAX |
# | --- | --- |
# | `pd.read_csv(...)`, `np.fromstring(...)` | `--data fer2013=icml_face_data.csv` |
# | `X / 255.` | inside the compiled step; faces stay 8-bit in memory |
# | `ImageDataGenerator(...)`, mirrored copies | `config.augment`, anew in every step |
# | `Model(inputs, outputs)` | a Flax module: a function of variables and images |
# | `model.compile(optimizer=..., loss=...)` | `config.optim`, `config.tasks` |
# | `model.fit(...)` | `train_and_evaluate(config, workdir)`, on all devices |
# | `ModelCheckpoint(...)` | `config.checkpoint`: the newest, and the best on `val` |
# | `model.evaluate(...)`, `classification_report` | `python -m emotion_jax.evaluate` |
# | `weights.hdf5` | `--config.init_from=weights.hdf5` |
#
# The biggest difference: a Keras model holds its weights and changes them. In JAX a
# network is a pure function, and its weights are an argument.

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
WEIGHTS = ""  # @param {type:"string"}
# Empty, or the .h5 or .hdf5 of the course's emotion network as you trained it.
DATA = ""  # @param {type:"string"}
# Empty, or SOURCE=PATH, to evaluate it on: fer2013=/content/icml_face_data.csv
FACES = 300

import os
import shlex
import tempfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")  # TensorFlow is not needed

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from emotion_jax import data, sharding
from emotion_jax.data.sections import options_of, sources_of
from emotion_jax.data.splits import make_split
from emotion_jax.evaluator import Evaluator
from emotion_jax.models import keras_weights, make_network
from emotion_jax.report import charts
from emotion_jax.step import standardise
from emotion_jax.tasks import make_tasks
from emotion_jax.trees import by_path

if "/content/drive" in DATA + WEIGHTS:
    from google.colab import drive

    drive.mount("/content/drive")
plt.rcParams.update(charts.STYLE | {"text.parse_math": True})
OUT = Path(tempfile.mkdtemp())
# TPUs and GPUs round products; here both sides should be exact.
jax.config.update("jax_default_matmul_precision", "highest")
SOURCES = sources_of(shlex.split(DATA)) or {"synthetic": {"faces": FACES, "seed": 0}}
TASKS = {
    name: make_tasks({name: {"head": "course"}}) for name in ("keypoints", "emotion")
}
((source, section),) = SOURCES.items()
raw = data.load(source, section.get("path", ""), **options_of(section))
split = make_split(raw, "test", TASKS["emotion"], 96)

# %% [markdown]
# ## The course's two networks, here
#
# Both see faces of 96 x 96. A 7x7 convolution and a pool quarter the side; two stages
# follow, each with one block that halves the side and two that keep it. Keras counts
# 18,016,286 parameters with the keypoint head and 1,174,021 with that of five emotions,
# including BatchNorm's running means and variances. We must match that.

# %%
NETWORKS = {name: make_network(tasks, name="course") for name, tasks in TASKS.items()}
ONE = jax.ShapeDtypeStruct((1, 96, 96, 1), jnp.float32)
SHAPES = {
    name: jax.eval_shape(network.init, jax.random.key(0), ONE)
    for name, network in NETWORKS.items()
}
counts = {n: sum(x.size for x in jax.tree.leaves(s)) for n, s in SHAPES.items()}
print(counts)
assert counts == {"keypoints": 18_016_286, "emotion": 1_174_021}

# %% [markdown]
# ## The same in Keras
#
# Written as in the course, with its layer names. Keras 3 runs on JAX, so this needs no
# TensorFlow. If Keras is not installed, these cells say so and do nothing.

# %%
try:
    import keras
except ImportError:
    keras = None
    print("Keras is not here: pip install keras, and run this cell again")


def course(task):
    """The course's network in Keras, before its softmax."""
    layers = keras.layers

    def block(x, widths, name, projects):
        f1, f2, f3 = widths
        skip = x
        x = layers.Conv2D(f1, 1, name=f"res_{name}_a")(x)
        if projects:
            x = layers.MaxPool2D(2)(x)
            skip = layers.Conv2D(f3, 1, name=f"res_{name}_copy")(skip)
            skip = layers.MaxPool2D(2)(skip)
            skip = layers.BatchNormalization(name=f"bn_{name}_copy")(skip)
        x = layers.ReLU()(layers.BatchNormalization(name=f"bn_{name}_a")(x))
        x = layers.Conv2D(f2, 3, padding="same", name=f"res_{name}_b")(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"bn_{name}_b")(x))
        x = layers.Conv2D(f3, 1, name=f"res_{name}_c")(x)
        x = layers.BatchNormalization(name=f"bn_{name}_c")(x)
        return layers.ReLU()(layers.Add()([x, skip]))

    image = layers.Input((96, 96, 1))
    x = layers.ZeroPadding2D(3)(image)
    x = layers.Conv2D(64, 7, strides=2, name="conv1")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="bn_conv1")(x))
    x = layers.MaxPooling2D(3, strides=2)(x)
    for stage, widths in ((2, (64, 64, 256)), (3, (128, 128, 512))):
        x = block(x, widths, f"{stage}_conv", projects=True)
        x = block(x, widths, f"{stage}_identity_1", projects=False)
        x = block(x, widths, f"{stage}_identity_2", projects=False)
    if task == "emotion":
        x = layers.Flatten()(layers.AveragePooling2D(4)(x))
        return keras.Model(image, layers.Dense(5, name="Dense_final")(x))
    x = layers.Flatten()(layers.AveragePooling2D(2)(x))
    x = layers.Dropout(0.2)(layers.Dense(4096, activation="relu")(x))
    x = layers.Dropout(0.1)(layers.Dense(2048, activation="relu")(x))
    return keras.Model(image, layers.Dense(30, activation="relu")(x))


# %% [markdown]
# ## Carry the weights over
#
# Keras saves them as `.h5`: a tree of named arrays. We read only the arrays and run no
# code from the file; then each goes where its name belongs. Untrained networks would
# make it easy (their biases are zero), so all their numbers are first drawn at random.


# %%
def randomise(model, seed):
    """Random numbers in every array, the running means and variances too."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if len(variable.shape) > 1:
            size = np.prod(variable.shape[:-1]) ** -0.5
            variable.assign(rng.normal(0, size, variable.shape))
        else:
            variable.assign(rng.uniform(0.1, 0.5, variable.shape))


def ours(task, path):
    """Our variables, each from the file."""
    given = keras_weights.read(path)
    shapes = by_path(SHAPES[task])
    assert {k: v.shape for k, v in given.items()} == {
        k: v.shape for k, v in shapes.items()
    }
    leaves = [jnp.asarray(given[name]) for name in shapes]
    return jax.tree.unflatten(jax.tree.structure(SHAPES[task]), leaves)


grays = (split.faces["image"][:8] / 255).astype(np.float32)  # as the course has them
apart = {}
for task in TASKS if keras else ():
    model = course(task)
    randomise(model, seed=1)
    model.save(OUT / f"{task}.h5")
    theirs = np.asarray(model.predict_on_batch(grays))
    network, variables = NETWORKS[task], ours(task, OUT / f"{task}.h5")
    answer = jax.jit(network.apply)(variables, standardise(jnp.asarray(grays)))[task]
    answer = np.asarray(answer).reshape(theirs.shape)
    apart[task] = np.abs(answer - theirs).max() / np.abs(theirs).max()
    print(f"{task:10} {model.count_params():>12,} parameters in Keras, ", end="")
    print(f"answers at most {apart[task]:.1e} of the largest apart")
    assert model.count_params() == counts[task]
    plt.figure("answers", figsize=(9, 3), layout="constrained")
    axis = plt.subplot(1, 2, len(apart), title=f"{task}: every output for 8 faces")
    axis.plot(theirs.ravel(), answer.ravel(), "o", color=charts.PALETTE[0], ms=4)
    axis.axline((0, 0), slope=1, color=charts.PALETTE[1], lw=1)
    axis.set(xlabel="in Keras", ylabel="here")
plt.show()

# %% [markdown]
# Some of the names, side by side:

# %%
names = ["conv1", "bn_conv1", "res_2_conv_a", "res_2_conv_copy", "bn_3_identity_2_c"]
places = {name: keras_weights.place(name) for name in names}
print(pd.Series(places).to_string())

# %% [markdown]
# ## Your own weights
#
# Name your file in the settings above. Here its emotion network is evaluated as it is,
# by the same `Evaluator` as our own networks; to keep training it, start a run from it:
#
# ```sh
# python -m emotion_jax.train --config configs/course_emotion.py --workdir runs/mine \
#     --data fer2013=icml_face_data.csv --config.init_from=FacialExpression_weights.hdf5
# ```
#
# A word of caution: if you trained on a random split of that file, its test faces are
# among your training faces, and any accuracy on them is too good.

# %%
if WEIGHTS or keras:
    path = WEIGHTS or OUT / "emotion.h5"
    evaluator = Evaluator(
        TASKS["emotion"], {"name": "course"}, sharding.make_mesh(), 64
    )
    outputs = evaluator.run(ours("emotion", path), split.faces["image"])
    accuracy = evaluator.report(outputs, split)["emotion/accuracy"]
    print(
        f"{Path(path).name} on {len(split):,} faces: accuracy {accuracy:.3f}", end=" "
    )
    print("" if WEIGHTS else "(random weights guess: one in five is what they deserve)")

# %% [markdown]
# **What this lesson claims**, measured just now: with the same numbers in every array,
# the course's networks answer here as in Keras, to within a hundred-thousandth of the
# largest answer.

# %%
for task, difference in apart.items():
    assert difference < 1e-5, (task, difference)
print(f"{len(apart)} of {len(TASKS)} networks compared with Keras")
