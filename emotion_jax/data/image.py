"""Opens, rotates, grays and resizes images, alike for training, evaluation, photos."""

import warnings
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image

FORMATS = ("PNG", "JPEG", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
# What `gray` and `resize`, and then step.py, do: the text that exports carry.
PREPROCESSING = (
    "Gray: 0.299 R + 0.587 G + 0.114 B, rounded (Pillow's L). Then resized to {side} x "
    "{side}, bilinear with half-pixel centres, antialiased when shrinking (Pillow's "
    "BILINEAR). The model takes these uint8 values; inside, x becomes (x / 255 - 0.5) "
    "* 4. Points are in pixels of this image, the centre of its top-left pixel at "
    "(0, 0)."
)
MOST_PIXELS = 50_000_000
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
TURNS = {  # by EXIF orientation; 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_photo(file: Path) -> UInt8[np.ndarray, "h w 3"]:
    """One image in color, rotated as its EXIF says.

    Raises:
      UNREADABLE: the image cannot be read; `reason` says why.
    """
    with (
        warnings.catch_warnings(action="ignore"),
        Image.open(file, formats=FORMATS) as image,
    ):
        return in_color(image)


def in_color(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    """An image of any mode in color, rotated as its EXIF says."""
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels are too many")
    turned = upright(image)
    if turned.mode.startswith("I"):  # 16 bits, which Pillow would clip
        values = np.asarray(turned, np.float32) / 257
        turned = Image.fromarray(values.round().clip(0, 255).astype(np.uint8))
    return np.array(turned.convert("RGB"))


def upright(image: Image.Image) -> Image.Image:
    """The image rotated as its EXIF says, if that can be read."""
    image.load()  # a PNG's EXIF may come after its pixels
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # Pillow raises all kinds of errors for damaged EXIF
        return image
    return image if turn is None else image.transpose(turn)


def middle(width: int, height: int) -> tuple[int, int, int, int]:
    """The largest square in the middle of an image: x, y, width, height."""
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side, side


def gray(images: UInt8[np.ndarray, "n h w 3"]) -> UInt8[np.ndarray, "n h w 1"]:
    """Gray as in Pillow's mode L: the luma of ITU-R 601-2."""
    n, height, width, _ = images.shape
    pixels = images.reshape(n * height, width, 3)  # all images as one
    light = np.asarray(Image.fromarray(pixels).convert("L"))
    return light.reshape(n, height, width, 1)


def resize(
    images: UInt8[np.ndarray, "n h w 1"], side: int
) -> UInt8[np.ndarray, "n side side 1"]:
    """Resizes by Pillow's BILINEAR: half-pixel centres, antialiased when shrinking.

    Horizontally, then vertically: in one call, Pillow 13 sometimes reverses the order.
    """
    if images.shape[1:3] == (side, side):
        return images
    resized = np.empty((len(images), side, side, 1), np.uint8)
    for old, new in zip(images, resized, strict=True):
        image = Image.fromarray(old[..., 0])
        for size in ((side, image.height), (side, side)):
            image = image.resize(size, Image.Resampling.BILINEAR)
        new[..., 0] = image
    return resized


def reason(error: Exception) -> str:
    """Why a file cannot be read, without the file name that Pillow repeats."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, Image.UnidentifiedImageError):
        return "no PNG, JPEG or WebP"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MOST_PIXELS:,} pixels are too many"
    return str(error)
