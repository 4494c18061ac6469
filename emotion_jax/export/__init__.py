"""Export a checkpoint to run without this package, and often without Python.

  python -m emotion_jax.export --checkpoint runs/first --format onnx --out exported
  python -m emotion_jax.export --checkpoint pretrained --format stablehlo --out exported

Every artifact takes uint8[n, side, side, 1] gray images, n at least 1, and normalises
them itself. Its outputs, by name, are `emotion` (probabilities), `emotion_logits`, and
`keypoints` in pixels of the image, whichever the network was trained for. Its metadata
holds `classes`, `points`, `side`, `format_version`, and the `preprocessing` in words.

  onnx       model.onnx, in float32.
  onnx-int8  model.onnx, its convolutions in 8 bits; the loss is measured on faces not
             used for calibration, printed, and kept as `quantization`.
  stablehlo  model.stablehlo for CPU, CUDA and TPU, its metadata in model.json. With
             jax alone:

               import jax, jax.export
               blob = bytearray(open("exported/model.stablehlo", "rb").read())
               answers = jax.export.deserialize(blob).call(images)

  savedmodel TensorFlow's folder, of its own operations, for TensorFlow Serving. The
             signature `metadata` returns the metadata; model.json has it too.
  tflite     model.tflite for LiteRT; metadata inside, as `emotion_jax`, and model.json.
             It cannot refuse images of another side, as the other formats do.
  web        a page for any static file server: it finds the faces of a photo or the
             webcam and reads them in the browser, which sends nothing anywhere.
             onnxruntime-web comes from npm, or from --ort-web DIR, a folder with its
             files. To look at it: python -m http.server --directory exported

A file of the same name in --out is replaced as a whole; other files there stay.
"""

import argparse
import dataclasses
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emotion_jax import bucket, cli, logs, registry
from emotion_jax.errors import Mistake, Stopped
from emotion_jax.evaluator import Restored, restore
from emotion_jax.export import onnx, onnx_int8, savedmodel, stablehlo, tflite, web
from emotion_jax.export.program import Reader
from emotion_jax.files import whole

Files = dict[str, bytes]


@dataclasses.dataclass(frozen=True)
class Format:
    """A file format for networks.

    Attributes:
      make: from a restored network, and the value of the flag that it `takes`, to the
        contents of its files by name.
      load: loads these files in their runtime, as a function of images; None if they
        hold no program, such as weights alone.
      needs: the pip packages that it needs.
      takes: a flag that only this format has.
      check: raises for a value of that flag that `make` would find wrong.
      names: patterns that its file names match.
      folder: a folder in --out that it also writes to.
    """

    make: Callable[..., Files]
    load: Callable[[Files], Reader] | None
    needs: tuple[str, ...] = ()
    takes: str | None = None
    check: Callable[[Any], None] = lambda given: None
    names: tuple[str, ...] = ("model.*",)
    folder: str = ""


ONNX = ("onnx", "onnxruntime")
SAVED = ("model.json", "*.pb", "variables.*")
PAGE = ("*.html", "*.css", "*.js", "*.svg", "*.onnx", "*.json", "*.wasm", "*LICENSE*")
FORMATS = {
    "stablehlo": Format(stablehlo.make, stablehlo.load),
    "onnx": Format(onnx.make, onnx.load, ONNX),
    "onnx-int8": Format(onnx_int8.make, onnx.load, ONNX, takes="data"),
    "savedmodel": Format(
        savedmodel.make,
        savedmodel.load,
        ("tensorflow",),
        names=SAVED,
        folder="variables",
    ),
    "tflite": Format(tflite.make, tflite.load, ("tensorflow", "ai_edge_litert")),
    "web": Format(
        web.make, onnx.load, ONNX, takes="ort_web", check=web.check, names=PAGE
    ),
}
OWN = {"data": "looks at no faces", "ort_web": "makes no page"}


def check(flags: argparse.Namespace, format: Format) -> None:
    """Raises for problems that would otherwise show only after the slow part."""
    name, out = flags.format, flags.out
    missing = [p for p in format.needs if importlib.util.find_spec(p) is None]
    if missing:
        raise Mistake(
            f"--format {name} needs {' and '.join(missing)}: "
            f"pip install {' '.join(missing)}"
        )
    for flag, why in OWN.items():
        if getattr(flags, flag) and format.takes != flag:
            written = flag.replace("_", "-")
            raise Mistake(f"--format {name} {why}: leave --{written} out")
    cli.check_folder("--out", out, format.names)
    if format.folder and isinstance(out, Path):  # a bucket has no folders
        cli.check_folder("--out", out / format.folder, format.names)
    if format.takes:
        format.check(getattr(flags, format.takes))


def differences(
    format: Format, files: Files, restored: Restored
) -> Mapping[str, float]:
    """How much the files' outputs differ from the network's own, by output."""
    if format.load is None:
        return {}
    side = restored.meta.side
    image = np.random.default_rng(0).integers(0, 256, (16, side, side, 1), np.uint8)
    found = format.load(files)(image)
    expected = restored.evaluator.run(restored.variables, image)
    found |= {name: found.get(f"{name}_logits", found[name]) for name in expected}
    return {
        name: float(np.abs(found[name] - output).max())
        for name, output in expected.items()
    }


def write(files: Files, out: Path) -> None:
    """Writes each file whole or not at all."""
    try:
        for name, content in files.items():
            place = out / name
            place.parent.mkdir(parents=True, exist_ok=True)
            with whole(place) as partial:
                partial.write_bytes(content)
    except OSError as error:
        raise Stopped(f"could not write to --out {out}: {error.strerror}") from error


def main(args: list[str]) -> None:
    """The export binary."""
    parser = cli.Parser("python -m emotion_jax.export", __doc__)
    add = parser.add_argument
    add("--checkpoint", required=True, metavar="X", help=cli.CHECKPOINT)
    add("--format", required=True, help=", ".join(FORMATS))
    add("--data", **cli.SOURCES, help="onnx-int8: faces; default: the run's own val")
    add("--ort-web", type=Path, metavar="DIR", help="web: default: fetched from npm")
    add("--out", type=bucket.place, required=True, metavar="DIR", help="for its files")
    flags = parser.parse(args)
    format = registry.pick("--format", flags.format, FORMATS)
    check(flags, format)

    restored = restore(flags.checkpoint)
    extra = [getattr(flags, format.takes)] if format.takes else []
    files = format.make(restored, *extra)
    differ = differences(format, files, restored)
    with bucket.filled(flags.out) as folder:
        write(files, folder)
    for name, difference in differ.items():
        unit = "px" if restored.tasks[name].kind == "points" else "in a logit"
        logs.say(f"{name}: at most {difference:.2g} {unit} from the network, on noise")
    sizes = (f"{name} ({len(content):,} bytes)" for name, content in files.items())
    print(f"written to {flags.out}: {', '.join(sizes)}")
