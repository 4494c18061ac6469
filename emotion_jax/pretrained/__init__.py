"""The weights that ship: networks trained with this package's configs, ready to use.

Each has a folder with its model card and `weights.safetensors`: the parameters in half
precision, a few drawn faces with the network's answers for them, and a header with all
of a checkpoint's metadata, where it was trained, its measured results, and the digest
of all this. Nothing in it is executed. launch/pack_pretrained.py writes them.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from emotion_jax import files
from emotion_jax.errors import Mistake

HERE = Path(__file__).parent
PREFIX, FIRST = "pretrained", "combined"  # `pretrained` alone means that network
FILE, CARD = "weights.safetensors", "model_card.md"

Arrays = dict[str, Shaped[np.ndarray, "..."]]


def is_name(checkpoint: str) -> bool:
    """Whether X is a name of shipped weights, existing or not, rather than a folder."""
    return checkpoint == PREFIX or checkpoint.startswith(f"{PREFIX}:")


def folder_of(name: str) -> Path:
    """The folder where the weights of this name are, or would be."""
    return HERE / (name.removeprefix(PREFIX).removeprefix(":") or FIRST)


def name_of(folder: Path) -> str:
    """The name of the weights in a folder; "" if it is not one of ours."""
    if folder.parent != HERE:
        return ""
    return PREFIX if folder.name == FIRST else f"{PREFIX}:{folder.name}"


def names() -> list[str]:
    """The names of the weights that ship."""
    return sorted(name_of(file.parent) for file in HERE.glob(f"*/{FILE}"))


def read(name: str, flag: str = "--checkpoint") -> tuple[Path, dict, Arrays]:
    """Shipped weights: their folder, their header, and their arrays by path.

    Raises:
      Mistake: there are none of this name, or the file is damaged.
    """
    if name not in names():
        there = ", ".join(names()) or "none"
        raise Mistake(f"{flag} {name}: no such weights ship; there is {there}")
    from safetensors import SafetensorError, safe_open  # rarely needed

    path = folder_of(name) / FILE
    try:
        with safe_open(path, "numpy") as file:
            about = json.loads(file.metadata()["about"])
            arrays = {key: file.get_tensor(key) for key in file.keys()}
        whole = about.pop("sha256") == digest(arrays, about)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise Mistake(f"{flag} {name}: {path} is damaged; install emotion_jax again")
    return path.parent, about, arrays


def variables(arrays: Arrays) -> dict:
    """The network's variables for Flax, without the sample faces and their answers."""
    from flax.traverse_util import unflatten_dict

    mine = {path: a for path, a in arrays.items() if not path.startswith("sample/")}
    return unflatten_dict({p: a.astype(np.float32) for p, a in mine.items()}, sep="/")


def write(folder: Path, about: Mapping[str, Any], arrays: Arrays) -> None:
    """Writes what `read` reads; the same content gives the same bytes."""
    from safetensors.numpy import save  # its save_file makes the file private

    told = dict(about) | {"sha256": digest(arrays, about)}
    folder.mkdir(exist_ok=True)
    with files.whole(folder / FILE) as partial:
        partial.write_bytes(save(arrays, {"about": json.dumps(told)}))


def digest(arrays: Arrays, about: Mapping[str, Any]) -> str:
    """A hash of the arrays' names, types, shapes and bits, and of their metadata."""
    found = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()
