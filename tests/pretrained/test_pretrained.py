"""Laws of the weights that ship: whole or refused, and worth what they say."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import emotion_jax
from emotion_jax import evaluate, predict, pretrained
from emotion_jax.cli import run
from emotion_jax.data.table import FIVE, POINTS
from emotion_jax.errors import Mistake
from emotion_jax.evaluator import restore

SHARED = Path(__file__).parents[3] / "shared" / "data"
NAMES = pretrained.names()
MOST_BYTES = 16_000_000  # of all together: a clone and an installation stay light


@pytest.fixture(scope="module", params=NAMES)
def ships(request):
    """The network of each name, and what its header says."""
    return restore(request.param), pretrained.read(request.param)[1]


def test_the_combined_network_and_the_keypoints_ship():
    assert {"pretrained", "pretrained:keypoints"} <= set(NAMES)


def test_the_same_answers_as_where_it_was_packed(ships):
    """Rounding differs by machine: jax 0.7 to 0.12, any CPU, by 1e-5."""
    restored, _ = ships
    stored = pretrained.read(restored.title)[2]
    found = restored.evaluator.run(restored.variables, stored["sample/image"])
    assert found.keys() == restored.tasks.keys()
    for name, output in found.items():
        spread = np.ptp(stored[f"sample/{name}"], axis=0).min()
        assert spread > 0.2  # of the faces' answers: these are no constants
        np.testing.assert_allclose(output, stored[f"sample/{name}"], atol=1e-3)


def test_it_says_what_it_is_worth_and_on_which_faces(ships):
    restored, about = ships
    for name in restored.tasks:
        rows = [r for r in about["results"] if r[f"{name}/n"]]
        assert rows and all(row["data"] and row["split"] for row in rows)
        key = {"emotion": "emotion/accuracy", "keypoints": "keypoints/rmse_px"}[name]
        for row in rows:
            assert row[f"{key}@low"] < row[key] < row[f"{key}@high"]
    assert about["run"]["commit"] and about["run"]["packages"]["jax"]
    assert "PrivateTest" not in {row["split"] for row in about["results"]}


def test_its_card_says_what_it_may_be_used_for(ships):
    restored, _ = ships
    card = (restored.folder / pretrained.CARD).read_text()
    words = " ".join(card.replace("\\", "").split())
    assert "Article 5(1)(f)" in words and "stated nowhere" in words
    assert "for research and teaching only" in words
    weights = json.loads(header(restored.folder / pretrained.FILE)["about"])
    assert weights["sha256"] in words


def header(path: Path) -> dict:
    """As the format has it: eight bytes of length, then JSON."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size])["__metadata__"]


def test_together_they_are_small_and_hold_no_path_of_a_machine():
    files = [file for file in pretrained.HERE.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES
    for file in pretrained.HERE.glob("*/*"):
        content = file.read_bytes()
        assert not any(path in content for path in (b"/tmp/", b"/home/", b"/root/"))


def test_nothing_said_is_the_combined_network():
    model = emotion_jax.load()
    image = pretrained.read("pretrained")[2]["sample/image"][0]
    found = model.predict(image)
    assert (found.classes, found.points) == (FIVE, POINTS)
    assert found.keypoints.shape == (1, 15, 2)


def test_a_photo_is_read_in_three_lines():
    """The portrait's eyes, nose and mouth, where a person sees them, within 6 px."""
    astronaut = pytest.importorskip("skimage.data").astronaut()
    found = emotion_jax.load().find(astronaut)
    assert found.top == ("happy",)
    np.testing.assert_allclose(found.boxes, [[164, 57, 120, 120]], atol=9)
    seen = {
        "left_eye_center": (247, 103),
        "right_eye_center": (204, 101),
        "nose_tip": (225, 128),
        "mouth_left_corner": (244, 141),
        "mouth_right_corner": (204, 141),
    }
    for name, place in seen.items():
        at = found.keypoints[0, POINTS.index(name)]
        np.testing.assert_allclose(at, place, atol=6, err_msg=name)


def test_emotion_and_points_may_come_from_two_networks():
    with pytest.raises(Mistake, match="pretrained and pretrained:keypoints both give"):
        predict.load(["pretrained", "pretrained:keypoints"])


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The files that ../shared makes."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data")
    folder = tmp_path_factory.mktemp("real")
    make = [sys.executable, SHARED / "make_csv.py", folder, "--person"]
    subprocess.run(make, check=True)
    return folder


@pytest.mark.long
def test_the_numbers_it_says_come_again(ships, real):
    restored, about = ships
    for row in about["results"]:
        source, _, file = row["data"].partition("=")
        wanted = [f"{source}={real / file}"]
        (split,) = evaluate.load_splits(restored, wanted, row["split"])
        outputs = restored.evaluator.run(restored.variables, split.faces["image"])
        found = restored.evaluator.report(outputs, split)
        for key, value in found.items():
            told = row[key]
            assert value == (told and pytest.approx(told, abs=2e-3, rel=2e-3)), key


def test_no_bit_may_change_unseen(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "HERE", tmp_path)
    arrays = {"params/kernel": np.ones((2, 3), np.float16)}
    pretrained.write(tmp_path / "combined", {"meta": {"side": 48}}, arrays)
    path = tmp_path / "combined" / pretrained.FILE
    whole = path.read_bytes()
    assert pretrained.read("pretrained")[1] == {"meta": {"side": 48}}
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(Mistake, match="is damaged; install emotion_jax again"):
            pretrained.read("pretrained")


def test_a_full_disk_leaves_the_weights_as_they_were(tmp_path, monkeypatch):
    arrays = {"params/kernel": np.ones((2, 3), np.float16)}
    pretrained.write(tmp_path, {"meta": {"side": 48}}, arrays)
    path = tmp_path / pretrained.FILE
    whole = path.read_bytes()

    def half(path, content):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError):
        pretrained.write(tmp_path, {"meta": {"side": 24}}, arrays)
    assert path.read_bytes() == whole and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "name", ["pretrained:emotion8", "pretrained:", "pretrained:../x"]
)
def test_what_does_not_ship_is_told_with_what_does(name, tmp_path, capsys):
    out = tmp_path / "out"
    args = ["--checkpoint", name, "--data", "synthetic", "--out", str(out)]
    assert run(evaluate.main, args) == 2
    told = capsys.readouterr().err
    there = ", ".join(NAMES)
    assert f"--checkpoint {name}: no such weights ship; there is {there}" in told
    assert not out.exists()
