"""Laws of the page: whole, on its own, asking nobody, and with Pillow's pixels."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

from emotion_jax import export
from emotion_jax.cli import run
from emotion_jax.data.image import gray, resize
from emotion_jax.data.table import FIVE
from emotion_jax.export import web
from emotion_jax.export.web import ort
from emotion_jax.photo import crop, detect

ROOT = Path(__file__).parents[2]
with_node = pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    """A folder that stands in for onnxruntime-web's."""
    folder = tmp_path_factory.mktemp("npm") / "dist"
    folder.mkdir()
    for file in ort.FILES:
        (folder / file).write_text(f"export const name = '{file}';")
    return folder.parent


@pytest.fixture(scope="module")
def made(runtime, tmp_path_factory):
    """The exported folder, of a tiny network."""
    trained = tiny.untrained(tmp_path_factory.mktemp("tiny"))
    out = tmp_path_factory.mktemp("page") / "out"
    args = ["--checkpoint", str(trained), "--format", "web", "--out", str(out)]
    assert run(export.main, [*args, "--ort-web", str(runtime)]) == 0
    (out / "package.json").write_text('{"type": "module"}')  # to node, .js is a module
    return out


def test_every_file_is_looked_for_before_it_is_made(made):
    names = [file for file in made.iterdir() if file.name != "package.json"]
    patterns = export.FORMATS["web"].names
    assert all(any(file.match(p) for p in patterns) for file in names), names


def test_the_folder_holds_the_page_its_network_and_all_that_they_name(made, runtime):
    there = {file.name for file in made.iterdir()}
    html = (made / "index.html").read_text()
    named = set(re.findall(r'(?:src|href)="([^"]+)"', html))
    for script in made.glob("*.js"):
        text = script.read_text()
        named |= set(re.findall(r'from "\./([^"]+)"', text))
        named |= set(re.findall(r'(?:load|session|URL)\("([^"]+)"[,)]', text))
    wanted = {"style.css", "page.js", "ort.js", "ort.wasm", "model.onnx", "model.json"}
    assert wanted <= named <= there
    for file, name in ort.FILES.items():
        assert (made / name).read_bytes() == (runtime / "dist" / file).read_bytes()
    told = json.loads((made / "model.json").read_text())
    assert told["side"] == 24 and told["classes"] == {"emotion": list(FIVE)}
    assert told["points"].keys() == {"keypoints"}
    assert any(name.startswith("LICENSE") for name in there)


def test_nothing_names_another_place(made):
    for file in web.page():
        text = (made / file).read_text(errors="replace")
        places = set(re.findall(r"\w+://[^\s\"')]+|(?<=[\"'(])//?\w[^\"')]*", text))
        if file.endswith((".html", ".css", ".js", ".svg")):
            assert places <= {"http://www.w3.org/2000/svg"}, file


def test_the_policy_of_the_page_allows_its_own_folder_alone(made):
    html = (made / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1]
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    assert rules.pop("default-src") == "'none'"
    assert rules.pop("script-src") == "'self' 'wasm-unsafe-eval'"
    assert set(rules.values()) <= {"'self'", "'none'"}
    assert not re.search(r"<script(?! type=\"module\" src)|<style| on\w+=|style=", html)


def test_the_scripts_ask_for_elements_that_are_there(made):
    html = (made / "index.html").read_text()
    ids, classes = (set(re.findall(rf'{x}="([\w -]+)"', html)) for x in ("id", "class"))
    page, view = ((made / f"{name}.js").read_text() for name in ("page", "view"))
    asked = set(re.findall(r'get\("([\w-]+)"\)', page + view))
    asked |= set(re.findall(r'"(\w+)"', re.search(r"\[([^]]+)\]\.map\(get\)", page)[1]))
    assert len(asked) > 6 and asked <= ids
    asked = set(re.findall(r'card\.querySelector(?:All)?\("\.([\w-]+)', view))
    assert len(asked) > 3 and asked <= classes


def test_the_detectors_numbers_are_those_of_the_package(made):
    text = (made / "detector.js").read_text()
    assert f"const SIDE = {detect.SIDE};" in text
    assert f"const SAME = {detect.SAME};" in text
    looks = [detect.CLOSER, detect.OVERLAP, detect.LOOKS, f"{detect.CONTEXT:g}"]
    assert f"LOOKS, CONTEXT] = [{', '.join(map(str, looks))}];" in text
    assert f"[SCALE, SHIFT] = [{crop.SCALE}, {crop.SHIFT}];" in text
    assert detect.SURE == 0.5 and "if (logit > 0)" in text


@with_node
def test_the_scripts_are_modules_that_node_can_read(made):
    scripts = [file for file in made.glob("*.js") if file.name != "ort.js"]
    assert len(scripts) >= 4
    for script in scripts:
        done = subprocess.run(
            ["node", "--check", script.name], cwd=made, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


RESIZE = """
import { readFileSync, writeFileSync } from "node:fs";
import { crop, gray, resize } from "./pixels.js";
const made = JSON.parse(readFileSync("cases.json")).map((image) => {
  const { size, window, face } = image;
  image.data = Uint8ClampedArray.from(image.data);
  const small = [...resize(image, ...size, window)];
  return [small, [...gray(image).data], [...crop(image, face, 24)]];
});
writeFileSync("made.json", JSON.stringify(made));
"""


@pytest.fixture(scope="module")
def resized(made, tmp_path_factory):
    """Noise, windows and sizes of all kinds, and what the page makes of them."""
    rng, cases = np.random.default_rng(0), []
    shapes = [(3000, 2), (2, 3000), (1, 1), (700, 9), *rng.integers(1, 200, (36, 2))]
    for case, (height, width) in enumerate(shapes):
        pixels = rng.integers(0, 256, (height, width, 4), np.uint8)
        if case % 3 == 0:
            pixels = pixels // 128 * 255
        window = [0, 0, width, height]
        if case % 2:
            x, y = rng.integers(0, (width, height))
            window = [x, y, *rng.integers(1, (width - x + 1, height - y + 1))]
        cases.append({"data": pixels, "width": int(width), "height": int(height)})
        cases[-1] |= {"window": list(map(int, window))}
        cases[-1] |= {"size": rng.integers(1, 100, 2).tolist()}
        corner, side = rng.integers(-50, 150, 2), rng.integers(1, 90)
        cases[-1] |= {"face": [*map(int, corner), int(side), int(side)]}
    folder = tmp_path_factory.mktemp("resize")
    told = [case | {"data": case["data"].ravel().tolist()} for case in cases]
    (folder / "cases.json").write_text(json.dumps(told))
    (folder / "resize.mjs").write_text(RESIZE)
    for file in ("pixels.js", "package.json"):
        shutil.copy(made / file, folder)
    subprocess.run(["node", "resize.mjs"], cwd=folder, check=True)
    return cases, json.loads((folder / "made.json").read_text())


@with_node
def test_gray_levels_are_pillows(resized):
    for case, (_, levels, _) in zip(*resized, strict=True):
        light = Image.fromarray(case["data"][..., :3]).convert("L")
        assert levels[::4] == levels[1::4] == levels[2::4]
        assert levels[::4] == np.asarray(light).ravel().tolist()


@with_node
def test_every_window_and_size_is_pillows_across_and_then_down(resized):
    for case, (small, _, _) in zip(*resized, strict=True):
        (x, y, width, height), size = case["window"], case["size"]
        image = Image.fromarray(case["data"][y : y + height, x : x + width, :3])
        across = image.resize((size[0], height), Image.Resampling.BILINEAR)
        expected = across.resize(size, Image.Resampling.BILINEAR)
        assert small == np.asarray(expected).ravel().tolist(), case["window"]


@with_node
def test_a_face_is_cut_as_in_python_off_the_picture_too(resized):
    for case, (_, _, face) in zip(*resized, strict=True):
        part = gray(crop.cut(case["data"][..., :3], tuple(case["face"]))[None])
        assert face == resize(part, 24).ravel().tolist(), case["face"]


def test_a_folder_without_the_runtime_is_told(tmp_path, capsys):
    args = ["--checkpoint", "nowhere", "--format", "web", "--out", str(tmp_path / "o")]
    assert run(export.main, [*args, "--ort-web", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert f"--ort-web {tmp_path} holds no ort.wasm.bundle.min.mjs" in told
    assert not (tmp_path / "o").exists()


def npm(folder: Path, script: str) -> None:
    """A stand-in for npm on the PATH."""
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)


@pytest.mark.parametrize(
    "script, code, sentence",
    [
        ("echo content > onnxruntime-web.tgz", 3, "of other contents than the known"),
        ("echo 'npm error no network' >&2; exit 1", 3, "no network"),
        (None, 2, "needs npm for it; or give --ort-web DIR"),
    ],
)
def test_what_npm_does_not_bring_is_told(
    script, code, sentence, tmp_path, monkeypatch, capsys
):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "tar").symlink_to(shutil.which("tar"))
    if script:
        npm(tools, script)
    monkeypatch.setenv("PATH", os.fspath(tools))
    trained = tiny.untrained(tmp_path / "run")
    args = [
        "--checkpoint",
        str(trained),
        "--format",
        "web",
        "--out",
        str(tmp_path / "o"),
    ]
    assert run(export.main, args) == code
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_the_page_is_installed_with_the_package(tmp_path):
    command = [sys.executable, "setup.py", "-q", "build_py", f"--build-lib={tmp_path}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    there = tmp_path / "emotion_jax" / "export" / "web" / "page"
    assert {file.name for file in there.iterdir()} == {
        file.name for file in (ROOT / "emotion_jax/export/web/page").iterdir()
    }
