"""Folders of images, one of them damaged, odd, or none at all."""

import functools
import io
import os
import random
import struct
import zlib
from pathlib import Path

import binaries
import numpy as np
from case import DAMAGES, Case, pickled
from PIL import Image, PngImagePlugin

from emotion_jax import data

SIDE = 24


def noise(rng: random.Random, width: int = 32, height: int = 32) -> Image.Image:
    values = np.random.default_rng(rng.randrange(2**32)).integers(
        0, 256, (height, width)
    )
    return Image.fromarray(values.astype(np.uint8))


def saved(image: Image.Image, kind: str, **options) -> bytes:
    made = io.BytesIO()
    image.save(made, kind, **options)
    return made.getvalue()


def any_image(rng: random.Random) -> bytes:
    """A whole image of any of the formats that are read, or of others."""
    mode = rng.choice(["L", "RGB", "RGBA", "P", "1", "LA", "CMYK", "I;16", "I", "F"])
    kind = rng.choice(["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO"])
    try:
        return saved(noise(rng).convert(mode), kind)
    except (OSError, ValueError):  # not every format has every mode
        return saved(noise(rng), "PNG")


def read_image(rng: random.Random) -> bytes:
    """A whole image of a format that is read."""
    mode, kind = rng.choice(
        [("L", "PNG"), ("P", "PNG"), ("RGBA", "PNG"), ("L", "JPEG"), ("CMYK", "JPEG")]
        + [("RGB", "JPEG"), ("RGB", "WEBP"), ("RGBA", "WEBP")]
    )
    return saved(noise(rng).convert(mode), kind, **exif(rng))


def exif(rng: random.Random) -> dict:
    """Any rotation, or bytes that are no EXIF."""
    made = Image.Exif()
    made[0x0112] = rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 99])
    damaged = rng.choice(DAMAGES)(rng, made.tobytes())
    return rng.choice([{}, {"exif": made}, {"exif": b"Exif\0\0" + damaged}])


def chunk(kind: bytes, body: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + check


def png(width: int, height: int, bits: int, color: int, body: bytes) -> bytes:
    """A PNG that declares this size, with a body of its own."""
    head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@functools.cache
def bomb(side: int, bits: int, color: int) -> bytes:
    """A small file of a large white image."""
    row = (side * bits * {0: 1, 2: 3, 6: 4}[color] + 7) // 8 + 1
    packer = zlib.compressobj(1)
    parts = [packer.compress(bytes(row)) for _ in range(side)]
    return png(side, side, bits, color, b"".join(parts) + packer.flush())


def animated(rng: random.Random, kind: str) -> bytes:
    frames = [noise(rng) for _ in range(3)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:])


def with_text(rng: random.Random) -> bytes:
    """A PNG whose text unpacks to much more."""
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "0" * 9_000_000, zip=True)
    return saved(noise(rng), "PNG", pnginfo=info)


BYTES = {
    "whole": read_image,
    "any format": any_image,
    "empty": lambda rng: b"",
    "one byte": lambda rng: b"\x89",
    "bytes of chance": lambda rng: rng.randbytes(500),
    "text": lambda rng: b"this is a face\n",
    "SVG": lambda rng: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "EPS": lambda rng: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nquit\n",
    "zip": lambda rng: b"PK\x03\x04" + rng.randbytes(300),
    "16 bits": lambda rng: saved(noise(rng).convert("I;16"), "PNG"),
    "rotated": lambda rng: saved(noise(rng, 40, 20), "JPEG", **exif(rng)),
    "no width": lambda rng: png(0, 9, 8, 0, zlib.compress(bytes(90))),
    "one pixel": lambda rng: saved(noise(rng, 1, 1), "PNG"),
    "a line": lambda rng: saved(noise(rng, 3000, 1), "PNG"),
    "a column": lambda rng: saved(noise(rng, 1, 3000), "JPEG"),
    "animated GIF": lambda rng: animated(rng, "GIF"),
    "animated PNG": lambda rng: animated(rng, "PNG"),
    "animated WebP": lambda rng: animated(rng, "WEBP"),
    "declared 2^31": lambda rng: png(2**31 - 1, 2**31 - 1, 8, 0, zlib.compress(b"")),
    "declared and absent": lambda rng: png(6000, 6000, 16, 0, zlib.compress(b"")),
    "bomb of 1 bit": lambda rng: bomb(30_000, 1, 0),
    "just under the cap": lambda rng: bomb(7_000, 16, 0),
    "just under, in color": lambda rng: bomb(7_000, 8, 6),
    "just over the cap": lambda rng: bomb(7_100, 8, 0),
    "over Pillow's first cap": lambda rng: bomb(10_000, 1, 0),
    "text bomb": with_text,
    "wrong check sum": lambda rng: saved(noise(rng), "PNG")[:-20] + bytes(20),
    "palette gone": lambda rng: png(9, 9, 8, 3, zlib.compress(bytes(90))),
    "short body": lambda rng: png(32, 32, 8, 0, zlib.compress(bytes(100))),
    "body of chance": lambda rng: png(32, 32, 8, 0, rng.randbytes(100)),
    "profile of chance": lambda rng: saved(
        noise(rng), rng.choice(["PNG", "JPEG"]), icc_profile=rng.randbytes(900)
    ),
    "transparency": lambda rng: saved(
        noise(rng).convert("P"), "PNG", transparency=rng.randbytes(200)
    ),
}


def deep(rng: random.Random, root: Path, image: bytes) -> None:
    """A thousand folders in each other."""
    at = os.getcwd()
    os.chdir(root / "calm")
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")
    Path("0.png").write_bytes(image)
    os.chdir(at)


def only_images(rng: random.Random, root: Path, image: bytes) -> None:
    for file in list(root.glob("*/*")):
        file.rename(root / file.name)
    for folder in list(root.iterdir()):
        if folder.is_dir():
            folder.rmdir()


def with_splits(rng: random.Random, root: Path, image: bytes) -> None:
    """Folders of splits, beside folders of classes or alone."""
    for split in rng.sample(["train", "VALID", "test", "Training"], 2):
        (root / split / "calm").mkdir(parents=True)
        (root / split / "calm" / "0.png").write_bytes(image)
    if rng.random() < 0.7:
        (root / "calm").rename(root / split / "more")
        (root / "tense").rename(root / split / "tense")


def named(name: str | bytes):
    """An image of this name beside the others."""

    def put(rng: random.Random, root: Path, image: bytes) -> None:
        with open(
            os.path.join(os.fsencode(root / "calm"), os.fsencode(name)), "wb"
        ) as f:
            f.write(image)

    return put


def of_class(name: str | bytes):
    """A class of this name."""

    def put(rng: random.Random, root: Path, image: bytes) -> None:
        folder = os.path.join(os.fsencode(root), os.fsencode(name))
        os.mkdir(folder)
        with open(os.path.join(folder, b"0.png"), "wb") as file:
            file.write(image)

    return put


def a_pickle(rng: random.Random, root: Path, image: bytes) -> None:
    (root / "calm" / "bad.png").write_bytes(pickled(root))


PLACES = {
    "a pickle": a_pickle,
    "deep": deep,
    "no class folders": only_images,
    "splits": with_splits,
    "a link to itself": lambda rng, root, image: (root / "calm" / "x.png").symlink_to(
        "x.png"
    ),
    "a link up": lambda rng, root, image: (root / "calm" / "up").symlink_to(".."),
    "classes in a circle": lambda rng, root, image: (root / "up").symlink_to("."),
    "a link to nothing": lambda rng, root, image: (root / "calm" / "x.png").symlink_to(
        "y"
    ),
    "a folder as image": lambda rng, root, image: (root / "calm" / "x.png").mkdir(),
    "a pipe as image": lambda rng, root, image: os.mkfifo(root / "calm" / "x.png"),
    "an empty class": lambda rng, root, image: (root / "happy").mkdir(),
    "a file as class": lambda rng, root, image: (root / "happy").write_bytes(image),
    "no suffix": named("face"),
    "suffix in capitals": named("FACE.PNG"),
    "hidden": named(".hidden.png"),
    "only a suffix": named(".png"),
    "a newline": named("a\nb.png"),
    "no UTF-8": named(b"\xff\xfe.png"),
    "a bad name and bad bytes": lambda rng, root, image: named(b"\xff\n.png")(
        rng, root, b""
    ),
    "a long name": named("x" * 250 + ".png"),
    "class of no UTF-8": of_class(b"\xff\xfe"),
    "class of a newline": of_class("a\nb"),
    "class of a comma": of_class("a,b=c:5"),
    "class of spaces": of_class("   "),
    "only one class": lambda rng, root, image: rename_all(root, "calm"),
}
ROOTS = [
    "",
    ".",
    "faces/calm",
    "faces/calm/0.png",
    "none",
    "/dev/null",
    "x" * 5000,
    "/proc",
]


def rename_all(root: Path, name: str) -> None:
    for file in list(root.glob("tense/*")):
        file.rename(root / name / f"t{file.name}")
    (root / "tense").rmdir()


def make(rng: random.Random, number: int, folder: Path) -> Case:
    """The case of this number: every oddity in turn, damaged bytes between."""
    root = folder / "faces"
    for i in range(24):
        file = root / ("tense" if i % 2 else "calm") / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(saved(noise(rng), "PNG"))
    kinds = [*BYTES, *DAMAGES, *DAMAGES, *PLACES, *DAMAGES, *DAMAGES, "a root"]
    kind, place = kinds[number % len(kinds)], "faces"
    suffix = rng.choice(["png", "png", "jpg", "JPEG", "webp"])
    if kind in BYTES:
        (root / "calm" / f"x.{suffix}").write_bytes(BYTES[kind](rng))
    elif kind in DAMAGES:
        (root / "calm" / f"x.{suffix}").write_bytes(kind(rng, read_image(rng)))
    elif kind in PLACES:
        PLACES[kind](rng, root, any_image(rng))
    else:
        place = rng.choice(ROOTS)
    name, skips = getattr(kind, "__name__", kind), rng.random() < 0.4
    if number % 7 == 0:
        fields = {"data.sources": {"folder": {"skip_bad": skips}}}
        fields |= {"tasks": {"emotion": {"classes": ("calm", "tense")}}}
        args = ["--config", binaries.write_config(folder, fields), "--workdir", "run"]
        train = [*args, "--data", f"folder={place}"]
        return Case(f"{name}, train", binaries.train, train)
    return Case(name, functools.partial(read, skips), [f"folder={place}"])


def read(skip_bad: bool, args: list[str]) -> None:
    """As every binary reads a source."""
    source, path, options = data.parse_source(args[0])
    data.load(source, path, SIDE, skip_bad=skip_bad, **options)
