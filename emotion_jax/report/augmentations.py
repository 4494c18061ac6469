"""One face under each augmentation, points drawn: mistakes show at a glance.

  python -m emotion_jax.report.augmentations --out augmentations.png
  python -m emotion_jax.report.augmentations --out mine.png --config configs/fer5.py \\
      --config.augment.rotate.degrees=30
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from emotion_jax import cli
from emotion_jax.config import check_config
from emotion_jax.data.augment import AUGMENTATIONS, make_augment
from emotion_jax.data.mixing import MIXING
from emotion_jax.data.photometry import SHAPES
from emotion_jax.data.splits import make_split
from emotion_jax.data.synthetic import read
from emotion_jax.data.table import Faces, Split
from emotion_jax.errors import Mistake
from emotion_jax.report import mosaic
from emotion_jax.step import normalise
from emotion_jax.tasks import Task, make_tasks

SAMPLES, SIDE = 5, 96
# Stronger settings for augmentations that would otherwise hardly show on the sheet.
SHOWN = {
    "cutout": tuple({"shape": name} for name in SHAPES),
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
    faces: Faces, tasks: Mapping[str, Task], section: Mapping, samples: int
) -> Faces:
    """All faces augmented, `samples` times in a row; mixing uses the face before."""
    n = len(faces["image"])
    order = np.tile(np.arange(n), samples)
    batch = jax.tree.map(lambda table: jnp.asarray(table[order]), dict(faces))
    epoch = np.repeat(np.arange(samples, dtype=np.float32), n)
    batch |= {"row": jnp.asarray(order), "epoch": jnp.asarray(epoch)}
    batch["image"] = normalise(batch["image"])
    found = jax.jit(make_augment(tasks, section))(jax.random.key(0), batch)
    found["image"] = jnp.round(255 * found["image"]).astype(jnp.uint8)
    return Faces(**{field: jax.device_get(found[field]) for field in faces})


def marks(faces: Faces, tasks: Mapping[str, Task]) -> dict:
    """What a mosaic draws on the faces: the points of every task of points."""
    labels, known = faces["labels"], faces["known"]
    names = {n: task.names for n, task in tasks.items() if task.kind == "points"}
    return mosaic.marks([(names[n], labels[n], known[n]) for n in names])


def join(parts: Sequence[Faces]) -> Faces:
    """Joins several tables of faces."""
    return jax.tree.map(lambda *tables: np.concatenate(tables), *parts)


def draw(path: Path, faces: Faces, tasks: Mapping[str, Task], shown: Mapping) -> None:
    """Draws the sheet: SAMPLES draws of the first face under each of `shown`."""
    two = jax.tree.map(lambda table: table[:2], faces)  # the second is for mixing
    parts = []
    for section in shown.values():
        found = augmented(two, tasks, section, SAMPLES)
        parts.append(jax.tree.map(lambda table: table[::2], found))
    captions = [text for title in shown for text in (title, *[""] * (SAMPLES - 1))]
    table = join(parts)
    mosaic.draw(
        path,
        table["image"],
        captions,
        columns=2 * SAMPLES,
        group=SAMPLES,
        tile=88,
        **marks(table, tasks),
    )


def draw_faces(path: Path, split: Split, tasks: Mapping[str, Task], section: Mapping):
    """Draws some faces of a split unchanged, and augmented ones below each."""
    chosen = mosaic.evenly(np.arange(len(split)), mosaic.COLUMNS)
    faces = jax.tree.map(lambda table: table[chosen], split.faces)
    table = join([faces, augmented(faces, tasks, section, SAMPLES)])
    captions = mosaic.named(split.rows, split.extra, chosen)
    captions += [""] * (SAMPLES * len(chosen))
    columns = len(chosen)
    mosaic.draw(path, table["image"], captions, columns=columns, **marks(table, tasks))


def main(args: list[str]) -> None:
    """The binary."""
    parser = cli.Parser("python -m emotion_jax.report.augmentations", __doc__)
    parser.add_argument("--out", type=cli.here, required=True, metavar="FILE.png")
    flags, config = parser.parse_with_config(args, "its augmentation", required=False)
    if flags.out.suffix != ".png":
        raise Mistake(f"--out {flags.out} must be the name of a PNG file, as faces.png")
    cli.check_folder("--out", flags.out.parent, (flags.out.name,))
    shown = rows()
    if config is not None:
        check_config(config)
        shown = {n: {n: s} for n, s in config.augment.to_dict().items()}
        shown["all of them"] = config.augment.to_dict()
    raw = read(faces=40, seed=3)
    tasks = make_tasks({name: {} for name in raw.labels})
    split = make_split(raw, "all", tasks, SIDE)
    flags.out.parent.mkdir(parents=True, exist_ok=True)
    draw(flags.out, split.faces, tasks, shown)
    print(f"written to {flags.out}")


if __name__ == "__main__":
    cli.main(main)
