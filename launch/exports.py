r"""Compare what every export of a checkpoint answers, and how fast it is.

  python launch/exports.py --checkpoint runs/combined \
      --data keypoints=keypoints_val.csv fer2013=fer2013.csv

prints launch/results/exports.md: each one's largest difference from the training loop's
own evaluation, what 8 bits cost, and milliseconds. Formats whose packages (TensorFlow,
LiteRT, playwright and Chromium) are not installed are left out and named.
"""

import csv
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import browser
import numpy as np

from emotion_jax import checkpoint, cli, evaluate, logs, pretrained, step
from emotion_jax.data.table import Split, concatenate
from emotion_jax.errors import Mistake
from emotion_jax.evaluator import Evaluator, Restored, restore
from emotion_jax.export import FORMATS, onnx_int8
from emotion_jax.export.program import Reader
from emotion_jax.models import make_network
from emotion_jax.optim import make_optimizer
from emotion_jax.plan import Plan
from emotion_jax.report import tables
from emotion_jax.scores import softmax
from emotion_jax.sharding import abstract, make_mesh
from emotion_jax.tasks import listed, make_tasks
from emotion_jax.views import Outputs

TIMES = ((1, 200), (256, 7))  # faces at once, and how many times
TITLES = {
    "stablehlo": "StableHLO, jitted",
    "onnx": "ONNX in onnxruntime",
    "onnx-int8": "ONNX, int8",
    "savedmodel": "SavedModel in TensorFlow",
    "tflite": "TFLite in LiteRT",
}
PACKAGES = ("jax", "onnxruntime", "tensorflow-cpu", "tensorflow", "ai-edge-litert")
ALONE = """
import sys
sys.modules["emotion_jax"] = None  # importing it would raise
import jax, jax.export, numpy
blob = bytearray(open("model.stablehlo", "rb").read())
answers = jax.export.deserialize(blob).call(numpy.load("faces.npy"))
numpy.savez("answers.npz", **answers)
"""


def training_loop(restored: Restored, image: np.ndarray) -> Outputs:
    """The loop's evaluation of the whole state, restored as a resumed run would."""
    config, mesh = restored.meta.config, make_mesh()
    tasks = make_tasks(config["tasks"])
    network = make_network(tasks, **config["model"])
    optimizer = make_optimizer(Plan(8, 20, 20, 5.0), **config["optim"])
    init = step.make_init(network, optimizer, config["seed"], restored.meta.side)
    like = abstract(init, mesh)
    state = checkpoint.load_state(restored.folder, like)
    outputs = Evaluator(tasks, config["model"], mesh).run(state.variables(), image)
    return tempered(outputs, restored)


def tempered(outputs: Outputs, restored: Restored) -> Outputs:
    """The network's outputs as exports name them."""
    answers = dict(outputs)
    for name, task in restored.tasks.items():
        if task.kind == "classes":
            answers[f"{name}_logits"] = outputs[name]
            answers[name] = softmax(outputs[name] / restored.meta.temperature[name])
    return answers


def predict_binary(restored: Restored, image: np.ndarray) -> Outputs:
    """What `predict` writes for a CSV of these pixels."""
    with tempfile.TemporaryDirectory() as folder:
        faces = Path(folder) / "faces.csv"
        with faces.open("w") as file:
            rows = csv.writer(file)
            rows.writerow(["pixels"])
            rows.writerows([" ".join(map(str, face.ravel()))] for face in image)
        command = [sys.executable, "-m", "emotion_jax.predict", str(faces)]
        command += ["--checkpoint", str(restored.folder), "--out", f"{folder}/out"]
        subprocess.run(command, check=True, capture_output=True)
        with (Path(folder) / "out" / "predictions.csv").open() as file:
            rows = list(csv.DictReader(file))
    answers = {}
    for name, task in restored.tasks.items():
        if task.kind == "classes":
            columns = [f"p_{label}" for label in task.names]
        else:
            columns = [f"{point}_{axis}" for point in task.names for axis in "xy"]
        table = np.array([[float(row[c]) for c in columns] for row in rows])
        shape = (len(rows), -1, 2) if task.kind == "points" else table.shape
        answers[name] = table.reshape(shape)
    return answers


def alone(files: dict[str, bytes], image: np.ndarray) -> Outputs:
    """Runs StableHLO in a process that cannot import this package."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.stablehlo").write_bytes(files["model.stablehlo"])
        np.save(Path(folder) / "faces.npy", image)
        subprocess.run([sys.executable, "-c", ALONE], cwd=folder, check=True)
        return dict(np.load(Path(folder) / "answers.npz", allow_pickle=False))


def missing(name: str) -> str:
    """Why a format cannot be measured here, or ""."""
    if name == "web":
        return ", ".join(browser.lacking())
    needs = FORMATS[name].needs
    return ", ".join(p for p in needs if importlib.util.find_spec(p) is None)


def compare(found: Outputs, expected: Outputs) -> list[str]:
    """A row's cells: the largest differences, and how many faces agree on the class."""
    cells = []
    for name in ("emotion_logits", "emotion", "keypoints"):
        if name in found and name in expected:
            cells.append(f"{np.abs(found[name] - expected[name]).max():.1e}")
        else:
            cells.append("")
    if "emotion" in expected:
        same = found["emotion"].argmax(-1) == expected["emotion"].argmax(-1)
        return [*cells, f"{same.sum()} of {len(same)}"]
    return [*cells, ""]


def show(title: str, head: list[str], rows: Iterable[list[str]]) -> None:
    print(f"{title}:\n\n{tables.markdown(head, rows)}\n")


def make_files(restored: Restored, ort_web: Path | None) -> dict[str, dict]:
    """The files of each format that can be made and run here."""
    given, files = {"data": [], "ort_web": ort_web}, {}
    for name, format in FORMATS.items():
        if lacking := missing(name):
            print(f"Left out: {name}, for want of {lacking}.\n")
        else:
            extra = [given[format.takes]] if format.takes else []
            files[name] = format.make(restored, *extra)
    return files


def ask(
    restored: Restored, files: dict[str, dict], image: np.ndarray
) -> tuple[dict[str, Outputs], dict[str, dict]]:
    """Each one's outputs by title, and the milliseconds of those that are timed."""
    plain = restored.evaluator.run(restored.variables, image)
    found = {"`evaluate`": tempered(plain, restored)}
    found["`predict`, of a CSV"] = predict_binary(restored, image)
    found["StableHLO, where this package is not"] = alone(files["stablehlo"], image)
    speeds = {}
    for name, title in TITLES.items():
        if name in files:
            read = FORMATS[name].load(files[name])
            speeds[title] = milliseconds(read, image)
            if name not in ("stablehlo", "onnx-int8"):  # done above; meant to differ
                found[title] = read(image)
    if "web" in files:
        title = "onnxruntime-web in Chromium"
        found[title], speeds[title] = browser.read(files["web"], image, TIMES)
    return found, speeds


def milliseconds(read: Reader, image: np.ndarray) -> dict[int, float]:
    """Median milliseconds after warm-up, by the number of faces at once."""
    found = {}
    for n, count in TIMES:
        batch, took = image[:n], []
        for _ in range(count + 5):
            before = time.perf_counter()
            read(batch)
            took.append(1000 * (time.perf_counter() - before))
        found[n] = float(np.median(took[5:]))
    return found


def main(args: list[str]) -> None:
    """Prints the tables; exits 1 if any disagrees on a face's class."""
    parser = cli.Parser("python launch/exports.py", __doc__)
    parser.add_argument("--checkpoint", required=True, metavar="X")
    parser.add_argument("--data", **cli.SOURCES)
    parser.add_argument("--faces", type=int, default=500, metavar="N")
    parser.add_argument("--ort-web", type=Path, metavar="DIR")
    flags = parser.parse(args)
    restored = restore(flags.checkpoint)
    if pretrained.name_of(restored.folder):
        raise Mistake(
            f"--checkpoint {flags.checkpoint} ships without the state of its training, "
            "which is evaluated beside the exports: take a run's workdir"
        )
    splits = evaluate.load_splits(restored, flags.data, None)
    rng, part = np.random.default_rng(0), flags.faces // len(splits)
    picks = [rng.permutation(len(split))[:part] for split in splits]
    some = [split.take(rows) for split, rows in zip(splits, picks)]
    image = concatenate(some).faces["image"]
    if len(image) < max(n for n, _ in TIMES):
        raise Mistake(f"{len(image)} faces are too few: 256 at once are timed")

    print("# What every export answers, and how fast\n")
    faces = " and ".join(f"{len(s)} faces of {tables.source(s)}" for s in some)
    print(f"`python launch/exports.py {' '.join(args)}`: a network of")
    print(f"{listed(restored.tasks)} at {restored.meta.side} pixels, on {faces}.")
    print(f"\n{machine()}\n")
    expected = training_loop(restored, image)
    files = make_files(restored, flags.ort_web)
    found, speeds = ask(restored, files, image)
    rows = {title: compare(answers, expected) for title, answers in found.items()}
    head = ["", "logit", "probability", "point, px", "same class"]
    cells = [[title, *row] for title, row in rows.items()]
    show("Largest differences from the training loop's own evaluation", head, cells)
    if "onnx-int8" in files:
        what = "What 8 bits cost, on faces that they were not calibrated on"
        costs = [eight_bits(restored, files, split) for split in splits]
        show(what, ["faces", "number", "float32", "int8"], sum(costs, []))
    head = ["", "1 face", "256 faces", "faces a second"]
    show("Milliseconds, the median", head, map(speed, speeds.items()))
    if "web" in files and (told := browser.live(files["web"])):
        print(f"The page in headless Chromium, a 640x480 camera: {told}\n")
    agreed = [cells[-1].split(" of ") for cells in rows.values() if cells[-1]]
    sys.exit(any(same != all_ for same, all_ in agreed))


def machine() -> str:
    """The machine and the code that it all ran on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    cpu = models[0] if models else platform.processor()
    installed = {
        d.name.replace("_", "-"): d.version for d in importlib.metadata.distributions()
    }
    versions = [f"{name} {installed[name]}" for name in PACKAGES if name in installed]
    python = f"Python {platform.python_version()}"
    return (
        f"{cpu}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        f"{', '.join([python, *versions])}; commit {logs.commit()}"
    )


def eight_bits(restored: Restored, files: dict, split: Split) -> list[list[str]]:
    """A split's main numbers in float32 and in int8."""
    exact, rounded = (
        onnx_int8.headlines(restored, files[name]["model.onnx"], split)
        for name in ("onnx", "onnx-int8")
    )
    where = tables.describe(split)
    return [[where, key, f"{exact[key]:.4f}", f"{rounded[key]:.4f}"] for key in exact]


def speed(measured: tuple[str, dict]) -> list[str]:
    title, ms = measured
    return [title, f"{ms[1]:.2f}", f"{ms[256]:.0f}", f"{256_000 / ms[256]:,.0f}"]


if __name__ == "__main__":
    cli.main(main)
