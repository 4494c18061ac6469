"""Use from Python: photos or faces in, emotions and keypoints out.

model = emotion_jax.load()
found = model.find("photo.jpg")
found.top, found.emotion, found.keypoints, found.boxes
"""

import dataclasses
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int, UInt8

from emotion_jax import bucket
from emotion_jax.data.image import UNREADABLE, gray, read_photo, reason, resize
from emotion_jax.errors import Mistake
from emotion_jax.evaluator import restore
from emotion_jax.photo import detect, inputs
from emotion_jax.photo.inputs import Crop
from emotion_jax.scores import softmax
from emotion_jax.tasks import Task
from emotion_jax.views import Outputs


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Predictions for n images; None and () for tasks the network was not trained on.

    Attributes:
      emotion: probabilities, after temperature.
      classes: the names of the columns of `emotion`.
      top: each image's most probable class.
      keypoints: x, y in pixels of the image or photo as given, the centre of its
        top-left pixel at (0, 0).
      points: the names of the rows of `keypoints`.
      boxes: x, y, width, height of each face in its photo; None from `Model.predict`.
    """

    emotion: Float32[np.ndarray, "n k"] | None
    classes: tuple[str, ...]
    top: tuple[str, ...]
    keypoints: Float32[np.ndarray, "n p 2"] | None
    points: tuple[str, ...]
    boxes: Int[np.ndarray, "n 4"] | None = None


class Model:
    """A trained network, on this machine's devices."""

    def __init__(self, checkpoint: str | PathLike, flag: str = "emotion_jax.load:"):
        self.restored = restore(str(checkpoint), flag)

    def __repr__(self) -> str:
        tasks, side = self.restored.tasks, self.restored.meta.side
        folder = bucket.origin(self.restored.folder)
        return f"<{' and '.join(tasks)} of {side}x{side} faces: {folder}>"

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
            [h w 1] or [h w 3]. (Three axes, the last of size 1 or 3, are one image.)
          tta: average over ten views of each face, moved by a pixel and mirrored.
        """
        images = as_gray(images)
        height, width = images.shape[1:3]
        restored, side = self.restored, self.side
        evaluator = restored.evaluator
        run = evaluator.run_tta if tta else evaluator.run
        outputs = run(restored.variables, resize(images, side))
        emotion, classes = self.output("classes", outputs)
        keypoints, points = self.output("points", outputs)
        top = ()
        if emotion is not None:
            emotion = softmax(emotion / restored.meta.temperature).astype(np.float32)
            top = tuple(classes[k] for k in emotion.argmax(-1))
        if keypoints is not None:
            scale = np.array([width / side, height / side], np.float32)
            keypoints = (keypoints + 0.5) * scale - 0.5
        return Predictions(emotion, classes, top, keypoints, points)

    def find(self, photo: Any, tta: bool = False) -> Predictions:
        """The faces of a photo, the most certain first, with points in its pixels.

        Args:
          photo: the name of a PNG, JPEG or WebP file, or an image, as an array or from
            Pillow: uint8 [h w], [h w 1] or, in color, [h w 3].
          tta: average over ten views of each face, moved by a pixel and mirrored.
        """
        detect.check()
        is_file = isinstance(photo, str | PathLike)
        name = str(photo) if is_file else "the photo"
        try:
            pixels = read_photo(Path(photo)) if is_file else as_photo(np.asarray(photo))
            search = inputs.Search("detect")
            crops = inputs.cut_all(pixels, Path(name), search, [self.side], "detect")
        except UNREADABLE as error:
            raise Mistake(f"{name}: {reason(error)}") from None
        return combine([self], crops, tta)

    def output(
        self, kind: str, outputs: Outputs
    ) -> tuple[np.ndarray | None, tuple[str, ...]]:
        """Output and names of the task of this kind; None and () if there is none."""
        tasks: dict[str, Task] = self.restored.tasks
        for name, task in tasks.items():
            if task.kind == kind:
                return outputs[name], task.names
        return None, ()


def combine(
    models: Sequence[Model], crops: Sequence[Crop], tta: bool = False
) -> Predictions:
    """Merges the networks' predictions for each face, points in its image's pixels."""
    parts = []
    for model in models:
        images = np.stack([crop.gray[model.side] for crop in crops])
        found = model.predict(images, tta)
        if found.keypoints is not None:
            box = np.array([crop.box for crop in crops], np.float32)[:, None]
            points = (found.keypoints + 0.5) * (box[..., 2:] / model.side) - 0.5
            found = dataclasses.replace(found, keypoints=points + box[..., :2])
        parts.append(found)
    feeling = next((part for part in parts if part.emotion is not None), parts[0])
    pointing = next((part for part in parts if part.keypoints is not None), parts[0])
    return dataclasses.replace(
        feeling,
        keypoints=pointing.keypoints,
        points=pointing.points,
        boxes=np.array([crop.box for crop in crops]),
    )


def as_photo(pixels: np.ndarray) -> UInt8[np.ndarray, "h w c"]:
    """One image, with an axis for its gray or its colors.

    Raises:
      ValueError: it has another type or shape; says which, and what it should be.
    """
    photo = pixels[..., None] if pixels.ndim == 2 else pixels
    fits = photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[-1] in (1, 3)
    if not fits or 0 in photo.shape:
        got = f"{pixels.dtype} {list(pixels.shape)}"
        raise ValueError(f"expected uint8 [h w], [h w 1] or [h w 3], got {got}")
    return photo


def as_gray(images: np.ndarray | Sequence) -> UInt8[np.ndarray, "n h w 1"]:
    """Images of any accepted shape, brought to one shape.

    Raises:
      Mistake: they have another type or shape; says which, and what it should be.
    """
    try:
        images = np.asarray(images)
    except ValueError:
        raise Mistake("images of several sizes: predict them one by one") from None
    shape = images.shape
    if images.dtype != np.uint8:
        raise Mistake(f"images are uint8, gray levels 0 to 255; got {images.dtype}")
    if images.ndim == 2:
        images = images[None, :, :, None]
    elif images.ndim == 3:
        images = images[None] if shape[-1] in (1, 3) else images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in shape:
        raise Mistake(
            "images are [n h w], [n h w 1] or [n h w 3], or one of them without n; "
            f"got {list(shape)}"
        )
    return gray(images) if images.shape[-1] == 3 else images
