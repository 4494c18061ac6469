"""Predictions as files: predictions.csv and .json, and Kaggle's form."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from emotion_jax import files
from emotion_jax.data.image import PREPROCESSING
from emotion_jax.errors import Mistake, first_line
from emotion_jax.inference import Predictions
from emotion_jax.photo.inputs import Crop

BOX = ("face_x", "face_y", "face_width", "face_height")


def write_csv(path: Path, crops: Sequence[Crop], found: Predictions) -> None:
    """Writes one row per face."""
    import pandas  # takes a while to import

    columns = {"image": [crop.image for crop in crops]}
    columns |= {name: [c.box[k] for c in crops] for k, name in enumerate(BOX)}
    if found.emotion is not None:
        columns["emotion"] = found.top
        for name, values in zip(found.classes, found.emotion.T, strict=True):
            columns[f"p_{name}"] = values
    if found.keypoints is not None:
        for p, name in enumerate(found.points):
            for axis, values in zip("xy", found.keypoints[:, p].T, strict=True):
                columns[f"{name}_{axis}"] = values
    with files.whole(path) as partial:
        pandas.DataFrame(columns).to_csv(partial, index=False, float_format="%.6f")


def write_json(
    path: Path, crops: Sequence[Crop], found: Predictions, about: Mapping
) -> None:
    """Writes the same by name, and what else there is to say about the run."""
    faces = []
    for i, crop in enumerate(crops):
        face = {"image": crop.image, "box": crop.box}
        if crop.score is not None:
            face["score"] = round(crop.score, 4)
        if found.emotion is not None:
            face["emotion"] = found.top[i]
            shares = (round(float(p), 6) for p in found.emotion[i])
            face["probabilities"] = dict(zip(found.classes, shares, strict=True))
        if found.keypoints is not None:
            points = found.keypoints[i].astype(float).round(4).tolist()
            face["keypoints"] = dict(zip(found.points, points, strict=True))
        faces.append(face)
    about = {
        **about,
        "classes": found.classes,
        "points": found.points,
        "preprocessing": PREPROCESSING.format(side="side"),
    }
    lines = ",\n".join(json.dumps(face) for face in faces)
    with files.whole(path) as partial:
        head = json.dumps(about, indent=2).removesuffix("\n}")
        partial.write_text(f'{head},\n  "faces": [\n{lines}\n]\n}}\n')


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
