"""One face under each augmentation, points drawn: a wrong one is seen at a glance.

python -m emotion_jax.report.augmentations --out augmentations.png
python -m emotion_jax.report.augmentations --out mine.png --config configs/fer5.py
"""

from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from emotion_jax import cli
from emotion_jax.data.augment import AUGMENTATIONS, make_augment
from emotion_jax.data.mixing import MIXING
from emotion_jax.data.prepare import prepare
from emotion_jax.data.synthetic import read
from emotion_jax.data.table import Faces
from emotion_jax.step import normalise
from emotion_jax.tasks import Task, make_tasks

SAMPLES, SIDE = 5, 96
# What the sheet shows of an augmentation that would else hide or hardly show.
SHOWN = {
    "cutout": ({"shape": s} for s in ("square", "circle", "band", "checks")),
    "rotate": ({"degrees": 20.0},),
    "shear": ({"degrees": 20.0},),
    "blur": ({"sigma": 2.0},),
    "noise": ({"std": 0.15},),
    "mixup": ({"alpha": 1.0},),
}
POLICIES = {
    "policy: all of six, mild": {
        "flip": {},
        "rotate": {"degrees": 10.0},
        "zoom": {},
        "translate": {"fraction": 0.06},
        "contrast": {},
        "erase": {"probability": 0.3},
    },
    "policy: two of all": {
        "policy": {"count": 2},
        **{
            name: {} for name in AUGMENTATIONS if name not in (*MIXING, "flip_vertical")
        },
    },
}


def rows() -> dict[str, dict]:
    """What each row of the sheet shows: a title, and a config's `augment` section."""
    found = {}
    for name in AUGMENTATIONS:
        for options in SHOWN.get(name, ({},)):
            title = " ".join([name, *map(str, options.values())])
            found[title] = {name: {"probability": 1.0} | options}
    return found | POLICIES


def augmented(
    faces: Faces, tasks: Mapping[str, Task], section: Mapping, seed: int = 0
) -> dict:
    """SAMPLES draws of the first face; the others are there to be mixed with it."""
    order = np.tile([1, 0], SAMPLES)  # who is mixed takes the one before
    batch = jax.tree.map(lambda table: jnp.asarray(table[order]), dict(faces))
    epoch = np.repeat(np.arange(SAMPLES, dtype=np.float32), 2)
    batch |= {"row": jnp.asarray(order), "epoch": jnp.asarray(epoch)}
    batch["image"] = normalise(batch["image"])
    augment = make_augment(tasks, section)
    found = jax.jit(augment)(jax.random.key(seed), batch)
    return jax.tree.map(lambda x: np.asarray(x)[1::2], found)


def draw(path: Path, faces: Faces, tasks: Mapping[str, Task], shown: Mapping) -> None:
    """The sheet: a row for each of `shown`, in two columns of rows."""
    from matplotlib.figure import Figure  # only who draws pays for the import

    height, wide = -(-len(shown) // 2), SAMPLES + 2
    figure = Figure(figsize=(wide * 1.5, height * 0.78))
    grid = figure.subplots(height, 2 * wide, gridspec_kw={"wspace": 0, "hspace": 0.04})
    figure.subplots_adjust(0.0, 0.0, 1.0, 1.0)
    for axis in grid.ravel():
        axis.axis("off")
    for i, (title, section) in enumerate(shown.items()):
        line = grid[i % height, i // height * wide :][:wide]
        line[1].text(0.9, 0.5, title, ha="right", va="center", fontsize=8, wrap=True)
        found = augmented(faces, tasks, section)
        for k, axis in enumerate(line[2:]):
            axis.imshow(found["image"][k, :, :, 0], cmap="gray", vmin=0, vmax=1)
            axis.set(autoscale_on=False)
            for name, task in tasks.items():
                if task.kind == "points":
                    points = found["labels"][name][k][found["known"][name][k]]
                    left = [n.startswith("left") for n in task.names]
                    for side, color in ((True, "#0a84ff"), (False, "#35c759")):
                        mine = np.equal(left, side)[found["known"][name][k]]
                        axis.plot(*points[mine].T, ".", color=color, markersize=3)
    figure.savefig(path, dpi=90)
    with Image.open(path) as picture:  # a quarter of the bytes
        picture.convert("RGB").quantize(64).save(path, optimize=True)


def main(args: list[str]) -> None:
    """The binary."""
    parser = cli.Parser("report.augmentations", __doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    parser.add_argument("--config", metavar="configs/NAME.py", help="its augmentation")
    flags = parser.parse(args)
    shown = rows()
    if flags.config:
        config = cli.load_config(flags.config, [])
        shown = {n: {n: s} for n, s in config.augment.to_dict().items()}
        shown["all of them"] = config.augment.to_dict()
    tasks = make_tasks({"emotion": {}, "keypoints": {}})
    split = prepare(read(faces=40, seed=3), "all", tasks, SIDE)
    draw(flags.out, split.faces, tasks, shown)
    print(f"written to {flags.out}")


if __name__ == "__main__":
    cli.main(main)
