"""Everything around a face: pose, light, background, shadows, occlusions, camera."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, UInt8

from emotion_jax.data import anatomy
from emotion_jax.data.anatomy import Numbers
from emotion_jax.data.drawing import capsule, cover, over, product

# Each number is drawn uniformly from its range: angles in degrees, positions in pixels
# of the 96-pixel frame or in fractions of it, tones from 0 (black) to 1 (white).
POSE = {
    "yaw": (-23.0, 23.0),
    "pitch": (-13.0, 13.0),
    "roll": (-9.0, 9.0),
    "scale": (0.91, 1.12),
    "x": (-2.4, 2.4),
    "y": (-3.2, 3.2),
}
LIGHT = {
    "x": (-1.2, 1.2),
    "y": (-1.0, 0.5),
    "z": (0.7, 1.2),
    "ambient": (0.25, 0.55),
    "exposure": (0.26, 0.62),
    "gamma": (0.7, 1.3),
    "blur": (0.3, 0.9),
    "noise": (0.0, 0.02),
}
SCENE = {
    "tone": (0.1, 0.9),
    "slope_x": (-0.4, 0.4),
    "slope_y": (-0.4, 0.4),
    "disc": (-0.3, 0.3),
    "disc_x": (-0.6, 0.6),
    "disc_y": (-0.6, 0.6),
    "disc_size": (0.1, 0.35),
    "edge": (-0.25, 0.25),
    "edge_x": (-0.5, 0.5),
}
SHADOW = {  # cast across the face by a blind, a branch or a wall
    "angle": (0.0, 3.1416),
    "at": (-0.5, 0.5),
    "period": (0.25, 1.6),
    "width": (0.2, 0.8),
    "soft": (0.02, 0.15),
    "depth": (-0.3, 0.7),  # below 0: no shadow
}
COVER = {
    "chance": (0.0, 1.0),
    "angle": (0.0, 6.2832),
    "swing": (-0.5, 0.5),
    "reach": (26.0, 44.0),
    "radius": (4.0, 11.0),
    "tone": (0.05, 0.95),
}


def pose(at: Numbers) -> Numbers:
    """Angles in radians, and the position of the point between the eyes."""
    radians = {name: jnp.deg2rad(at[name]) for name in ("yaw", "pitch", "roll")}
    return at | radians | {"x": 47.9 + at["x"], "y": 37.0 + at["y"]}


def keep_inside(who, moves, where) -> tuple[Numbers, jax.Array]:
    """Moves the face if necessary, so that no keypoint leaves the frame."""
    x, y = anatomy.project(who, where, *anatomy.keypoints(who, moves).T)
    right, left = jnp.maximum(x.max() - 93, 0), jnp.maximum(2 - x.min(), 0)
    up = jnp.maximum(y.max() - 93, 0)
    where = where | {"x": where["x"] + left - right, "y": where["y"] - up}
    return where, jnp.stack([x + left - right, y - up], -1)


def paint_scene(scene: Numbers, px, py):
    """The background behind the head: a tone gradient, a disc and a vertical edge."""
    x, y = px / 96 - 0.5, py / 96 - 0.5
    tone = scene["tone"] + scene["slope_x"] * x + scene["slope_y"] * y
    disc = jnp.hypot(x - scene["disc_x"], y - scene["disc_y"]) - scene["disc_size"]
    tone = tone + scene["disc"] * cover(disc, 0.08)
    upright = x - scene["edge_x"] - 0.3 * scene["slope_x"] * y
    tone = tone + scene["edge"] * cover(upright, 0.02)
    return jnp.clip(tone, 0.02, 0.98)


def cast_shadow(what: Numbers, px, py):
    """Straight dark bands, few or many, since light is seldom even."""
    across = (px - 48) * jnp.cos(what["angle"]) + (py - 48) * jnp.sin(what["angle"])
    turns = across / 96 / what["period"] + what["at"]
    from_middle = jnp.abs(turns - jnp.round(turns)) - what["width"] / 2
    dark = cover(from_middle * what["period"], what["soft"])
    return 1 - jnp.maximum(what["depth"], 0) * dark


def occlude(what: Numbers, tone, px, py):
    """A finger, a microphone or a lock of hair, in front of one face in four."""
    sin, cos = jnp.sin(what["angle"]), jnp.cos(what["angle"])
    far = what["angle"] + what["swing"]
    tip_x, tip_y = 48 + what["reach"] * cos, 50 + what["reach"] * sin
    end_x, end_y = 48 + 90 * jnp.cos(far), 50 + 90 * jnp.sin(far)
    edge = capsule(px, py, tip_x, tip_y, end_x, end_y, what["radius"])
    round_shade = 1 - 0.5 * jnp.exp(jnp.minimum(edge, 0) / (0.35 * what["radius"]))
    alpha = (what["chance"] < 0.25) * cover(edge, 1.5)
    return over(tone, what["tone"] * round_shade, alpha)


def photograph(key: jax.Array, light: Numbers, tone) -> UInt8[Array, "h w"]:
    """Blur, exposure and noise: what a camera does to tones."""
    # As matrix products, since XLA would redraw the face for every shifted copy.
    at = jnp.arange(len(tone))
    smear = jnp.exp(-0.5 * ((at[:, None] - at[None]) / light["blur"]) ** 2)
    smear = smear / smear.sum(1, keepdims=True)
    tone = product(product(smear, tone), smear.T)
    # Partial auto-exposure, as of a camera: no face gets too dark.
    tone = jnp.clip(tone, 1e-3, 1.2)
    tone = (tone * (light["exposure"] / tone.mean()) ** 0.7) ** light["gamma"]
    tone = tone + light["noise"] * jax.random.normal(key, tone.shape)
    return jnp.round(255 * jnp.clip(tone, 0, 1)).astype(jnp.uint8)
