"""The prepared sets as TensorFlow Datasets builders, without TensorFlow.

Importing this module registers them: tfds.builder("fer2013", path="fer2013.csv"). The
features depend on the file (side, classes, people), so the builder gets the path when
it is created; TFDS's manual_dir would come too late.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Int64

from emotion_jax import data
from emotion_jax.data import prepared
from emotion_jax.data.splits import partition
from emotion_jax.data.table import POINTS, Raw
from emotion_jax.errors import Mistake


class FaceSet(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A source's faces, in the file's own splits, or else in train, val and test."""

    VERSION = tfds.core.Version(prepared.VERSION)
    RELEASE_NOTES = {"1.0.0": "First version."}
    SOURCE = DESCRIPTION = HOMEPAGE = CITATION = ""
    url_infos = None  # nothing is downloaded; TFDS's own needs a missing package

    def __init__(self, *, path: str | None = None, raw: Raw | None = None, **kwargs):
        """Takes the faces from a file, or already read; with neither it only reads.

        Args:
          path: as in `--data SOURCE=PATH`; "" for synthetic_faces.
        """
        self.raw = raw if path is None else data.load(self.SOURCE, path)
        super().__init__(**{"file_format": "array_record"} | kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        given = {}
        if self.raw:
            usage = None if self.raw.usage is None else self.raw.usage.dtype.str
            given["features"] = features(self.raw)
            given["metadata"] = tfds.core.MetadataDict(usage=usage)
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.DESCRIPTION,
            homepage=self.HOMEPAGE,
            citation=self.CITATION,
            disable_shuffling=True,  # keep the order of the file
            **given,
        )

    def _split_generators(self, dl_manager: object) -> dict[str, Iterator]:
        if not self.raw:
            raise Mistake(f"{self.name} is made of a file: give the builder its path=")
        parts = partition(self.raw)
        return {name: self._generate_examples(rows) for name, rows in parts.items()}

    def _generate_examples(self, rows: Int64[np.ndarray, " n"]) -> Iterator:
        columns = self.columns()
        for row in rows.tolist():
            yield row, {name: column[row] for name, column in columns.items()}

    def columns(self) -> dict[str, np.ndarray]:
        """Each feature's values by row."""
        raw = self.raw
        found = {"image": raw.image, "row": np.arange(len(raw.image))} | raw.extra
        if "emotion" in raw.labels:
            found["emotion"] = raw.labels["emotion"].argmax(1)
        if "keypoints" in raw.labels:
            found["keypoints"] = raw.labels["keypoints"]
            found["keypoints_known"] = raw.known["keypoints"]
        if raw.person is not None:
            found["person"] = raw.person
        return found


def features(raw: Raw) -> tfds.features.FeaturesDict:
    """What is known about each face; arrays as bytes, which load fastest."""

    def array(shape: tuple[int, ...], dtype: object, doc: str) -> tfds.features.Tensor:
        return tfds.features.Tensor(shape=shape, dtype=dtype, encoding="bytes", doc=doc)

    found = {
        "image": array(raw.image.shape[1:], np.uint8, "gray"),
        "row": tfds.features.Scalar(np.int64, doc="the face's place in the file"),
    }
    if "emotion" in raw.labels:
        found["emotion"] = tfds.features.ClassLabel(names=raw.names["emotion"])
    if "keypoints" in raw.labels:
        doc = "x, y in pixels, (0, 0) in the middle of the first; 0 where unknown"
        found["keypoints"] = array((len(POINTS), 2), np.float32, doc)
        found["keypoints_known"] = array((len(POINTS),), np.bool_, ", ".join(POINTS))
    if raw.person is not None:
        found["person"] = tfds.features.Text(doc="nobody is in two splits")
    for name, value in raw.extra.items():
        found[name] = array((), value.dtype, "")
    return tfds.features.FeaturesDict(found)


class Fer2013(FaceSet):
    """FER2013."""

    SOURCE = "fer2013"
    DESCRIPTION = (
        "Gray faces of 48 x 48 pixels from a web search, each with one of seven "
        "emotions, or of the five that a course took from them. The set is made of a "
        "CSV file that the user has (emotion, pixels, and perhaps Usage)."
    )
    HOMEPAGE = "https://www.kaggle.com/competitions/challenges-in-representation-learning-facial-expression-recognition-challenge"
    CITATION = """\
@inproceedings{goodfellow2013challenges,
  title={Challenges in Representation Learning:
    A report on three machine learning contests},
  author={Goodfellow, Ian J. and Erhan, Dumitru and Carrier, Pierre Luc and
    Courville, Aaron and others},
  booktitle={International Conference on Neural Information Processing},
  year={2013},
  note={arXiv:1307.0414}
}"""


class FacialKeypoints(FaceSet):
    """Kaggle's Facial Keypoints."""

    SOURCE = "keypoints"
    DESCRIPTION = (
        "Gray faces of 96 x 96 pixels with up to fifteen keypoints, in Kaggle's order. "
        "The set is made of a CSV file that the user has: thirty coordinates, Image, "
        "and perhaps person. The course's file has 72,249,264 bytes and the sha256 "
        "0249e1725de59180ad50a4d48f1ff7b28931f6b3e45e5b1ec2dd18c5d9d3d67a."
    )
    HOMEPAGE = "https://www.kaggle.com/competitions/facial-keypoints-detection"
    CITATION = """\
@misc{facial-keypoints-detection,
  title={Facial Keypoints Detection},
  author={Petterson, James and Cukierski, Will},
  year={2013},
  howpublished={https://kaggle.com/competitions/facial-keypoints-detection}
}"""


class SyntheticFaces(FaceSet):
    """Faces drawn by code."""

    SOURCE = "synthetic"
    DESCRIPTION = (
        "Gray faces drawn by emotion_jax: one of five emotions, its intensity, and "
        "fifteen exact keypoints."
    )


BUILDERS = {cls.SOURCE: cls for cls in (Fer2013, FacialKeypoints, SyntheticFaces)}
