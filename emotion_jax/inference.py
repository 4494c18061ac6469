"""Use from Python: photos or faces in, emotions and keypoints out.

model = emotion_jax.load()
found = model.find("photo.jpg")
found.top, found.emotion, found.keypoints, found.boxes
found.answers["emotion"].values  # the same; every task is there by its name
"""

import dataclasses
import functools
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int, UInt8
from PIL import Image

from emotion_jax import bucket
from emotion_jax.data.image import (
    UNREADABLE,
    gray,
    in_color,
    read_photo,
    reason,
    resize,
)
from emotion_jax.errors import Mistake
from emotion_jax.evaluator import restore
from emotion_jax.photo import detect, inputs
from emotion_jax.photo.inputs import Crop
from emotion_jax.scores import softmax
from emotion_jax.tasks import TASKS, listed

NARROWEST = 16  # pixels; an image's last axis below it is colors


@dataclasses.dataclass(frozen=True)
class Answer:
    """One task's answer for n images.

    Attributes:
      kind: the task's: `classes` or `points`.
      names: of its classes or points.
      values: probabilities after temperature; or x, y in pixels of the image or photo
        as given, the centre of its top-left pixel at (0, 0).
    """

    kind: str = ""
    names: tuple[str, ...] = ()
    values: Float32[np.ndarray, "n k ..."] | None = None

    @functools.cached_property
    def top(self) -> tuple[str, ...]:
        """Each image's most probable class; () for points."""
        if self.kind != "classes":
            return ()
        return tuple(self.names[k] for k in self.values.argmax(-1))


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Predictions for n images; None and () for tasks the network was not trained on.

    Attributes:
      answers: those of all tasks, by their names, in the order of TASKS.
      boxes: x, y, width, height of each face in its photo; None from `Model.predict`.
      scores: how certain it is that each is a face, from 0.5 to 1, NaN where none was
        looked for; None from `Model.predict`.
    """

    answers: dict[str, Answer]
    boxes: Int[np.ndarray, "n 4"] | None = None
    scores: Float32[np.ndarray, " n"] | None = None

    @property
    def emotion(self) -> Float32[np.ndarray, "n k"] | None:
        """The probabilities of the task `emotion`, after temperature."""
        return self.answer("emotion").values

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the columns of `emotion`."""
        return self.answer("emotion").names

    @property
    def top(self) -> tuple[str, ...]:
        """Each image's most probable emotion."""
        return self.answer("emotion").top

    @property
    def keypoints(self) -> Float32[np.ndarray, "n p 2"] | None:
        """The points of the task `keypoints`: x, y in pixels of the image as given."""
        return self.answer("keypoints").values

    @property
    def points(self) -> tuple[str, ...]:
        """The names of the rows of `keypoints`."""
        return self.answer("keypoints").names

    def answer(self, name: str) -> Answer:
        """The answer of the task of this name, empty if there is none."""
        return self.answers.get(name, Answer())

    def of_kind(self, kind: str) -> dict[str, Answer]:
        """The answers of all tasks of this kind, by their names."""
        return {name: a for name, a in self.answers.items() if a.kind == kind}


class Model:
    """A trained network, on this machine's devices."""

    def __init__(self, checkpoint: str | PathLike, flag: str = "emotion_jax.load:"):
        self.restored = restore(str(checkpoint), flag)

    def __repr__(self) -> str:
        tasks, side = self.restored.tasks, self.restored.meta.side
        folder = bucket.origin(self.restored.folder)
        return f"<{listed(tasks)} of {side}x{side} faces: {folder}>"

    @property
    def side(self) -> int:
        """The side of the faces that the network takes; others are resized to it."""
        return self.restored.meta.side

    def predict(
        self, images: np.ndarray | Sequence[np.ndarray], tta: bool = False
    ) -> Predictions:
        """The predictions for cropped faces of any size.

        Args:
          images: uint8 [n h w], [n h w 1] or, in color, [n h w 3]; or one image, [h w],
            [h w 1] or [h w 3]; or a list of images, of any sizes. Of three axes, the
            last is colors if it is below 16.
          tta: average over ten views of each face, moved by a pixel and mirrored.

        Raises:
          Mistake: they have another type or shape. No images at all are none.
        """
        alike = [as_gray(each) for each in of_one_size(images)]
        restored, side = self.restored, self.side
        evaluator = restored.evaluator
        run = evaluator.run_tta if tta else evaluator.run
        faces = np.concatenate([resize(each, side) for each in alike])
        outputs = run(restored.variables, faces)
        sizes = [each.shape[2:0:-1] for each in alike for _ in each]  # width, height
        scale = np.array(sizes, np.float32).reshape(-1, 1, 2) / np.float32(side)
        answers = {}
        for name, task in restored.tasks.items():
            values = outputs[name]
            if task.kind == "classes":
                values = softmax(values / restored.meta.temperature[name])
                values = values.astype(np.float32)
            else:
                values = (values + 0.5) * scale - 0.5
            answers[name] = Answer(task.kind, task.names, values)
        return Predictions(answers)

    def find(self, photo: Any, tta: bool = False) -> Predictions:
        """The faces of a photo, the most certain first, with points in its pixels.

        Args:
          photo: the name of a PNG, JPEG or WebP file, an image of Pillow's, or an
            array: uint8 [h w], [h w 1] or, in color, [h w 3].
          tta: average over ten views of each face, moved by a pixel and mirrored.

        Returns:
          Predictions of n faces; n is 0 if it shows none.

        Raises:
          Mistake: it cannot be read or is no photo, or onnxruntime is not installed.
        """
        detect.check()
        is_file = isinstance(photo, str | PathLike)
        name = str(photo) if is_file else "the photo"
        try:
            if is_file:
                pixels = read_photo(Path(photo))
            elif isinstance(photo, Image.Image):
                pixels = in_color(photo)
            else:
                pixels = as_photo(np.asarray(photo))
            search = inputs.Search("detect")
            crops = inputs.cut_all(pixels, Path(name), search, [self.side], "detect")
        except UNREADABLE as error:
            raise Mistake(f"{name}: {reason(error)}") from None
        return combine([self], crops, tta)


def combine(
    models: Sequence[Model], crops: Sequence[Crop], tta: bool = False
) -> Predictions:
    """Merges the networks' answers for each face, points in its image's pixels."""
    boxes = np.array([crop.box for crop in crops], int).reshape(-1, 4)
    scores = np.array([crop.score for crop in crops], np.float32)
    corner, size = np.split(boxes[:, None].astype(np.float32), 2, axis=-1)
    answers = {}
    for model in models:
        images = [crop.gray[model.side] for crop in crops]
        for name, answer in model.predict(images, tta).answers.items():
            if answer.kind == "points":
                points = (answer.values + 0.5) * (size / model.side) - 0.5
                answer = dataclasses.replace(answer, values=points + corner)
            answers[name] = answer
    return Predictions({n: answers[n] for n in TASKS if n in answers}, boxes, scores)


def as_photo(pixels: np.ndarray) -> UInt8[np.ndarray, "h w c"]:
    """One image, with an axis for its gray or its colors.

    Raises:
      ValueError: it has another type or shape; says which, and what it should be.
    """
    photo = pixels[..., None] if pixels.ndim == 2 else pixels
    fits = photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[-1] in (1, 3)
    if not fits or 0 in photo.shape:
        got = f"{pixels.dtype} {list(pixels.shape)}"
        shapes = "[h w], [h w 1] or [h w 3], and RGBA converted to RGB first"
        raise ValueError(f"expected uint8 {shapes}; got {got}")
    return photo


def of_one_size(images: np.ndarray | Sequence) -> list[np.ndarray | Sequence]:
    """The images in parts that NumPy can stack: all of them, or else each alone."""
    if not isinstance(images, list | tuple):
        return [images]
    if not images:
        return [np.zeros((0, 1, 1, 1), np.uint8)]
    images = [as_array(image) for image in images]
    return images if len({image.shape for image in images}) > 1 else [images]


def as_array(image: Any) -> np.ndarray:
    """What NumPy makes of an image, or of several of one size."""
    try:
        return np.asarray(image)
    except ValueError:
        raise Mistake("an image is an array: [h w], [h w 1] or [h w 3]") from None


def as_gray(images: np.ndarray | Sequence) -> UInt8[np.ndarray, "n h w 1"]:
    """Images of any accepted shape, brought to one shape.

    Raises:
      Mistake: they have another type or shape; says which, and what it should be.
    """
    images = as_array(images)
    shape = images.shape
    if images.dtype != np.uint8:
        raise Mistake(f"images are uint8, gray levels 0 to 255; got {images.dtype}")
    if images.ndim == 2:
        images = images[None, :, :, None]
    elif images.ndim == 3:
        images = images[None] if shape[-1] < NARROWEST else images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape[1:]:
        raise Mistake(
            "images are [n h w], [n h w 1] or [n h w 3], or one of them without n, and "
            f"RGBA is converted to RGB first; got {list(shape)}"
        )
    return gray(images) if images.shape[-1] == 3 else images
