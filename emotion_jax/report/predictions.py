"""Predictions as files: predictions.csv and .json, and Kaggle's form."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from emotion_jax import files
from emotion_jax.data.image import PREPROCESSING
from emotion_jax.errors import Mistake, first_line
from emotion_jax.inference import Answer, Predictions
from emotion_jax.photo.inputs import Crop
from emotion_jax.tasks import alone

BOX = ("face_x", "face_y", "face_width", "face_height")


def write_csv(path: Path, crops: Sequence[Crop], found: Predictions) -> None:
    """Writes one row per face."""
    import pandas  # takes a while to import

    table = pandas.DataFrame(columns(crops, found))
    with files.whole(path) as partial:
        table.to_csv(partial, index=False, float_format="%.6f")


def columns(crops: Sequence[Crop], found: Predictions) -> dict[str, Sequence]:
    """The table: each face's image and box, then the classes, then the points.

    A task's name stands in a column's name only where it is needed to tell two apart.
    """
    made = {"image": [crop.image for crop in crops]}
    made |= {name: [c.box[k] for c in crops] for k, name in enumerate(BOX)}
    chosen = found.of_kind("classes")
    for task, answer in chosen.items():
        made[task] = answer.top
        whose = f"{task}_" if len(chosen) > 1 else ""
        for name, values in zip(answer.names, answer.values.T, strict=True):
            made[f"p_{whose}{name}"] = values
    for task, answer in found.of_kind("points").items():
        for p, name in enumerate(answer.names):
            whose = f"{task}_" if f"{name}_x" in made else ""
            for axis, values in zip("xy", answer.values[:, p].T, strict=True):
                made[f"{whose}{name}_{axis}"] = values
    return made


def write_json(
    path: Path, crops: Sequence[Crop], found: Predictions, about: Mapping
) -> None:
    """Writes the same by name, and what else there is to say about the run."""
    faces = []
    chosen, placed = found.of_kind("classes"), found.of_kind("points")
    for i, crop in enumerate(crops):
        face = {"image": crop.image, "box": crop.box}
        if crop.score is not None:
            face["score"] = round(crop.score, 4)
        face |= {task: answer.top[i] for task, answer in chosen.items()}
        if chosen:
            shares = {task: named(answer, i, 6) for task, answer in chosen.items()}
            face["probabilities"] = alone(shares)
        face |= {task: named(answer, i, 4) for task, answer in placed.items()}
        faces.append(face)
    about = {
        **about,
        "classes": alone({n: answer.names for n, answer in chosen.items()}),
        "points": alone({n: answer.names for n, answer in placed.items()}),
        "preprocessing": PREPROCESSING.format(side="side"),
    }
    lines = ",\n".join(json.dumps(face) for face in faces)
    with files.whole(path) as partial:
        head = json.dumps(about, indent=2).removesuffix("\n}")
        partial.write_text(f'{head},\n  "faces": [\n{lines}\n]\n}}\n')


def named(answer: Answer, i: int, digits: int) -> dict:
    """A face's probability of each class, or place of each point."""
    values = answer.values[i].astype(float).round(digits).tolist()
    return dict(zip(answer.names, values, strict=True))


@dataclasses.dataclass(frozen=True)
class Lookup:
    """Kaggle's IdLookupTable.csv: which coordinate of which image each row requests."""

    path: str
    row: list[str]
    image: list[str]
    point: np.ndarray  # int64[n]
    axis: np.ndarray  # int64[n]

    def write(
        self, path: Path, at: np.ndarray, crops: Sequence[Crop], found: Predictions
    ) -> None:
        """Writes RowId and Location, kept within the image, as Kaggle takes it."""
        import pandas

        values = found.keypoints[at, self.point, self.axis].astype(np.float64)
        sides = [crops[i].sides[axis] for i, axis in zip(at, self.axis, strict=True)]
        table = {"RowId": self.row, "Location": values.clip(0, sides)}
        with files.whole(path) as partial:
            pandas.DataFrame(table).to_csv(partial, index=False, float_format="%.6f")

    def rows_of(self, crops: Sequence[Crop], bad: Mapping[str, str]) -> np.ndarray:
        """Each row's face, by its ImageId: the most confident, which comes first."""
        index, asked = {}, set(self.image)
        for i, crop in enumerate(crops):
            if crop.number in asked:
                first = crops[index.setdefault(crop.number, i)]
                if (first.file, first.row) != (crop.file, crop.row):
                    raise Mistake(
                        f"--submission {self.path} asks for ImageId {crop.number}, "
                        f"which both {first.file}, row {first.row}, and {crop.file}, "
                        f"row {crop.row}, have"
                    )
        for image in self.image:
            if image not in index:
                raise self.missing(image, bad)
        return np.array([index[image] for image in self.image])

    def missing(self, image: str, bad: Mapping[str, str]) -> Mistake:
        """Why this image has no face."""
        asks = f"--submission {self.path} asks for ImageId {image}, which "
        for name, why in bad.items():
            if name.lower().endswith(f".csv:{image}".lower()):
                return Mistake(
                    f"{asks}has no prediction ({why}); --faces whole takes every image"
                )
        return Mistake(f"{asks}none of the CSVs given has")


def read_lookup(path: str, points: Sequence[str]) -> Lookup:
    """Reads the file for a network with these points."""
    import pandas

    if not points:
        raise Mistake(
            f"--submission {path} asks for keypoints, which no --checkpoint given was "
            "trained to"
        )
    try:
        table = pandas.read_csv(path, dtype=str, keep_default_na=False)
    except OSError as error:
        raise Mistake(f"--submission {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        reason = first_line(error)
        raise Mistake(f"--submission {path} is no CSV file: {reason}") from None
    if absent := [n for n in ("RowId", "ImageId", "FeatureName") if n not in table]:
        raise Mistake(
            f"--submission {path}: expected the columns RowId, ImageId, FeatureName, "
            f"got no {absent[0]}"
        )
    if table.empty:
        raise Mistake(f"--submission {path}: expected rows below the header, got none")
    names = [f"{point}_{axis}" for point in points for axis in "xy"]
    known = table["FeatureName"].isin(names)
    if not known.all():
        line, name = int(np.argmin(known)) + 2, table["FeatureName"][~known].iloc[0]
        raise Mistake(
            f"--submission {path}, line {line}: the network knows no {name[:40]!r}"
        )
    at = np.array([names.index(name) for name in table["FeatureName"]], np.int64)
    return Lookup(path, list(table["RowId"]), list(table["ImageId"]), at // 2, at % 2)
