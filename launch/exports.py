"""Compare what every export of a checkpoint answers, and how fast it is.

  python launch/exports.py --checkpoint runs/combined \
      --data keypoints=keypoints_val.csv fer2013=fer2013.csv

prints launch/results/exports.md: the largest difference of each from the training
loop's own evaluation, what 8 bits cost, and milliseconds. What needs a package that is
not installed (TensorFlow, LiteRT, playwright and Chromium) is left out and named.
"""

import argparse
import base64
import csv
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import browser
import jax
import numpy as np

from emotion_jax import checkpoint, evaluate, step, workdir
from emotion_jax.data.pipeline import concatenate
from emotion_jax.evaluate import Evaluator, Outputs, Restored
from emotion_jax.export import FORMATS, onnx_int8
from emotion_jax.models import make_network
from emotion_jax.optim import make_optimizer
from emotion_jax.plan import Plan
from emotion_jax.report import tables
from emotion_jax.scores import softmax
from emotion_jax.sharding import make_mesh
from emotion_jax.tasks import make_tasks

ALONE = """
import sys
sys.modules["emotion_jax"] = None  # importing it would raise
import jax, jax.export, numpy
blob = bytearray(open("model.stablehlo", "rb").read())
answers = jax.export.deserialize(blob).call(numpy.load("faces.npy"))
numpy.savez("answers.npz", **answers)
"""
READ = """async ([pixels, times]) => {
  const { Reader, start } = await import("./reader.js");
  await start();
  const reader = await Reader.open();
  const size = reader.side ** 2;
  const bytes = Uint8Array.from(atob(pixels), (c) => c.charCodeAt(0));
  const faces = [];
  for (let at = 0; at < bytes.length; at += size) {
    faces.push(bytes.subarray(at, at + size));
  }
  const answers = await reader.read(faces);
  for (let i = 0; i < 20; i += 1) await reader.read(faces.slice(0, 1));
  const ms = {};
  for (const [n, count] of times) {
    const some = faces.slice(0, n), took = [];
    for (let i = 0; i < count; i += 1) {
      const before = performance.now();
      await reader.read(some);
      took.push(performance.now() - before);
    }
    ms[n] = took.sort((a, b) => a - b)[count >> 1];
  }
  const plain = (answer) =>
    Object.fromEntries(Object.entries(answer).map(([name, x]) => [name, [...x]]));
  return { answers: answers.map(plain), ms };
}"""
TIMES = ((1, 200), (256, 7))  # faces at once, and how often


def training_loop(restored: Restored, image: np.ndarray) -> Outputs:
    """The loop's evaluation of the whole state, restored as a resumed run does."""
    config, mesh = restored.meta.config, make_mesh()
    tasks = make_tasks(config["tasks"])
    network = make_network(tasks, **config["model"])
    optimizer = make_optimizer(Plan(8, 20, 20, 5.0), **config["optim"])
    init = step.make_init(network, optimizer, config["seed"], restored.meta.side)
    like = checkpoint.abstract(init, mesh)
    state = checkpoint.load_state(restored.folder, like)
    outputs = Evaluator(tasks, config["model"], mesh).run(state.variables(), image)
    return tempered(outputs, restored)


def tempered(outputs: Outputs, restored: Restored) -> Outputs:
    """The network's outputs as exports name them."""
    answers = dict(outputs)
    for name, task in restored.tasks.items():
        if task.kind == "classes":
            answers[f"{name}_logits"] = outputs[name]
            answers[name] = softmax(outputs[name] / restored.meta.temperature)
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
    """StableHLO in a process that cannot import this package."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.stablehlo").write_bytes(files["model.stablehlo"])
        np.save(Path(folder) / "faces.npy", image)
        subprocess.run([sys.executable, "-c", ALONE], cwd=folder, check=True)
        return dict(np.load(Path(folder) / "answers.npz", allow_pickle=False))


def chromium(files: dict[str, bytes], image: np.ndarray) -> tuple[Outputs, dict]:
    """What the page's own reader answers in headless Chromium, and milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        with browser.opened(Path(folder)) as found:
            pixels = base64.b64encode(image.tobytes()).decode()
            answer = found.page.evaluate(READ, [pixels, TIMES])
    outputs = {
        name: np.array([row[name] for row in answer["answers"]], np.float32)
        for name in answer["answers"][0]
    }
    points = {k: v.reshape(len(v), -1, 2) for k, v in outputs.items() if "key" in k}
    return outputs | points, {int(n): ms for n, ms in answer["ms"].items()}


def missing(name: str) -> str:
    """Why a row cannot be measured here, or ""."""
    needs = {"predict": ["emotion_jax.predict"], "web": ["playwright"]}
    wanted = needs.get(name) or FORMATS[name].needs
    lacking = [p for p in wanted if importlib.util.find_spec(p) is None]
    if name == "web" and not shutil.which("chromium"):
        lacking.append("chromium")
    return ", ".join(lacking)


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


def milliseconds(answer: Callable[[np.ndarray], object], image: np.ndarray) -> dict:
    """Medians, by the number of faces at once, once warm."""
    found = {}
    for n, count in TIMES:
        batch, took = image[:n], []
        for _ in range(count + 5):
            before = time.perf_counter()
            answer(batch)
            took.append(1000 * (time.perf_counter() - before))
        found[n] = float(np.median(took[5:]))
    return found


def jitted(files: dict[str, bytes]) -> Callable:
    exported = jax.export.deserialize(bytearray(files["model.stablehlo"]))
    call = jax.jit(exported.call)
    return lambda image: jax.device_get(call(image))


def in_onnxruntime(files: dict[str, bytes]) -> Callable:
    import onnxruntime

    session = onnxruntime.InferenceSession(
        files["model.onnx"], providers=["CPUExecutionProvider"]
    )
    return lambda image: session.run(None, {"image": image})


def in_litert(files: dict[str, bytes]) -> Callable:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(
        model_content=files["model.tflite"], num_threads=os.cpu_count()
    )
    runner = interpreter.get_signature_runner()
    return lambda image: runner(image=image)


def in_tensorflow(files: dict[str, bytes]) -> Callable:
    import tensorflow

    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            place = Path(folder) / name
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(content)
        loaded = tensorflow.saved_model.load(folder)
    signature = loaded.signatures["serving_default"]
    return lambda image: (loaded, signature(image=tensorflow.constant(image)))


SESSIONS = {
    "stablehlo": ("StableHLO, jit", jitted),
    "onnx": ("onnxruntime, float32", in_onnxruntime),
    "onnx-int8": ("onnxruntime, int8", in_onnxruntime),
    "savedmodel": ("SavedModel, TensorFlow", in_tensorflow),
    "tflite": ("TFLite, LiteRT", in_litert),
}


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def main() -> None:
    """Prints the tables; exits 1 if an exact format disagrees on any face's class."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--data", nargs="+", default=[], metavar="SOURCE=PATH")
    parser.add_argument("--faces", type=int, default=500)
    parser.add_argument("--ort-web", type=Path)
    flags = parser.parse_args()
    restored = evaluate.restore(flags.checkpoint)
    splits = evaluate.load_splits(restored, flags.data, None)
    rng, part = np.random.default_rng(0), -(-flags.faces // len(splits))
    picks = [rng.permutation(len(split))[:part] for split in splits]
    some = [onnx_int8.take(split, rows) for split, rows in zip(splits, picks)]
    image = concatenate(some).faces["image"][: flags.faces]

    files, left_out = {}, {}
    for name, format in FORMATS.items():
        if lacking := missing(name):
            left_out[name] = lacking
        else:
            given = {"data": [], "ort_web": flags.ort_web}
            extra = [given[format.takes]] if format.takes else []
            files[name] = format.make(restored, *extra)
    expected = training_loop(restored, image)
    found = {"evaluate": tempered(evaluate_outputs(restored, image), restored)}
    if lacking := missing("predict"):
        left_out["predict"] = lacking
    else:
        found["predict, of a CSV"] = predict_binary(restored, image)
    found["StableHLO, without this package"] = alone(files["stablehlo"], image)
    for name, title in (
        ("onnx", "ONNX, onnxruntime"),
        ("savedmodel", "SavedModel, TensorFlow"),
        ("tflite", "TFLite, LiteRT"),
    ):
        if name in files:
            found[title] = FORMATS[name].run(files[name], image)
    speeds = {}
    for name, (title, open_session) in SESSIONS.items():
        if name in files:
            speeds[title] = milliseconds(open_session(files[name]), image)
    if "web" in files:
        title = "ONNX, onnxruntime-web in Chromium"
        found[title], speeds["onnxruntime-web in Chromium, one thread"] = chromium(
            files["web"], image
        )
    tell(restored, splits, some, expected, found, files, speeds, left_out)
    same = [compare(answers, expected)[-1].split(" of ") for answers in found.values()]
    sys.exit(any(agreed != all_ for agreed, all_ in same if "emotion" in expected))


def evaluate_outputs(restored: Restored, image: np.ndarray) -> Outputs:
    """The evaluation binary's."""
    return restored.evaluator.run(restored.variables, image)


def tell(restored, splits, some, expected, found, files, speeds, left_out) -> None:
    """Prints the results."""
    print("# Every export, compared\n")
    named = " and ".join(f"{len(s)} faces of {tables.source(s)}" for s in some)
    print(f"`python launch/exports.py`, a checkpoint of {' and '.join(restored.tasks)}")
    print(f"at {restored.meta.side} pixels, on {named}.\n")
    env = json.loads(json.dumps(workdir.environment()))
    print(f"{env}, {platform.processor()}\n")
    for name, lacking in left_out.items():
        print(f"Left out: {name}, for want of {lacking}.\n")
    print("Largest differences from the training loop's own evaluation:\n")
    head = ["what answers", "logit", "probability", "point, px", "same class"]
    rows = [[title, *compare(answers, expected)] for title, answers in found.items()]
    print(table(head, rows))
    if "onnx-int8" in files:
        print("What 8 bits cost:\n")
        rows = []
        for split in splits:
            kinds = [
                onnx_int8.headlines(restored, files[name]["model.onnx"], split)
                for name in ("onnx", "onnx-int8")
            ]
            for key in kinds[0]:
                values = [f"{kind[key]:.4f}" for kind in kinds]
                rows.append([tables.describe(split), key, *values])
        print(table(["faces", "number", "float32", "int8"], rows))
    print("Milliseconds, the median:\n")
    rows = [
        [title, f"{ms[1]:.2f}", f"{ms[256]:.0f}", f"{256_000 / ms[256]:,.0f}"]
        for title, ms in speeds.items()
    ]
    print(table(["", "1 face", "256 faces", "faces a second"], rows))


if __name__ == "__main__":
    main()
