"""Finds the faces in a photo with BlazeFace: here in Python, and alike in the web page.

detector.onnx is MediaPipe's face_detection_back.tflite (Bazarevsky et al. 2019), as
converted by launch/convert_detector.py. Both sides take the same steps; x and y are in
pixels of the photo, with (0, 0) its top left corner, and round is floor(v + 0.5):

1. The photo is RGB, rotated as its EXIF says; gray is the same level three times.
2. A look at a window (x, y, w, h): the window is cut out, resized to round(w k) x
   round(h k), k = 256 / max(w, h), by Pillow's BILINEAR (half-pixel centres,
   antialiased when shrinking), horizontally, then vertically, each rounded to uint8,
   and placed in the top left corner of a black 256 x 256 square. (In one call, Pillow
   13 sometimes reverses the order.) The network's input is v / 127.5 - 1, float32.
3. Its 896 answers belong to anchors: two for each cell (row, column) of a 16 x 16 grid,
   row by row, then six for each of an 8 x 8 grid, at ((column + 0.5) / n,
   (row + 0.5) / n). The score is sigmoid(classificators); answers above 0.5 are kept.
4. regressors / 256 are eight pairs: the box's centre, its width and height, then six
   points (right eye, left eye, nose, mouth, right ear, left ear; the subject's own),
   all but the second pair relative to the anchor. Multiplied by 256 / round(w k) and by
   w, plus x, they are in the photo; likewise in y.
5. The best answer absorbs all whose boxes overlap its own by more than 0.3 (area of
   intersection over union); their mean, weighted by score, is a face with the best
   one's score. This repeats with the remaining answers.
6. The first look is at the whole photo. If that shrinks it enough, closer looks are at
   square windows of 0.4 of its longer side, then 0.16, as long as they are 256 or more,
   overlapping by a quarter: see `windows`. A face that touches an inner edge of its
   window is cut off and dropped. A live picture needs no closer look.
7. Of all looks' faces, in order of score, any that overlaps a better one by more than
   0.3 of the smaller area is dropped: see `apart`.
8. Each is looked at again, in a window of twice its box about the box's centre, clipped
   to the photo. The best there that overlaps it by more than 0.3 of the smaller area
   replaces it; if there is none, it was no face. Then step 7 again. (This cuts false
   faces, such as cups and cats, to a quarter, and fits small boxes better.)
"""

import dataclasses
import functools
import importlib.util
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from emotion_jax.errors import Mistake

MODEL = Path(__file__).with_name("detector.onnx")
SIDE, GRIDS = 256, ((16, 2), (8, 6))  # cells per side, anchors per cell
SURE, SAME = 0.5, 0.3
CLOSER, OVERLAP, LOOKS, CONTEXT = 0.4, 0.25, 3, 2.0

Window = tuple[int, int, int, int]  # x, y, width, height
Shapes = Float32[np.ndarray, "n 8 2"]


@dataclasses.dataclass(frozen=True)
class Found:
    """A face: its box's top left and bottom right corners, six points, a score."""

    corners: Float32[np.ndarray, "2 2"]
    points: Float32[np.ndarray, "6 2"]
    score: float


def find(photo: UInt8[np.ndarray, "h w 3"]) -> list[Found]:
    """The faces of a photo, the highest score first."""
    height, width = photo.shape[:2]
    picture, faces = Image.fromarray(photo), []
    for look in windows(width, height):
        scores, shapes = zip(*(whole_ones(picture, window) for window in look))
        faces += merge(np.concatenate(scores), np.concatenate(shapes))
    faces = apart([again for face in apart(faces) for again in second(picture, face)])
    return faces


def second(picture: Image.Image, face: Found) -> list[Found]:
    """The face as a second look at it alone finds it; empty if it finds none."""
    x, y = face.corners.mean(axis=0)
    reach = float((face.corners[1] - face.corners[0]).max()) * CONTEXT / 2
    left, top = (max(0, math.floor(v - reach + 0.5)) for v in (x, y))
    right = min(picture.width, math.floor(x + reach + 0.5))
    bottom = min(picture.height, math.floor(y + reach + 0.5))
    window = left, top, right - left, bottom - top
    found = merge(*look_at(picture, window))
    return [again for again in found if overlap(face, again) > SAME][:1]


def apart(faces: list[Found]) -> list[Found]:
    """The faces that overlap none with a higher score."""
    kept = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(overlap(face, other) <= SAME for other in kept):
            kept.append(face)
    return kept


def check() -> None:
    """Raises if the package that runs the network is missing."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise Mistake("finding faces needs onnxruntime: pip install onnxruntime")


@functools.cache
def session():
    """The network, loaded once."""
    import onnxruntime

    return onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])


@functools.cache
def anchors() -> Float32[np.ndarray, "a 2"]:
    """The position of each answer's anchor, in units of the window."""
    grids = []
    for n, each in GRIDS:
        y, x = (np.mgrid[:n, :n] + 0.5) / n
        grids.append(np.repeat(np.stack([x.ravel(), y.ravel()], -1), each, axis=0))
    return np.concatenate(grids).astype(np.float32)


def windows(width: int, height: int) -> Iterator[list[Window]]:
    """The windows of each look, the whole photo first."""
    yield [(0, 0, width, height)]
    side = max(width, height)
    for _ in range(1, LOOKS):
        side = math.floor(side * CLOSER + 0.5)
        if side < SIDE:
            return
        rows, columns = places(height, side), places(width, side)
        w, h = min(side, width), min(side, height)
        yield [(x, y, w, h) for y in rows for x in columns]


def places(length: int, side: int) -> list[int]:
    """The starts of evenly spread windows that cover a length and overlap."""
    free = max(length - side, 0)
    steps = math.ceil(free / (side * (1 - OVERLAP)))
    return [math.floor(free * i / max(steps, 1) + 0.5) for i in range(steps + 1)]


def look_at(
    picture: Image.Image, window: Window
) -> tuple[Float32[np.ndarray, " n"], Shapes]:
    """Scores and shapes in one window: two corners, then six points, in the photo."""
    x, y, width, height = window
    k = SIDE / max(width, height)
    size = tuple(max(1, math.floor(v * k + 0.5)) for v in (width, height))
    part = picture.crop((x, y, x + width, y + height))
    for step in ((size[0], height), size):
        part = part.resize(step, Image.Resampling.BILINEAR)
    square = np.zeros((1, SIDE, SIDE, 3), np.float32)
    square[0, : size[1], : size[0]] = np.asarray(part)
    names = ["classificators", "regressors"]
    logits, answers = session().run(names, {"input": square / 127.5 - 1})
    sure = logits[0, :, 0] > math.log(SURE / (1 - SURE))
    shapes = answers[0, sure].reshape(-1, 8, 2) / np.float32(SIDE)
    half = shapes[:, 1] / 2
    shapes += anchors()[sure, None]
    shapes[:, 1] = shapes[:, 0] + half
    shapes[:, 0] -= half
    scale = np.array([SIDE / size[0] * width, SIDE / size[1] * height], np.float32)
    shapes = shapes * scale + np.array([x, y], np.float32)
    return 1 / (1 + np.exp(-logits[0, sure, 0])), shapes


def whole_ones(
    picture: Image.Image, window: Window
) -> tuple[Float32[np.ndarray, " n"], Shapes]:
    """What one look finds, without faces cut by an inner edge of its window."""
    scores, shapes = look_at(picture, window)
    low, high = np.array(window[:2]), np.array(window[:2]) + window[2:]
    whole = (shapes[:, 0] > low) | (low == 0)
    whole &= (shapes[:, 1] < high) | (high == picture.size)
    whole = whole.all(-1)
    return scores[whole], shapes[whole]


def merge(scores: Float32[np.ndarray, " n"], shapes: Shapes) -> Iterator[Found]:
    """One face for each cluster of overlapping answers, the highest score first."""
    order = np.argsort(-scores, kind="stable")
    scores, shapes = scores[order], shapes[order]
    while len(scores):
        low = np.maximum(shapes[0, 0], shapes[:, 0])
        high = np.minimum(shapes[0, 1], shapes[:, 1])
        both = np.prod((high - low).clip(0), -1)
        area = np.prod(shapes[:, 1] - shapes[:, 0], -1)
        same = both > SAME * (area[0] + area - both)
        same[0] = True
        weights = scores[same, None, None]
        mean = (shapes[same] * weights).sum(0) / weights.sum()
        yield Found(mean[:2], mean[2:], float(scores[0]))
        scores, shapes = scores[~same], shapes[~same]


def overlap(face: Found, other: Found) -> float:
    """The area that two faces share, relative to the smaller one."""
    low = np.maximum(face.corners[0], other.corners[0])
    high = np.minimum(face.corners[1], other.corners[1])
    areas = (np.prod(f.corners[1] - f.corners[0]) for f in (face, other))
    return float(np.prod((high - low).clip(0)) / min(areas))
