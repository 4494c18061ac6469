"""Pack a checkpoint into the weights that ship, with their measured results.

  python launch/pack_pretrained.py runs/combined pretrained \\
      --on fer2013=fer2013.csv PublicTest --on keypoints=keypoints_val.csv all
  python launch/pack_pretrained.py runs/keypoints pretrained:keypoints \\
      --on keypoints=keypoints_val.csv all

The parameters are rounded to half precision and evaluated that way: the numbers go into
the file and onto the model card, and are printed beside those in full precision.
"""

import copy
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from emotion_jax import (
    bucket,
    cli,
    data,
    evaluate,
    files,
    logs,
    pretrained,
    sharding,
)
from emotion_jax.data import OWN_FIELDS
from emotion_jax.data.image import resize
from emotion_jax.data.table import Split
from emotion_jax.errors import Mistake
from emotion_jax.evaluator import Restored, restore
from emotion_jax.meta import Meta
from emotion_jax.report import card
from emotion_jax.scores import Numbers
from emotion_jax.tasks import offset
from emotion_jax.tasks.points import FRAME
from emotion_jax.trees import by_path
from emotion_jax.views import Outputs

SAMPLE = {"faces": 10, "seed": 7}  # drawn faces packed with the network's answers
TERMS = {
    "fer2013": "FER2013, the ICML 2013 challenge's: faces from web searches, whose "
    "terms are stated nowhere.",
    "keypoints": "The keypoint faces are video frames of the YouTube Faces set with "
    "labels made by machine, or Kaggle's; the terms of both are stated nowhere.",
    "synthetic": "Synthetic faces, drawn by emotion_jax.",
    "folder": "Images of whoever trained it, in a folder for each class.",
}
RESEARCH = "So these weights are for research and teaching only."
SHIPS = """
## As it ships

`weights.safetensors`, {size:,} bytes, of float16, sha256 of the contents
{sha256}. Trained as {run} with emotion_jax at commit {commit} on {devices}, jax {jax}.
The results above are of these rounded parameters; those in full precision give, of
{compared}.
Runs that the recipe names, as a start or as teachers, are in launch/results/runs.md.
"""
COMPARED = ("accuracy", "macro_f1", "ece", "rmse_px")


def halve(restored: Restored) -> pretrained.Arrays:
    """The parameters by path, in half precision.

    Raises:
      Mistake: a parameter is too large for it.
    """
    found = by_path(jax.device_get(restored.variables))
    for path, array in found.items():
        if abs(array).max() > np.finfo(np.float16).max:
            raise Mistake(f"{path} does not fit into half precision")
    return {path: np.asarray(array, np.float16) for path, array in found.items()}


def names_of(runs: str | Sequence[str]) -> str | list[str]:
    """The runs that a config's field names, without their folders."""
    if isinstance(runs, str):
        return Path(runs).name
    return [Path(run).name for run in runs]


def habits(restored: Restored) -> tuple[str, ...]:
    """To which side the labels, and so the network's points, are shifted."""
    found = offset.learnt(restored.tasks, restored.variables["params"], FRAME)
    return tuple(
        f"The labels of {name} lie {x:.1f} pixels, of {FRAME} across the face, to the "
        "right of what the picture shows, and so do the points that the network finds."
        for name, (x, _) in found.items()
    )


def public(meta: Meta, further: Sequence[str] = ()) -> Meta:
    """The checkpoint's metadata without its paths, plus the data's terms."""
    config = copy.deepcopy(meta.config)
    config["init_from"] = names_of(config["init_from"])
    for task in config["tasks"].values():
        if "teachers" in task:
            task["teachers"] = names_of(task["teachers"])
    sources = config["data"]["sources"]
    for section in sources.values():
        for field in (*OWN_FIELDS, "votes"):
            section.pop(field, None)
    said = meta.data or tuple(sources)
    terms = tuple(TERMS[source] for source in sources)
    said = (*said, *further, *terms, RESEARCH)
    return dataclasses.replace(meta, config=config, data=said)


def rounded(restored: Restored, half: pretrained.Arrays, folder: Path) -> Restored:
    """The network as it will be loaded from this folder."""
    whole = sharding.whole(restored.evaluator.mesh)
    variables = sharding.place(pretrained.variables(half), whole)
    meta = public(restored.meta, habits(restored))
    return dataclasses.replace(restored, folder=folder, meta=meta, variables=variables)


def sample(ships: Restored) -> pretrained.Arrays:
    """A few faces, and the network's answers on this machine."""
    drawn = data.load("synthetic", **SAMPLE).image
    image = resize(drawn, ships.meta.side)
    answers = ships.evaluator.run(ships.variables, image)
    return {f"sample/{name}": array for name, array in answers.items()} | {
        "sample/image": image
    }


def where_trained(restored: Restored) -> dict:
    """The run, its step, its commit and its machine."""
    workdir = restored.folder.parents[1]
    try:
        environment = json.loads((workdir / "env.json").read_text())
    except (OSError, ValueError):
        raise Mistake(f"{bucket.origin(workdir)} has no env.json to tell of") from None
    return {"run": restored.title} | environment


def compare(plain: Restored, outputs: Outputs, split: Split, found: Numbers) -> list:
    """What half precision costs on a split: both precisions' numbers, printed."""
    before = plain.evaluator.run(plain.variables, split.faces["image"])
    numbers = plain.evaluator.report(before, split)
    apart = max(float(np.abs(before[name] - outputs[name]).max()) for name in before)
    logs.say(f"{split.source} {split.name}: outputs differ by at most {apart:.2g}")
    keys = [f"{name}/{key}" for name in plain.tasks for key in COMPARED]
    keys = [key for key in keys if found.get(key) is not None]
    for key in keys:
        logs.say(f"  {key}: {numbers[key]:.6f} in float32, {found[key]:.6f} as shipped")
    return [f"{key} {numbers[key]:.5f}" for key in keys]


def pack(restored: Restored, name: str, on: Sequence[tuple[str, str]]) -> Path:
    """Writes the weights and their card; returns the folder."""
    folder, about = pretrained.folder_of(name), {"run": where_trained(restored)}
    half = halve(restored)
    ships = rounded(restored, half, folder)
    splits = [evaluate.load_splits(ships, [faces], split)[0] for faces, split in on]
    results, full = [], []
    for split in splits:
        outputs, found = evaluate.numbers_of(ships, split, tta=True)
        results.append((split, found))
        full += compare(restored, outputs, split, found)
    about["meta"] = dataclasses.asdict(ships.meta)
    about["results"] = [evaluate.record(*one) for one in results]
    arrays = half | sample(ships)
    pretrained.write(folder, about, arrays)
    told = about["run"] | {"jax": about["run"]["packages"]["jax"]}
    said = SHIPS.format(
        **told | {"devices": f"{len(told['devices'])} x {told['devices'][0]}"},
        size=(folder / pretrained.FILE).stat().st_size,
        sha256=pretrained.digest(arrays, about),
        compared=", ".join(full),
    )
    files.write_text(folder / pretrained.CARD, card.card(ships, results) + said)
    return folder


def main(args: list[str]) -> None:
    """The packing."""
    parser = cli.Parser("python launch/pack_pretrained.py", __doc__)
    add = parser.add_argument
    add("checkpoint", metavar="X", help="a workdir, or a step in it")
    add("name", help="pretrained, pretrained:keypoints, pretrained:emotion7")
    add("--on", nargs=2, action="append", required=True, metavar=("DATA", "SPLIT"))
    flags = parser.parse(args)
    if not pretrained.is_name(flags.name):
        raise Mistake(f"{flags.name!r} is no name of weights that ship: pretrained:...")
    if pretrained.is_name(flags.checkpoint):
        raise Mistake(f"{flags.checkpoint} is packed already; name its workdir")
    folder = pack(restore(flags.checkpoint, "X"), flags.name, flags.on)
    pretrained.read(flags.name)  # checks that what was written can be read
    print(f"written to {folder}: {pretrained.FILE}, {pretrained.CARD}")


if __name__ == "__main__":
    cli.main(main)
