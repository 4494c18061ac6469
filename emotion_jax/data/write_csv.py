"""Synthetic faces in the CSV forms of FER2013, the course and Kaggle.

  python -m emotion_jax.data.write_csv faces
  python -m emotion_jax.data.write_csv faces --faces 5000 --seed 1

For trying the readers, or your own tools, without anybody's photos.
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from emotion_jax import cli, files
from emotion_jax.data.image import resize
from emotion_jax.data.keypoints import COORDINATES
from emotion_jax.data.synthetic import read

# FER2013's numbers for FIVE (the course numbers them as we do), and its split names.
FER2013 = (0, 1, 4, 3, 5)
USAGE = {"train": "Training", "val": "PublicTest", "test": "PrivateTest"}


def write_csv(out: Path, faces: int = 1000, seed: int = 0) -> None:
    """Writes the same faces as three files: FER2013's, the course's and Kaggle's."""
    raw = read(faces=faces, seed=seed)
    emotion = raw.labels["emotion"].argmax(1)
    small = list(map(pixels, resize(raw.image, 48)))
    points = raw.labels["keypoints"].reshape(faces, -1)
    tables = {
        "fer2013.csv": ["emotion,pixels,Usage"]
        + [
            f"{FER2013[k]},{image},{USAGE[usage]}"
            for k, image, usage in zip(emotion, small, raw.usage, strict=True)
        ],
        "icml_face_data.csv": ["emotion, pixels"]
        + [f"{k},{image}" for k, image in zip(emotion, small, strict=True)],
        "keypoints.csv": [",".join([*COORDINATES, "Image"])]
        + [
            ",".join([*(f"{value:.6f}" for value in row), pixels(image)])
            for row, image in zip(points, raw.image, strict=True)
        ],
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        files.write_text(out / name, "\n".join(rows) + "\n")


def pixels(image: UInt8[np.ndarray, "h w 1"]) -> str:
    """An image as one value of a CSV."""
    return " ".join(map(str, image.ravel()))


def main(args: list[str]) -> None:
    """The binary."""
    parser = cli.Parser("python -m emotion_jax.data.write_csv", __doc__)
    parser.add_argument("out", type=cli.here, metavar="DIR", help="created if missing")
    parser.add_argument(
        "--faces", type=int, default=1000, metavar="N", help="default: 1000"
    )
    parser.add_argument("--seed", type=int, default=0, help="which faces are drawn")
    flags = parser.parse(args)
    cli.check_folder("DIR", flags.out, ("*.csv",))
    write_csv(flags.out, flags.faces, flags.seed)
    names = "fer2013.csv, icml_face_data.csv and keypoints.csv"
    print(f"{flags.faces} faces (seed {flags.seed}): {names} in {flags.out}")


if __name__ == "__main__":
    cli.main(main)
