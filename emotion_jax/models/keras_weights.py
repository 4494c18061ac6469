"""The course's weights, as its Keras notebooks save them, for its networks here.

`--config.init_from=FacialExpression_weights.hdf5` starts a run of course_emotion from
them; the same works for course_keypoints. The file is read as arrays; nothing in it is
executed.
"""

import re
from pathlib import Path

import numpy as np

from emotion_jax.errors import Mistake, first_line

SUFFIXES = (".h5", ".hdf5")
STEM = {"conv1": "trunk/stem", "bn_conv1": "trunk/stem_norm"}
BLOCK = re.compile(r"(res|bn)_([23])_(conv|identity_1|identity_2)_(a|b|c|copy)")
BLOCKS = {"conv": 1, "identity_1": 2, "identity_2": 3}
# Keras's name of an array, and its place in ours.
ARRAYS = {
    "kernel": ("params", "kernel"),
    "bias": ("params", "bias"),
    "gamma": ("params", "scale"),
    "beta": ("params", "bias"),
    "moving_mean": ("batch_stats", "mean"),
    "moving_variance": ("batch_stats", "var"),
}
DENSE = {4096: "dense4096", 2048: "dense2048", 30: "output", 5: "output"}


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Every array of the file by its path here, such as params/trunk/stem/kernel.

    Raises:
      Mistake: it is not such a file, or is one for another network.
    """
    layers = read_layers(path)
    widths = {
        name: arrays["bias"].size if "bias" in arrays else 0
        for name, arrays in layers.items()
        if not place(name)
    }
    strange = [name for name, width in widths.items() if width not in DENSE]
    if strange or not widths or len(widths) == len(layers):
        raise Mistake(
            f"{path} holds layers called {', '.join(sorted(strange or layers)[:3])}; "
            "expected the course's: conv1, res_2_conv_a and so on, and dense ones"
        )
    task = "keypoints" if 30 in widths.values() else "emotion"
    found = {}
    for name, arrays in layers.items():
        home = place(name) or f"heads_{task}/{DENSE[widths[name]]}"
        for weight, array in arrays.items():
            collection, leaf = ARRAYS[weight]
            found[f"{collection}/{home}/{leaf}"] = array
    return found


def place(layer: str) -> str:
    """The path of the module here for a layer of the trunk; "" for a dense layer."""
    if layer in STEM:
        return STEM[layer]
    if not (match := BLOCK.fullmatch(layer)):
        return ""
    kind, stage, block, branch = match.groups()
    name = "skip" if branch == "copy" else branch
    norm = "_norm" if kind == "bn" else ""
    return f"trunk/stage{int(stage) - 1}_block{BLOCKS[block]}/{name}{norm}"


def read_layers(path: str | Path) -> dict[str, dict[str, np.ndarray]]:
    """Each layer's arrays by their names in Keras; the file may hold a whole model."""
    try:
        import h5py
    except ImportError:
        raise Mistake(f"{path} needs h5py: pip install h5py") from None

    layers: dict[str, dict[str, np.ndarray]] = {}

    def take(name: str, node) -> None:
        weight = name.rpartition("/")[2].removesuffix(":0")
        if isinstance(node, h5py.Dataset) and weight in ARRAYS:
            array = np.asarray(node[()], np.float32)
            layers.setdefault(name.partition("/")[0], {})[weight] = array

    try:
        with h5py.File(path, "r") as file:
            file.get("model_weights", file).visititems(take)
    except Exception as error:  # h5py raises all kinds of errors for a damaged file
        reason = first_line(error)
        raise Mistake(f"{path} is no file of Keras weights: {reason}") from None
    return layers
