"""A photo annotated with what the networks say of its faces: box, emotion, points."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from emotion_jax import files
from emotion_jax.report import mosaic

SHORTEST, LONGEST = 480, 1600  # longer side of the picture, in pixels
FINE = 3  # drawn this many times as large, for smooth edges
LINE, SHADE = (255, 255, 255, 255), (0, 0, 0, 110)
LEADING = 1.1  # from a line of text to the next, in sizes of the text


@dataclasses.dataclass(frozen=True)
class Mark:
    """What to draw for one face, in pixels of the photo.

    Attributes:
      box: x, y, width, height.
      caption: of any number of lines; "" for none.
      points: with (0, 0) the centre of the top left pixel; None for none.
    """

    box: tuple[int, int, int, int]
    caption: str
    points: Float[np.ndarray, "p 2"] | None


def draw(
    path: Path,
    photo: UInt8[np.ndarray, "h w 3"],
    marks: Sequence[Mark],
    names: Sequence[str],
) -> None:
    """Writes the annotated photo as a JPEG, neither tiny nor huge.

    Args:
      names: of the points; these choose the colors, by side of the face.
    """
    height, width = photo.shape[:2]
    longer = max(width, height)
    scale = min(max(longer, SHORTEST), LONGEST) / longer
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS)
    picture = picture.convert("RGBA")
    for mark in marks:
        draw_mark(picture, mark, names, scale)
    with files.whole(path) as partial:
        picture.convert("RGB").save(partial, "JPEG", quality=92)


def draw_mark(
    picture: Image.Image, mark: Mark, names: Sequence[str], scale: float
) -> None:
    """Draws one face's mark, on a separate layer at a much finer scale."""
    x, y, width, height = (v * scale for v in mark.box)
    thick = max(1.5, max(picture.size) / 400)
    text = round(min(max(width / 8, max(picture.size) / 45), max(picture.size) / 24))
    lines = mark.caption.split("\n")
    further = LEADING * text * (len(lines) - 1)  # from the first line to the last
    margin = 2 * text + further + 4 * thick
    reach = max(width, text * max(map(len, lines)))
    over = max(0, x + reach - picture.width)  # a caption moves left by this at most
    left, top = int(x - margin - over), int(y - margin)
    sheet_size = int(over + reach + 2 * margin), int(height + 2 * margin)
    sheet = Image.new("RGBA", tuple(FINE * v for v in sheet_size), (0, 0, 0, 0))
    pen = ImageDraw.Draw(sheet)

    def fine(values) -> list[float]:
        return [FINE * float(v) for v in values]

    edges = [x - left, y - top, x + width - left, y + height - top]
    for color, extra in ((SHADE, thick), (LINE, 0)):
        around = [edges[0] - extra / 2, edges[1] - extra / 2]
        around += [edges[2] + extra / 2, edges[3] + extra / 2]
        line = round(FINE * (thick + extra))
        pen.rounded_rectangle(fine(around), FINE * text / 2, outline=color, width=line)
    if mark.points is not None:
        at = FINE * ((mark.points + 0.5) * scale - (left, top))
        draw_points(pen, at, names, FINE * min(max(width / 75, 1.2), thick * 2))
    if mark.caption:
        # Above the box, or else below, or else inside; always within the picture.
        rise = 0.85 * text + further
        level = max(y, 0) - top + 0.95 * text
        if y - rise - 0.75 * text > 0:
            level = edges[1] - rise
        elif y + height + rise + 0.75 * text < picture.height:
            level = edges[3] + 0.85 * text
        within = fine([-left, picture.width - left])
        write(pen, lines, fine([x - left, level]), FINE * text, within)
    sheet = sheet.resize(sheet_size, Image.Resampling.BOX)
    whole = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    whole.paste(sheet, (left, top))
    picture.alpha_composite(whole)


def draw_points(
    pen: ImageDraw.ImageDraw,
    points: Float[np.ndarray, "p 2"],
    names: Sequence[str],
    radius: float,
) -> None:
    """Draws each point as a shaded dot in its side's color."""
    for (x, y), kind in zip(points.tolist(), mosaic.sides(names), strict=True):
        for color, r in ((SHADE, radius * 1.6), (mosaic.SIDES[kind], radius)):
            pen.ellipse([x - r, y - r, x + r, y + r], fill=color)


def write(
    pen: ImageDraw.ImageDraw,
    lines: Sequence[str],
    at: list[float],
    size: int,
    within: list[float],
) -> None:
    """Writes dark text on a white tag that starts at x, its first line centred on y.

    It is moved as far as is needed to lie `within` two columns, or to start at the
    first if it is wider.
    """
    import matplotlib  # its font covers more scripts than Pillow's

    file = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans-Bold.ttf"
    font = ImageFont.truetype(str(file), round(size * 0.72))
    length = max(pen.textlength(line, font) for line in lines) + size * 0.8
    (x, y), (first, last) = at, within
    x = max(min(x, last - length), first)
    levels = [y + size * LEADING * k for k in range(len(lines))]
    tag = [x, y - size * 0.6, x + length, levels[-1] + size * 0.6]
    pen.rounded_rectangle(tag, size * 0.35, fill=LINE)
    for line, level in zip(lines, levels, strict=True):
        pen.text((x + size * 0.4, level), line, "#1c1c1e", font, anchor="lm")
