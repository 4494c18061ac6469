"""Laws of every format: the same answers as the network's, the same names, one file."""

import importlib.util
import json

import jax
import jax.export
import numpy as np
import pytest
import tiny

from emotion_jax import export
from emotion_jax.cli import run
from emotion_jax.data.table import FIVE, POINTS
from emotion_jax.export import FORMATS, stablehlo
from emotion_jax.export.program import make_program

VARIANTS = ["plain", "seven", "bottleneck", "group", "antialias", "heatmap", "course"]
EXACT = ["onnx", "stablehlo", "savedmodel", "tflite"]


@pytest.fixture
def format(request):
    """A format's name, where what it needs is installed."""
    for package in FORMATS[request.param].needs:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    return request.param


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A tiny network's workdir, on synthetic faces."""
    return tiny.untrained(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize(
    "format, name",
    [("onnx", name) for name in VARIANTS]
    + [("stablehlo", "plain"), ("stablehlo", "antialias"), ("stablehlo", "heatmap")]
    + [("savedmodel", name) for name in VARIANTS]
    + [("tflite", name) for name in VARIANTS],
    indirect=["format"],
)
def test_an_export_answers_as_the_network_does(format, name, variant, images):
    restored = variant(name)
    image = images(restored.meta.side)
    files = FORMATS[format].make(restored)
    found = FORMATS[format].load(files)(image)
    expected = restored.evaluator.run(restored.variables, image)
    wanted = set()
    for task, output in expected.items():
        if restored.tasks[task].kind == "points":
            wanted |= {task}
            np.testing.assert_allclose(found[task], output, atol=1e-3)
        else:
            wanted |= {task, f"{task}_logits"}
            assert np.ptp(output, axis=0).max() > 0.01  # faces differ
            np.testing.assert_allclose(found[f"{task}_logits"], output, atol=1e-4)
            assert (found[task].argmax(-1) == output.argmax(-1)).all()
            tempered = np.exp(output / 1.5) / np.exp(output / 1.5).sum(-1)[:, None]
            np.testing.assert_allclose(found[task], tempered, atol=1e-5)
    assert set(found) == wanted
    assert all(values.dtype == np.float32 for values in found.values())


@pytest.mark.parametrize("format", EXACT, indirect=True)
def test_one_export_takes_any_number_of_images(format, variant, images):
    restored = variant("plain")
    files = FORMATS[format].make(restored)
    read = FORMATS[format].load(files)
    together = read(images(24))
    for n in (1, 2):
        some = read(images(24)[:n])
        for name, values in some.items():
            assert len(values) == n
            np.testing.assert_allclose(values, together[name][:n], atol=1e-4)


def test_the_metadata_is_the_promised_one(variant):
    metadata = make_program(variant("plain")).metadata
    assert json.loads(metadata["classes"]) == list(FIVE)
    assert json.loads(metadata["points"]) == list(POINTS)
    assert (metadata["side"], metadata["format_version"]) == ("24", "1")
    assert "24 x 24" in metadata["preprocessing"]
    assert all(isinstance(value, str) for value in metadata.values())
    metadata = make_program(variant("heatmap")).metadata
    assert json.loads(metadata["classes"]) == []


def test_stablehlo_is_for_three_platforms_and_says_its_metadata(variant):
    restored = variant("plain")
    files = stablehlo.make(restored)
    exported = jax.export.deserialize(bytearray(files["model.stablehlo"]))
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert str(exported.in_avals[0].shape) == "(n, 24, 24, 1)"
    assert json.loads(files["model.json"]) == make_program(restored).metadata


@pytest.mark.parametrize(
    "format, names",
    [
        ("onnx", ["model.onnx"]),
        ("onnx-int8", ["model.onnx"]),
        ("stablehlo", ["model.json", "model.stablehlo"]),
        ("savedmodel", ["fingerprint.pb", "model.json", "saved_model.pb", "variables"]),
        ("tflite", ["model.json", "model.tflite"]),
    ],
    indirect=["format"],
)
def test_the_binary_replaces_its_own_files_and_leaves_others(
    trained, tmp_path, format, names, capsys
):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / names[0]).write_text("old")
    args = ["--checkpoint", str(trained), "--format", format, "--out", str(tmp_path)]
    assert run(export.main, args) == 0
    found = sorted(f.name for f in tmp_path.iterdir())
    assert found == sorted([*names, "notes.txt"])
    assert (tmp_path / names[0]).read_bytes() != b"old"
    assert names[0] in capsys.readouterr().out


def test_a_format_of_weights_alone_is_written_and_compared_with_nothing(
    trained, tmp_path, monkeypatch, capsys
):
    weights = export.Format(lambda restored: {"model.txt": b"weights"}, load=None)
    monkeypatch.setitem(FORMATS, "weights", weights)
    args = ["--checkpoint", str(trained), "--format", "weights"]
    assert run(export.main, [*args, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "model.txt").read_bytes() == b"weights"
    told = capsys.readouterr()
    assert "model.txt (7 bytes)" in told.out and "network" not in told.err


@pytest.mark.parametrize(
    "args, sentence",
    [
        (["--format", "onxx"], "unknown --format 'onxx'; did you mean onnx?"),
        (["--checkpoint", "nowhere"], "--checkpoint nowhere does not exist"),
        (["--data", "synthetic"], "--format onnx looks at no faces"),
        (["--format", "onnx-int8", "--data", "fer2013=none.csv"], "none.csv"),
        (["--ort-web", "."], "--format onnx makes no page: leave --ort-web out"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    trained, tmp_path, args, sentence, capsys
):
    out = tmp_path / "out"
    known = {"--checkpoint": str(trained), "--format": "onnx"}
    known |= dict(zip(args[::2], args[1::2]))
    given = [x for flag, value in known.items() for x in (flag, value)]
    assert run(export.main, [*given, "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert sentence in told and "Traceback" not in told
    assert not out.exists()


@pytest.mark.parametrize(
    "out, reason", [("out", "out is no folder"), ("out/deeper", "Not a directory")]
)
def test_out_is_no_file(out, reason, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    args = ["--checkpoint", "nowhere", "--format", "onnx"]
    assert run(export.main, [*args, "--out", str(tmp_path / out)]) == 2
    assert reason in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize(
    "format, taken, reason",
    [
        ("onnx", "model.onnx/", "model.onnx in it is a folder"),
        ("savedmodel", "variables", "variables is no folder"),
        ("savedmodel", "saved_model.pb/", "saved_model.pb in it is a folder"),
        ("savedmodel", "variables/variables.index/", "variables.index in it is a"),
        ("web", "index.html/", "index.html in it is a folder"),
        ("web", "ort.wasm/", "ort.wasm in it is a folder"),
    ],
)
def test_what_stands_in_the_way_is_told_at_once(
    format, taken, reason, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    place = tmp_path / taken
    if taken.endswith("/"):
        place.mkdir(parents=True)
    else:
        place.write_text("mine")
    args = ["--checkpoint", "nowhere", "--format", format, "--out", str(tmp_path)]
    assert run(export.main, args) == 2
    assert reason in capsys.readouterr().err


def test_a_missing_package_is_told_with_pips_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    args = ["--checkpoint", "nowhere", "--format", "onnx", "--out", str(tmp_path)]
    assert run(export.main, args) == 2
    assert "pip install onnx onnxruntime" in capsys.readouterr().err
