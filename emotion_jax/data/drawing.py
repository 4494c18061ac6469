"""The paint and the light on a face, from signed distances.

A face is a height field seen slightly from the side: `anatomy.depth` moves what is
drawn, `relief` only affects the shading, and every `paint_` puts a tone over the last.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emotion_jax.data.anatomy import (
    UNIT_PX,
    Numbers,
    brow,
    bump,
    depth,
    eye,
    mouth,
    turn,
    unproject,
)

Plane = Float[Array, "h w"]

# Full float32 everywhere: accelerators would round the factors to fewer bits.
product = functools.partial(jnp.matmul, precision="highest")


def ellipse(x, y, at_x, at_y, radius_x, radius_y):
    """Signed distance, accurate enough near the edge; negative inside."""
    far = jnp.sqrt(((x - at_x) / radius_x) ** 2 + ((y - at_y) / radius_y) ** 2 + 1e-6)
    return (far - 1) * jnp.minimum(radius_x, radius_y)


def capsule(x, y, x0, y0, x1, y1, radius):
    """Signed distance to a thick segment with round ends."""
    dx, dy = x1 - x0, y1 - y0
    along = jnp.clip(((x - x0) * dx + (y - y0) * dy) / (dx**2 + dy**2), 0, 1)
    return jnp.hypot(x - x0 - along * dx, y - y0 - along * dy) - radius


def join(a, b, round_by):
    """The union of two signed distances with the corner rounded."""
    h = jnp.clip(0.5 + 0.5 * (b - a) / round_by, 0, 1)
    return b + (a - b) * h - round_by * h * (1 - h)


def cover(distance, soft):
    """How much of a pixel a shape covers: a smooth step of width `soft` at its edge."""
    t = jnp.clip(0.5 - distance / soft, 0, 1)
    return t * t * (3 - 2 * t)


def wave(turns):
    """A sine of period 1, accurate to 0.06: two parabolas, for textures."""
    part = turns - jnp.round(turns)
    return 8 * part * (1 - 2 * jnp.abs(part))


def over(below, tone, alpha):
    return below + alpha * (tone - below)


# ---- What catches the light ----


def fold(m, y):
    """Signed distance across the nasolabial fold (cheek positive), and its extent."""
    t = (y - 1.1) / 1.0
    course = 0.46 + 0.80 * t - 0.22 * t * t
    return (m - course) * 0.8, cover(jnp.abs(t - 0.45) - 0.4, 0.6)


def relief(who: Numbers, act: Numbers, x, y) -> Plane:
    """Bone, flesh and folds, too small to affect anything but the shading.

    From the top: brow ridge, eye sockets and their inner corners, the nose's bridge,
    tip, wings and underside, cheeks, nasolabial folds, lips, the hollow and the chin.
    """
    m, nose_y = jnp.abs(x), who["nose_y"]
    mo, b = mouth(who, act), brow(who, act)
    smile = jnp.maximum(act["cheek_raiser"], act["nose_wrinkler"])
    across, extent = fold(m, y)
    crease = who["fold"] + 0.09 * act["nose_wrinkler"] + 0.05 * act["upper_lip_raiser"]
    crease = crease + 0.08 * act["lip_corner_puller"]
    width = 0.16 + 0.06 * (y > 0.6)
    bridge = jnp.exp(-((x / width) ** 2)) * jnp.exp(-(((y - 0.55) / 0.55) ** 4))
    wing_y = nose_y + 0.06 - 0.07 * act["nose_wrinkler"]
    return (
        0.16 * bump(m, y, 0.75, b["inner_y"] + 0.02, 0.75, 0.2)
        - 0.22 * bump(m, y, 0.95, 0.0, 0.62, 0.34)
        - 0.14 * bump(m, y, 0.42, 0.05, 0.2, 0.3)
        + 0.17 * bridge
        + 0.15 * bump(x, y, 0, nose_y, 0.28, 0.25)
        + 0.15 * bump(m, y, who["nose_half"], wing_y, 0.15, 0.15)
        - 0.08 * bump(x, y, 0, nose_y + 0.38, 0.4, 0.18)
        + (0.14 + 0.16 * smile) * bump(m, y, 1.15, 1.05 - 0.15 * smile, 0.5, 0.42)
        + crease * extent * jnp.tanh(across / 0.1) * jnp.exp(-((across / 0.35) ** 2))
        + 0.12 * bump(x, y, 0, (mo["top"] + mo["inner_top"]) / 2, 0.6, 0.12)
        + 0.14 * bump(x, y, 0, (mo["inner_bottom"] + mo["bottom"]) / 2, 0.5, 0.14)
        - 0.14 * bump(x, y, 0, mo["bottom"] + 0.14, 0.5, 0.12)
        + 0.18 * bump(x, y, 0, mo["bottom"] + 0.42, 0.42, 0.24)
    )


def shade(light: Numbers, height: Plane, step) -> Plane:
    """Lambert's law on the height field as seen, with some ambient light."""
    # Differences as matrix products: XLA then computes the height once, not per slice.
    last = len(height) - 1
    at, one = jnp.arange(last + 1), jnp.eye(last + 1)
    rise = one[jnp.minimum(at + 1, last)] - one[jnp.maximum(at - 1, 0)]
    slope_y = product(rise, height) / (2 * step)
    slope_x = product(height, rise.T) / (2 * step)
    facing = light["z"] - light["x"] * slope_x - light["y"] * slope_y
    strength = light["x"] ** 2 + light["y"] ** 2 + light["z"] ** 2
    cosine = facing * jax.lax.rsqrt(strength * (1 + slope_x**2 + slope_y**2))
    return over(light["ambient"], 1.15, jnp.maximum(cosine, 0))


# ---- The paint, from the skin outwards ----


def head_distance(who: Numbers, act: Numbers, x, y):
    """A skull and a jaw that drops, each an ellipse."""
    cranium = ellipse(x, y, 0, -0.35, 2.12 * who["face_width"], 2.4)
    chin = who["chin_y"] + 0.45 * act["jaw_drop"]
    jaw = ellipse(x, y, 0, chin - 1.9, 1.75 * who["jaw_width"], 1.9)
    return join(cranium, jaw, 0.5)


def hair_distance(who: Numbers, x, y):
    """The mass of hair around the head, minus the face that it leaves open."""
    m = jnp.abs(x)
    mass = ellipse(x, y, 0, -0.55, 2.18 * who["face_width"] + who["volume"], 2.75)
    fall = capsule(m, y, 1.85, -0.5, 1.9, who["hair_length"], 0.4 + who["volume"])
    mass = join(mass, fall, 0.4)
    parted = x - who["parting"]
    line = who["hairline"] + who["fringe"] * parted**2
    line = line + 0.04 * wave(1.4 * x + who["strand"])
    opening = join(
        ellipse(x, y, 0, 0.9, 2.0 * who["face_width"], 2.6),
        ellipse(x, y, 0, 1.6, 1.85 * who["face_width"], 2.6),
        0.4,
    )
    opening = jnp.maximum(opening, line - y)
    return jnp.maximum(mass, -opening)


def paint_skin(who, act, x, y):
    """Bare skin: flushed on cheeks and nose, dark around the eyes, mottled."""
    m = jnp.abs(x)
    flush = 0.07 * bump(m, y, 1.15, 1.0, 0.5, 0.4)
    flush = flush + 0.06 * bump(x, y, 0, who["nose_y"], 0.3, 0.25)
    socket = who["tired"] * bump(m, y, 0.85, 0.02, 0.5, 0.3)
    mottle = 0.012 * wave(2.7 * x + wave(1.1 * y)) * wave(2 * y + 0.5 * x)
    return who["skin"] * (1 - flush - socket + mottle)


def paint_beard(who, act, tone, x, y):
    """Stubble to a full beard on the jaw, and a moustache, in the tone of the hair."""
    m, mo = jnp.abs(x), mouth(who, act)
    lip = (mo["corner_y"] + mo["top"]) / 2
    jaw = cover(0.35 + 0.3 * jnp.clip(1.2 - m, 0, 1) - (y - lip) - 0.5 * m, 0.35)
    clean = cover(ellipse(x, y, 0, mo["bottom"] - 0.25, mo["half"] * 0.9, 0.36), 0.1)
    moustache = bump(x, y, 0, mo["top"] - 0.12, 0.62, 0.13)
    grain = 0.85 + 0.15 * wave(9 * x + wave(5 * y)) * wave(7 * y)
    beard = who["beard"] * jaw * (1 - clean) + who["moustache"] * moustache
    return over(tone, 0.8 * who["hair"] + 0.05, jnp.minimum(beard, 0.9) * grain)


def paint_creases(who, act, tone, x, y):
    """The creases that muscles draw in the skin, and the nose's own shadows."""
    m, nose_y = jnp.abs(x), who["nose_y"]
    b = brow(who, act)
    raised = jnp.maximum(act["inner_brow_raiser"], act["outer_brow_raiser"])
    waves = wave(3.3 * (y - 0.08 * x**2)) ** 4
    forehead = raised * waves * bump(x, y, 0, b["inner_y"] - 0.5, 1.0, 0.3)
    frown = act["brow_lowerer"] * bump(m, y, 0.13, b["inner_y"] + 0.02, 0.05, 0.22)
    rows = wave(3.8 * (y + 0.15 * m)) ** 2
    wrinkle = act["nose_wrinkler"] * rows * bump(x, y, 0, 0.28, 0.34, 0.32)
    across, extent = fold(m, y)
    smile = act["nose_wrinkler"] + act["lip_corner_puller"] + act["upper_lip_raiser"]
    cheek = jnp.minimum(0.15 + smile, 1) * extent * jnp.exp(-((across / 0.07) ** 2))
    chin_y = mouth(who, act)["bottom"] + 0.14
    chin = act["chin_raiser"] * bump(x, y, 0, chin_y, 0.4, 0.07)
    wing_y = nose_y + 0.08 - 0.07 * act["nose_wrinkler"]
    wing = bump(m, y, who["nose_half"] + 0.14, wing_y, 0.06, 0.15)
    nostril = bump(m, y, 0.55 * who["nose_half"], nose_y + 0.19, 0.10, 0.055)
    under = bump(x, y, 0, nose_y + 0.26, 0.36, 0.09)
    dark = 0.3 * forehead + 0.45 * frown + 0.4 * wrinkle + 0.3 * cheek + 0.3 * chin
    dark = dark + 0.3 * wing + 0.65 * nostril + 0.22 * under
    return tone * (1 - jnp.minimum(dark, 0.85))


def paint_mouth(who, act, tone, x, y, soft):
    """Lips between four bows that meet in the corners; teeth and tongue in the gap."""
    m = mouth(who, act)
    t = x / m["half"]
    arc = jnp.maximum(1 - t * t, 1e-4)
    arc = over(arc, jnp.sqrt(arc), m["round"])  # from a bow to half an ellipse
    beyond = jnp.abs(x) - m["half"]

    def edge(name):
        return m["corner_y"] + (m[name] - m["corner_y"]) * arc

    bow = 0.05 * (jnp.exp(-((x / 0.11) ** 2)) - arc)
    top, bottom = edge("top") + bow, edge("bottom")
    inner_top, inner_bottom = edge("inner_top"), edge("inner_bottom")
    lips = jnp.maximum(jnp.maximum(top - y, y - bottom), beyond)
    lip_tone = who["lip"] * (1 + 0.08 * (y > inner_bottom))
    tone = over(tone, tone * lip_tone, cover(lips, 1.5 * soft))
    gap = jnp.maximum(jnp.maximum(inner_top - y, y - inner_bottom), beyond)
    opened = m["inner_bottom"] - m["inner_top"]
    teeth = jnp.maximum(inner_top - y, y - inner_top - 0.20 - 0.1 * who["toothy"])
    slits = 1 - 0.22 * jnp.exp(-(((jnp.abs((x / 0.15) % 1 - 0.5) - 0.5) / 0.12) ** 2))
    tooth = (0.92 - 0.3 * t * t) * slits
    tongue = 0.30 * bump(x, y, 0, m["inner_bottom"] + 0.05, 0.45, 0.25)
    bite = who["teeth"] * (1 - 0.85 * act["jaw_drop"]) * cover(teeth, soft)
    inside = over(0.06 + tongue, tooth, bite)
    tone = over(tone, inside, cover(gap, soft) * cover(0.05 - opened, 0.08))
    line = jnp.exp(-(((y - inner_top) / 0.035) ** 2)) * cover(beyond, 0.1)
    corner = bump(jnp.abs(x), y, m["half"], m["corner_y"], 0.08, 0.07)
    return tone * (1 - 0.55 * jnp.maximum(line, corner))


def paint_eye(who, act, light, tone, x, y, soft):
    """The eyeball between its lids; the lids' creases, the bag below, the lashes."""
    e = eye(who, act)
    m, side = jnp.abs(x), jnp.sign(x)
    t = (m - e["x"]) / e["half"]
    line = e["corner_y"] - e["tilt"] * t
    arc = 1 - t * t
    upper, lower = line - e["upper"] * arc, line + e["lower"] * arc
    inside = cover(jnp.maximum(upper - y, y - lower), soft)
    gaze_x = m - e["x"] - side * who["gaze"]
    far = jnp.sqrt(gaze_x**2 + y**2 + 1e-6)
    white = 0.93 - 0.22 * t * t - 0.35 * cover(y - upper - 0.09, 0.2)
    ball = over(white, who["iris"], cover(far - who["iris_size"], soft))
    ball = over(ball, 0.04, cover(far - 0.09, soft))
    glint = jnp.hypot(gaze_x * side - 0.12 * light["x"], y - 0.14 * light["y"])
    ball = over(ball, 1.0, 0.9 * cover(glint - 0.045, soft))
    near = cover(jnp.abs(t) - 1.03, 0.2)
    crease = upper - 0.085 - 0.06 * who["lid"] * arc
    tone = tone * (1 - 0.35 * near * jnp.exp(-(((y - crease) / 0.045) ** 2)))
    tone = tone * (1 - 0.25 * near * jnp.exp(-(((y - lower - 0.03) / 0.05) ** 2)))
    bag = 0.14 + 0.2 * act["cheek_raiser"] + 0.12 * act["lid_tightener"]
    tone = tone * (1 - bag * near * jnp.exp(-(((y - lower - 0.16) / 0.06) ** 2)))
    tone = over(tone, ball, inside)
    lash = cover(jnp.abs(y - upper) - who["lash"] * (0.6 + 0.4 * arc), soft)
    return over(tone, 0.08, 0.85 * lash * near)


def paint_brow(who, act, tone, x, y, soft):
    """Hairs along an arch, thick at the inner end and thin at the outer."""
    b, m = brow(who, act), jnp.abs(x)
    t = (m - b["inner_x"]) / (b["outer_x"] - b["inner_x"])
    inside = jnp.clip(t, 0, 1)
    middle = b["inner_y"] + (b["outer_y"] - b["inner_y"]) * inside
    middle = middle - 4 * b["arch"] * inside * (1 - inside)
    thick = who["brow_thick"] * (1 - 0.6 * inside**2)
    past = (t - inside) * (b["outer_x"] - b["inner_x"])
    distance = jnp.hypot(y - middle, past) - thick
    hairs = (1 - 0.5 * inside**3) * (0.85 + 0.15 * wave(6 * (m + 0.6 * y)))
    return over(tone, who["brow_tone"], 0.9 * hairs * cover(distance, 2 * soft))


def paint_glasses(who, light, tone, x, y, soft):
    """Rounded lenses with glare, their rims, the bridge and the temples."""
    m = jnp.abs(x)
    dx = jnp.abs(m - 1.0) - who["lens_x"] + 0.25
    dy = jnp.abs(y - 0.1) - who["lens_y"] + 0.25
    edge = jnp.hypot(jnp.maximum(dx, 0), jnp.maximum(dy, 0))
    edge = edge + jnp.minimum(jnp.maximum(dx, dy), 0) - 0.25
    rim = jnp.abs(edge) - who["rim"]
    bridge = jnp.maximum(jnp.abs(y) - who["rim"], m - 0.36)
    temple = jnp.maximum(jnp.abs(y + 0.05) - 1.3 * who["rim"], 1.6 - m)
    frame = jnp.minimum(jnp.minimum(rim, jnp.maximum(bridge, -edge)), temple)
    glare = jnp.exp(-(((x - y - 2.2 * light["x"]) / 0.16) ** 2)) * cover(edge, soft)
    tone = over(tone, 0.95, 0.35 * who["glasses"] * glare)
    return over(tone, who["rim_tone"], who["glasses"] * cover(frame, 1.5 * soft))


def paint_hair(who, x, y):
    """Strands that run around the head, with a glossy band across them."""
    radius = jnp.sqrt(x**2 + (y - 0.3) ** 2 + 0.01)
    across = (x - 0.6 * who["parting"]) / radius
    strands = wave(9 * across + 0.4 * wave(0.5 * radius + who["strand"]))
    strands = strands + 0.8 * wave(23 * across + 0.7 * radius + 2 * who["strand"])
    gloss = jnp.exp(-(((radius - 2.15) / 0.16) ** 2)) * (1 - across**2)
    return who["hair"] * (1 + 0.08 * strands) + (0.04 + 0.15 * who["hair"]) * gloss


def paint_shoulders(who, tone, x, y, head, soft):
    """The neck in the chin's shadow, and the clothes."""
    neck = jnp.abs(x) - 1.05 * who["jaw_width"] - 0.05 * (y - 3) ** 2
    neck = jnp.maximum(neck, 1.2 - y)
    shadow = 1 - 0.55 * jnp.exp(-((jnp.maximum(head, 0) / 0.5) ** 2))
    tone = over(tone, 0.8 * who["skin"] * shadow, cover(neck, 2 * soft))
    clothes = 3.3 + 0.22 * jnp.abs(x) - y
    return over(tone, who["clothes"], cover(clothes, 2 * soft))


def render(who, act, pose, light, scene, px, py, pixel: float) -> Plane:
    """One face over a scene, at the pixels px, py of the 96-pixel frame."""
    x, y = unproject(who, pose, px, py)
    soft = 1.6 * pixel / UNIT_PX
    head, hair = head_distance(who, act, x, y), hair_distance(who, x, y)
    on_head, on_hair = cover(head, 1.5 * soft), who["haired"] * cover(hair, 2.5 * soft)
    ear = ellipse(jnp.abs(x), y, 2.10 * who["face_width"], 0.45, 0.22, 0.48)

    skin = paint_skin(who, act, x, y)
    skin = paint_beard(who, act, skin, x, y)
    skin = paint_creases(who, act, skin, x, y)
    skin = paint_mouth(who, act, skin, x, y, soft)
    skin = paint_eye(who, act, light, skin, x, y, soft)
    skin = paint_brow(who, act, skin, x, y, soft)
    skin = paint_glasses(who, light, skin, x, y, soft)

    # How near everything is to the viewer: the light falls on its slopes.
    surface = depth(who, x, y) + relief(who, act, x, y)
    surface = surface + 0.16 * who["haired"] * cover(hair, 0.35)
    _, _, near = turn(pose, x, y, surface)
    lit = shade(light, near, pixel / (UNIT_PX * pose["scale"]))
    rim = 1 - 0.45 * jnp.exp(-jnp.maximum(-head, 0) / 0.16)
    under_hair = 1 - 0.35 * who["haired"] * jnp.exp(-jnp.maximum(hair, 0) / 0.12)

    tone = paint_shoulders(who, scene, x, y, head, soft)
    ear_tone = 0.85 * who["skin"] * lit * (0.6 - 0.4 * jnp.clip(ear / 0.2, -1, 0))
    tone = over(tone, ear_tone, cover(ear, 2 * soft))
    tone = over(tone, skin * lit * rim * under_hair, on_head)
    return over(tone, paint_hair(who, x, y) * lit, on_hair)
