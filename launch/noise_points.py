"""How well keypoint labels agree on nearly identical pictures; how fine they are."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Complex, Float, Int

from emotion_jax import data
from emotion_jax.data.table import POINTS
from emotion_jax.errors import Mistake
from emotion_jax.tasks import mirrored
from emotion_jax.tasks.points import FRAME

STEP = 2  # pixels of the face frame between samples
ROUNDS = 4  # of the registration
FREE = 4  # degrees of freedom that a similarity takes of the 30 coordinates
FRONTAL = 0.05  # of the eyes' distance: how far from their middle the nose may be

Plane = Complex[np.ndarray, "n p"]  # points as x + i y: a similarity is m z + o
Pairs = Int[np.ndarray, "m 2"]


@dataclasses.dataclass(frozen=True)
class Labelled:
    """Faces whose points are all known, in pixels of the 96-pixel frame."""

    image: Float[np.ndarray, "n h w"]
    points: Plane
    person: np.ndarray


def load(paths: Sequence[str]) -> tuple[Labelled, Labelled]:
    """All the files' faces, and the first file's; they need a column `person`."""
    parts = []
    for number, path in enumerate(paths):
        raw = data.load("keypoints", path)
        if raw.person is None:
            raise Mistake(f"{path} has no column person")
        whole = raw.known["keypoints"].all(1)
        xy = raw.labels["keypoints"][whole].astype(np.float64) @ [1, 1j]
        image = raw.image[whole, ..., 0].astype(np.float32)
        person = raw.person[whole]
        alone = np.char.mod("face %d", np.flatnonzero(whole))
        person = np.where(person == "", alone, person)  # the unnamed are all different
        parts.append((image, xy, np.char.add(f"{number}/", person)))
    found = Labelled(*map(np.concatenate, zip(*parts)))
    if found.image.shape[1:] != (FRAME, FRAME):
        raise Mistake(f"the faces are not {FRAME} pixels a side")
    return found, Labelled(*parts[0])


def similarity(a: Plane, b: Plane) -> tuple[np.ndarray, np.ndarray]:
    """The m, o for which m a + o is nearest to b, for each row."""
    middle_a, middle_b = a.mean(-1, keepdims=True), b.mean(-1, keepdims=True)
    a, b = a - middle_a, b - middle_b
    m = (a.conj() * b).sum(-1, keepdims=True) / (abs(a) ** 2).sum(-1, keepdims=True)
    return m, middle_b - m * middle_a


def rms(errors: np.ndarray) -> float:
    """The RMS error of a coordinate."""
    return float(np.sqrt((abs(errors) ** 2).mean() / 2))


def grain(points: Plane) -> Float[np.ndarray, " n"]:
    """The spacing in pixels of the positions that a face's labels can have.

    They were whole pixels of a video frame of another size; the eye centres are means
    of several points, and left out. The largest spacing that fits is taken.
    """
    tried = np.arange(0.3, 4.0, 0.0005)
    offsets = points[:, 2:] - points[:, 2:3]
    found = np.full(len(points), np.nan)
    for i, offset in enumerate(np.concatenate([offsets.real, offsets.imag], axis=1)):
        times = offset[None] / tried[:, None]
        away = (abs(times - np.round(times)) * tried[:, None]).max(1)
        if (away < 0.02).any():
            found[i] = tried[np.flatnonzero(away < 0.02)[-1]]
    return found


def symmetric(points: Plane) -> tuple[np.ndarray, int]:
    """The residuals of frontal faces laid on their mirror images, and their number.

    Half of their square would be the labels' noise if faces were symmetric.
    """
    at = POINTS.index
    left, right = points[:, at("left_eye_center")], points[:, at("right_eye_center")]
    nose = (points[:, at("nose_tip")] - (left + right) / 2) / (left - right)
    frontal = points[abs(nose.real) < FRONTAL]
    mirror = -frontal[:, list(mirrored(POINTS))].conj()
    m, o = similarity(mirror, frontal)
    return (m * mirror + o - frontal) / np.sqrt(2 * (1 - FREE / 30)), len(frontal)


class Registered:
    """Pairs of one person's faces that look alike once aligned."""

    def __init__(self, faces: Labelled, alike: float):
        from scipy.ndimage import gaussian_filter

        self.faces = faces
        mean = faces.points.mean(0)
        self.mean = np.broadcast_to(mean, faces.points.shape)
        self.m, self.o = similarity(self.mean, faces.points)
        span = [np.arange(12, 84, STEP), np.arange(16, 92, STEP)]
        self.grid = np.add(*np.meshgrid(span[0], 1j * span[1]))
        smooth = [gaussian_filter(image, 1.0) for image in faces.image]
        self.smooth = np.stack(smooth)
        self.seen = np.stack(
            [self.look(i, self.m[i], self.o[i]) for i in range(len(faces.points))]
        )
        self.pairs, self.alike = self.find(alike)

    def look(self, i: int, m: complex, o: complex) -> Float[np.ndarray, "h w"]:
        """Face i in the face frame, with brightness and contrast normalised."""
        from scipy.ndimage import map_coordinates

        z = m * self.grid + o
        seen = map_coordinates(
            self.smooth[i], [z.imag, z.real], order=1, mode="nearest"
        )
        return (seen - seen.mean()) / max(seen.std(), 1e-3)

    def find(self, alike: float) -> tuple[Pairs, Float[np.ndarray, " m"]]:
        """The pairs, and how alike they look: the correlation of their pixels."""
        flat = self.seen.reshape(len(self.seen), -1) / np.sqrt(self.grid.size)
        pairs, found = [np.empty((0, 2), int)], [np.empty(0)]
        for person in np.unique(self.faces.person):
            rows = np.flatnonzero(self.faces.person == person)
            i, j = np.triu_indices(len(rows), 1)
            correlation = (flat[rows] @ flat[rows].T)[i, j]
            near = correlation > alike
            pairs.append(np.stack([rows[i[near]], rows[j[near]]], axis=1))
            found.append(correlation[near])
        return np.concatenate(pairs), np.concatenate(found)

    def shapes(self, pairs: Pairs) -> Plane:
        """How much the labels differ when aligned by themselves."""
        a, b = (self.faces.points[side] for side in pairs.T)
        m, o = similarity(a, b)
        return (m * a + o - b) / np.sqrt(1 - FREE / 30)

    def labels(self, pairs: Pairs) -> Plane:
        """How much the labels differ when aligned by the pixels alone."""
        found = []
        for i, j in pairs:
            m, o = self.register(i, j)
            a = (self.faces.points[i] - self.o[i]) / self.m[i]
            b = (self.faces.points[j] - o) / m
            found.append((a - b) * np.sqrt(abs(self.m[i] * m)))
        return np.array(found)

    def register(self, i: int, j: int) -> tuple[complex, complex]:
        """The pose of face j that lays its pixels on face i's (Gauss-Newton)."""
        m, o = self.m[j], self.o[j]
        target, z = self.seen[i], self.grid
        for _ in range(ROUNDS):
            seen = self.look(j, m, o)
            down, right = np.gradient(seen, STEP)
            turn = [right * z.real + down * z.imag, down * z.real - right * z.imag]
            ways = np.stack([right, down, *turn, seen, np.ones(seen.shape)], -1)
            inside = ways[1:-1, 1:-1].reshape(-1, 6)
            away = (target - seen)[1:-1, 1:-1].ravel()
            x, y, grow, spin, *_ = np.linalg.lstsq(inside, away, rcond=None)[0]
            m, o = m * (1 + grow + 1j * spin), m * (x + 1j * y) + o
        return m, o
