"""A face before it is painted: its identity, its muscles' action, its keypoints.

Lengths are in units of half the distance between the eyes. The origin lies between the
eyes; x points to the subject's left (the picture's right), y down, z at the viewer.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from emotion_jax.data.table import FIVE

UNIT_PX = 18.6  # half the distance between the eyes, in the 96-pixel frame

Numbers = dict[str, jax.Array]  # named scalars: one face's identity, pose, light ...

# A person's features: each number is drawn uniformly from its range. Tones go from 0
# (black) to 1 (white).
WHO = {
    "face_width": (0.94, 1.06),
    "jaw_width": (0.88, 1.08),
    "chin_y": (3.05, 3.3),
    "skin": (0.40, 0.86),
    "tired": (0.02, 0.16),
    "lip": (0.55, 0.78),
    "eye_x": (0.96, 1.04),
    "eye_half": (0.35, 0.42),
    "eye_open": (0.15, 0.21),
    "eye_tilt": (-0.04, 0.05),
    "lid": (0.0, 1.0),
    "lash": (0.03, 0.055),
    "iris": (0.1, 0.45),
    "iris_size": (0.165, 0.195),
    "gaze": (-0.07, 0.07),
    "brow_y": (-0.50, -0.34),
    "brow_tilt": (-0.03, 0.12),
    "brow_gap": (0.85, 1.15),
    "brow_length": (0.95, 1.05),
    "brow_arch": (0.03, 0.13),
    "brow_thick": (0.05, 0.12),
    "nose_y": (1.0, 1.22),
    "nose_half": (0.25, 0.34),
    "fold": (0.0, 0.08),
    "mouth_y": (2.03, 2.2),
    "mouth_half": (0.74, 0.92),
    "mouth_curve": (-0.09, 0.02),
    "upper_lip": (0.13, 0.21),
    "lower_lip": (0.17, 0.27),
    "toothy": (0.16, 0.42),
    "teeth": (0.7, 1.0),
    "hair": (0.05, 0.75),
    "volume": (0.02, 0.35),
    "hairline": (-1.75, -1.05),
    "fringe": (-0.10, 0.28),
    "parting": (-1.0, 1.0),
    "hair_length": (-0.5, 3.6),
    "strand": (0.0, 6.3),
    "clothes": (0.05, 0.9),
    "lens_x": (0.55, 0.72),
    "lens_y": (0.36, 0.55),
    "rim": (0.02, 0.06),
    "rim_tone": (0.02, 0.5),
}
# Optional features of a person, and their probabilities.
CHANCES = {"haired": 0.93, "glasses": 0.2, "bearded": 0.2, "moustached": 0.2}

# Action units by emotion at full strength: Ekman and Friesen, Facial Action Coding
# System, 1978, and its EMFACS table of prototypes.
ACTIONS = {
    "inner_brow_raiser": {"sad": 1.0, "surprise": 1.0},  # AU 1
    "outer_brow_raiser": {"surprise": 1.0},  # AU 2
    "brow_lowerer": {"anger": 1.0, "disgust": 0.45, "sad": 0.3},  # AU 4
    "upper_lid_raiser": {"anger": 0.4, "surprise": 1.0},  # AU 5
    "cheek_raiser": {"happy": 0.8, "disgust": 0.2},  # AU 6
    "lid_tightener": {"anger": 0.6, "disgust": 0.5},  # AU 7
    "nose_wrinkler": {"disgust": 1.0},  # AU 9
    "upper_lip_raiser": {"disgust": 0.8},  # AU 10
    "lip_corner_puller": {"happy": 1.0},  # AU 12
    "lip_corner_depressor": {"sad": 1.0, "anger": 0.15, "disgust": 0.2},  # AU 15
    "chin_raiser": {"sad": 0.6, "anger": 0.3, "disgust": 0.2},  # AU 17
    "lip_tightener": {"anger": 1.0},  # AU 23
    "jaw_drop": {"surprise": 1.0, "happy": 0.1},  # AU 26
    "lid_droop": {"sad": 0.6},  # AU 43, partly
}
PROTOTYPES = np.array(
    [[by_emotion.get(name, 0.0) for name in FIVE] for by_emotion in ACTIONS.values()],
    np.float32,
)


def person(who: Numbers) -> Numbers:
    has = {name: jnp.float32(who[name] < chance) for name, chance in CHANCES.items()}
    return who | {
        "haired": has["haired"],
        "glasses": has["glasses"],
        "beard": 0.85 * has["bearded"] * who["density"],
        "moustache": 0.9 * has["moustached"] * who["density"],
        "brow_tone": 0.05 + 0.35 * jnp.minimum(who["hair"], who["skin"]),
    }


def act(emotion, intensity, gain, idle) -> Numbers:
    """How far each muscle moves: no real anger quite matches the textbook."""
    moves = intensity * (PROTOTYPES @ jax.nn.one_hot(emotion, len(FIVE)))
    return {name: moves[i] * gain[name] + idle[name] for i, name in enumerate(ACTIONS)}


# ---- The muscles move the facial features ----


def brow(who: Numbers, act: Numbers) -> Numbers:
    raise_inner = 0.34 * act["inner_brow_raiser"]
    lower = 0.30 * act["brow_lowerer"] + 0.14 * act["nose_wrinkler"]
    pull = 0.12 * act["brow_lowerer"]  # the corrugator also draws the brows together
    return {
        "inner_x": 0.475 * who["brow_gap"] - pull,
        "inner_y": who["brow_y"] - raise_inner + lower,
        "outer_x": 1.74 * who["brow_length"],
        "outer_y": who["brow_y"]
        + who["brow_tilt"]
        - 0.34 * act["outer_brow_raiser"]
        + 0.3 * lower,
        "arch": who["brow_arch"] + 0.10 * act["outer_brow_raiser"] - 0.3 * lower,
    }


def eye(who: Numbers, act: Numbers) -> Numbers:
    squint = 0.30 * act["lid_tightener"] + 0.35 * act["nose_wrinkler"]
    upper = 1 + 0.65 * act["upper_lid_raiser"] - squint
    upper = upper - 0.35 * act["lid_droop"] - 0.25 * act["cheek_raiser"]
    lower = 1 - 1.1 * act["cheek_raiser"] - squint + 0.25 * act["upper_lid_raiser"]
    return {
        "x": who["eye_x"],
        "half": who["eye_half"],
        "corner_y": jnp.float32(0.05),
        "tilt": who["eye_tilt"],
        "upper": who["eye_open"] * upper,
        "lower": 0.62 * who["eye_open"] * lower,
    }


def mouth(who: Numbers, act: Numbers) -> Numbers:
    """The corners, and the lips' outer (top, bottom) and inner edges at the middle."""
    jaw, pull = act["jaw_drop"], act["lip_corner_puller"]
    lift, press = act["upper_lip_raiser"], act["lip_tightener"]
    push, drop = act["chin_raiser"], act["lip_corner_depressor"]
    upper = who["upper_lip"] * (1 - 0.55 * press - 0.25 * pull - 0.2 * jaw)
    lower = who["lower_lip"] * (1 - 0.55 * press - 0.15 * pull + 0.2 * push)
    line = who["mouth_y"] + 0.10 * pull - 0.14 * push
    gap = 0.02 + 0.10 * lift + who["toothy"] * pull
    inner_top = line - 0.24 * lift - 0.02 * jaw - 0.12 * pull
    inner_bottom = inner_top + gap + 0.72 * jaw + 0.14 * lift
    return {
        "half": who["mouth_half"]
        * (1 + 0.36 * pull - 0.36 * jaw - 0.12 * press - 0.06 * drop),
        "corner_y": line
        - 0.42 * pull
        + 0.30 * drop
        + 0.30 * jaw
        + 0.08 * lift
        + who["mouth_curve"],
        "top": inner_top - upper,
        "inner_top": inner_top,
        "inner_bottom": inner_bottom,
        "bottom": inner_bottom + lower,
        "round": jaw,
    }


def keypoints(who: Numbers, act: Numbers) -> Float[Array, "15 2"]:
    """Kaggle's keypoints on the flat face, in the order of `table.POINTS`."""
    e, b, m = eye(who, act), brow(who, act), mouth(who, act)
    inner, outer = e["x"] - e["half"], e["x"] + e["half"]
    inner_y, outer_y = e["corner_y"] + e["tilt"], e["corner_y"] - e["tilt"]
    zero = jnp.float32(0)
    points = [
        *((e["x"], zero), (-e["x"], zero)),
        *((inner, inner_y), (outer, outer_y), (-inner, inner_y), (-outer, outer_y)),
        *((b["inner_x"], b["inner_y"]), (b["outer_x"], b["outer_y"])),
        *((-b["inner_x"], b["inner_y"]), (-b["outer_x"], b["outer_y"])),
        (zero, who["nose_y"]),
        *((m["half"], m["corner_y"]), (-m["half"], m["corner_y"])),
        *((zero, m["top"]), (zero, m["bottom"])),
    ]
    return jnp.array(points)


# ---- The head in space ----


def bump(x, y, at_x, at_y, radius_x, radius_y):
    """A Gaussian hill of height 1."""
    return jnp.exp(-(((x - at_x) / radius_x) ** 2) - ((y - at_y) / radius_y) ** 2)


def depth(who: Numbers, x, y):
    """The head's height above the plane of the eyes, as far as a turn reveals it."""
    dome = jnp.sqrt(jnp.maximum(1 - (x / 2.7) ** 2 - ((y - 0.6) / 3.8) ** 2, 0.03))
    ridge = bump(x, y, 0, who["nose_y"] - 0.05, 0.30, 0.55)
    muzzle = bump(x, y, 0, 2.1, 0.9, 0.8)
    return 1.6 * dome - 1.46 + 0.55 * ridge + 0.22 * muzzle


def turn(pose: Numbers, x, y, z):
    """Yaw, then pitch: where a point of the head appears, and how near it is."""
    sin_yaw, cos_yaw = jnp.sin(pose["yaw"]), jnp.cos(pose["yaw"])
    sin_pitch, cos_pitch = jnp.sin(pose["pitch"]), jnp.cos(pose["pitch"])
    x, z = x * cos_yaw + z * sin_yaw, z * cos_yaw - x * sin_yaw
    return x, y * cos_pitch + z * sin_pitch, z * cos_pitch - y * sin_pitch


def project(who: Numbers, pose: Numbers, x, y):
    """Maps the flat face to pixels of the 96-pixel frame."""
    u, v, _ = turn(pose, x, y, depth(who, x, y))
    sin, cos = jnp.sin(pose["roll"]), jnp.cos(pose["roll"])
    size = UNIT_PX * pose["scale"]
    return (
        pose["x"] + size * (u * cos - v * sin),
        pose["y"] + size * (u * sin + v * cos),
    )


def unproject(who: Numbers, pose: Numbers, px, py):
    """Inverts `project` by fixed-point iteration: the height field is gentle enough."""
    sin, cos = jnp.sin(pose["roll"]), jnp.cos(pose["roll"])
    size = UNIT_PX * pose["scale"]
    px, py = (px - pose["x"]) / size, (py - pose["y"]) / size
    u, v = px * cos + py * sin, py * cos - px * sin

    def closer(_, at):
        x, y = at
        at_u, at_v, _ = turn(pose, x, y, depth(who, x, y))
        return x + u - at_u, y + v - at_v

    return jax.lax.fori_loop(0, 6, closer, (u, v))
