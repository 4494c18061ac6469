"""Many faces in one picture: tiles on a dark ground, points drawn, captions below.

A point's color shows its side of the face, so that a mirror image whose left and right
were not swapped shows at a glance.
"""

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8
from PIL import Image

from emotion_jax import files
from emotion_jax.data.image import resize
from emotion_jax.data.table import Raw
from emotion_jax.report.labels import labels_of

GROUND, INK, CROSS = "#1c1c1e", "#d6d6db", "#ff3b30"
SIDES = {"left": "#3f9bff", "right": "#35c759", "middle": "#ffb340"}
COLUMNS, MOST = 8, 24  # in a row, and on a sheet
NAME = 14  # letters of a file's name that fit below a tile
GAP, LINE, DPI = 4, 18, 100  # in pixels: between tiles, for a caption; and per inch


def sides(names: Sequence[str]) -> list[str]:
    """Each point's side: the subject's left, right, or the middle."""
    words = [name.split("_") for name in names]
    return [
        next((side for side in ("left", "right") if side in w), "middle") for w in words
    ]


def even(n: int) -> int:
    """Columns for n faces: as few rows as COLUMNS take, and none much shorter."""
    rows = -(-n // COLUMNS)
    return -(-n // rows)


@contextlib.contextmanager
def any_script() -> Iterator[None]:
    """Draws names in a script that the font lacks as boxes, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def short(text: str, most: int = 20) -> str:
    """A text shortened to leave room for its neighbours."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def named(
    rows: Int64[np.ndarray, " n"],
    extra: Mapping[str, np.ndarray],
    some: Int64[np.ndarray, " m"],
) -> list[str]:
    """What a sheet calls some faces: the end of their file's name, or else their row.

    Args:
      rows: of all faces, in their source; `extra` holds their files, if they have any.
    """
    if "file" not in extra:
        return [f"row {row}" for row in rows[some]]
    names = [Path(file).name for file in extra["file"][some]]
    return [name if len(name) <= NAME else f"…{name[1 - NAME :]}" for name in names]


def evenly(rows: Int64[np.ndarray, " n"], most: int) -> Int64[np.ndarray, " m"]:
    """At most `most` of the rows, evenly spread."""
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]


def draw(
    path: Path,
    image: UInt8[np.ndarray, "n h w 1"],
    captions: Sequence[str],
    *,
    heading: str = "",
    columns: int = COLUMNS,
    group: int = 0,
    tile: int = 112,
    names: Sequence[str] = (),
    points: Float[np.ndarray, "n p 2"] | None = None,
    known: Bool[np.ndarray, "n p"] | None = None,
    crosses: Float[np.ndarray, "n p 2"] | None = None,
    heat: Float[np.ndarray, "n h2 w2"] | None = None,
) -> None:
    """Draws the faces row by row.

    Args:
      captions: one per face, of any number of lines; a row of empty ones takes no room.
      group: leave a wider gap after this many columns.
      names: of the points, which are in pixels of `image`.
      crosses: the points that a network predicts.
      heat: a map to light each face with, from 0 to 1, of any resolution.
    """
    from matplotlib.figure import Figure  # import it only when drawing

    n, side = len(image), image.shape[1]
    x, y, width, height = places(captions, min(columns, n), group, tile)
    above = LINE if heading else 0
    y, height = y + above, height + above
    canvas = np.full((height, width), int(GROUND[1:3], 16), np.uint8)
    for face, left, top in zip(resize(image, tile), x, y, strict=True):
        canvas[top : top + tile, left : left + tile] = face[..., 0]
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.axis("off")
    axis.imshow(canvas, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axis.set(autoscale_on=False)
    if heat is not None:
        draw_heat(axis, heat, x, y, canvas.shape, tile)
    said = [(heading, GAP, GAP)]
    for text, left, top in zip(captions, x, y, strict=True):
        lines = enumerate(text.split("\n"))
        said += [(line, left, top + tile + k * LINE) for k, line in lines]
    for text, left, top in said:
        style = {"color": INK, "fontsize": 7.5, "va": "center", "parse_math": False}
        axis.text(left, top + LINE / 2 - 1, text, **style)
    scale, corners = tile / side, np.stack([x, y], -1)
    if points is not None and known is not None:
        for kind, color in SIDES.items():
            shown = known & np.equal(sides(names), kind)
            look = {"marker": ".", "color": color, "markersize": tile / 28}
            draw_points(axis, points, shown, corners, scale, tile, look)
    if crosses is not None:
        look = {"marker": "+", "color": CROSS, "markersize": tile / 26}
        everywhere = np.ones(crosses.shape[:2], bool)
        draw_points(axis, crosses, everywhere, corners, scale, tile, look)
    save_small(figure, path)


def save_small(figure, path: Path) -> None:
    """Saves it as a PNG of 256 colors: half the size, and the eye sees no difference.

    At its own resolution, whatever matplotlib is set to, or tiles would be stretched.
    """
    with files.whole(path) as partial:
        with any_script():
            figure.savefig(partial, dpi=DPI)
        with Image.open(partial, formats=["PNG"]) as opened:
            picture = opened.convert("RGB")
        colors = Image.Quantize.MAXCOVERAGE
        few = picture.quantize(256, colors, dither=Image.Dither.NONE)
        few.save(partial, optimize=True)


def draw_points(
    axis,
    points: Float[np.ndarray, "n p 2"],
    shown: Bool[np.ndarray, "n p"],
    corners: Int64[np.ndarray, "n 2"],
    scale: float,
    tile: int,
    look: Mapping,
) -> None:
    """Draws the points that are shown and lie inside their face's tile."""
    scaled = (points + 0.5) * scale - 0.5
    shown = shown & ((scaled >= 0) & (scaled < tile)).all(-1)
    axis.plot(*(scaled + corners[:, None])[shown].T, ls="", **look)


def draw_heat(
    axis,
    heat: Float[np.ndarray, "n h2 w2"],
    x: Int64[np.ndarray, " n"],
    y: Int64[np.ndarray, " n"],
    shape: tuple[int, int],
    tile: int,
) -> None:
    """Lights each tile by its own map, smoothly."""
    light = np.zeros(shape, np.float32)
    for each, left, top in zip(np.float32(heat), x, y, strict=True):
        soft = Image.fromarray(each).resize((tile, tile), Image.Resampling.BICUBIC)
        light[top : top + tile, left : left + tile] = soft
    light = light.clip(0, 1)
    axis.imshow(light, cmap="inferno", vmin=0, vmax=1, alpha=0.6 * light)


def draw_rows(
    path: Path,
    raw: Raw,
    some: Int64[np.ndarray, " m"],
    captions: Sequence[str],
    **options,
) -> None:
    """Draws some rows of a source, with the points that are known."""
    labels = labels_of(raw, "points")
    found = marks([(one.names, one.value[some], one.known[some]) for one in labels])
    draw(path, raw.image[some], captions, **found, **options)


def marks(labels: Sequence[tuple[Sequence[str], np.ndarray, np.ndarray]]) -> dict:
    """What `draw` takes to draw the points of some labels: names, points, known."""
    if not labels:
        return {}
    names, points, known = zip(*labels, strict=True)
    return {
        "names": [name for some in names for name in some],
        "points": np.concatenate(points, axis=1),
        "known": np.concatenate(known, axis=1),
    }


def places(captions: Sequence[str], columns: int, group: int, tile: int) -> tuple:
    """Each tile's left and top edge, and the picture's width and height."""
    n = len(captions)
    across, down = np.arange(n) % columns, np.arange(n) // columns
    lines = np.array([len(text.split("\n")) if text else 0 for text in captions])
    most = np.maximum.reduceat(lines, range(0, n, columns))  # of each row of faces
    tops = GAP + np.cumsum([0, *(tile + GAP + LINE * most)])
    wider = across // group * 3 * GAP if group else 0
    x = GAP + across * (tile + GAP) + wider
    return x, tops[down], int(x.max() + tile + GAP), int(tops[-1])
