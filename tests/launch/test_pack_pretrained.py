"""Laws of packing: rounded once, measured so, nothing of the machine, whole or told."""

import dataclasses
import json
import os
import re
from pathlib import Path

import numpy as np
import pack_pretrained
import pytest
import tiny

from emotion_jax import (
    checkpoint,
    cli,
    evaluate,
    logs,
    predict,
    pretrained,
    sharding,
    step,
    warm_start,
)
from emotion_jax.data.write_csv import write_csv
from emotion_jax.errors import Mistake
from emotion_jax.evaluator import restore
from emotion_jax.models import make_network
from emotion_jax.optim import make_optimizer
from emotion_jax.plan import Plan
from emotion_jax.tasks import make_tasks
from emotion_jax.trees import by_path

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Where a run and its files are, and what is packed of it."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module", autouse=True)
def packed(home):
    """Tiny networks in place of those that ship: both tasks, and the points alone."""
    write_csv(home, faces=24)
    on = ["--on", f"keypoints={home / 'keypoints.csv'}", "all"]
    with pytest.MonkeyPatch.context() as patch:
        (home / "ships").mkdir()
        patch.setattr(pretrained, "HERE", home / "ships")
        for run, name, tasks in (
            ("both", "pretrained", tiny.TASKS),
            ("points", "pretrained:keypoints", {"keypoints": {}}),
        ):
            tiny.untrained(home / run, tasks)
            environment = logs.environment() | {"commit": "abc1234"}
            (home / run / "env.json").write_text(json.dumps(environment))
            assert cli.run(pack_pretrained.main, [str(home / run), name, *on]) == 0
        yield home / "ships"


def variables(name) -> dict:
    found = checkpoint.read(str(name), sharding.make_mesh())[2]
    return by_path(found)


def test_the_arrays_are_the_runs_in_half_precision(home):
    found, expected = variables("pretrained"), variables(home / "both")
    assert found.keys() == expected.keys()
    for path, array in expected.items():
        np.testing.assert_array_equal(found[path], np.float16(array).astype(np.float32))
        assert found[path].sharding == array.sharding


def test_what_it_says_of_itself_is_the_runs_and_the_terms(home, packed):
    meta = restore("pretrained").meta
    expected = restore(str(home / "both")).meta
    assert (meta.side, meta.names) == (24, expected.names)
    assert meta.temperature == expected.temperature == dict.fromkeys(meta.names, 1.5)
    assert meta.data[0] == "synthetic" and "research" in meta.data[-1]
    card = (packed / "combined" / "model_card.md").read_text()
    assert "both, step 0" in card and "commit abc1234" in card
    where = re.findall(r"launch/\S+\.md", card)
    assert where and all((ROOT / path).exists() for path in where)


def test_its_numbers_are_of_the_rounded_parameters(home):
    (found,) = pretrained.read("pretrained")[1]["results"]
    restored = restore("pretrained")
    data = [f"keypoints={home / 'keypoints.csv'}"]
    (split,) = evaluate.load_splits(restored, data, "all")
    outputs, numbers = evaluate.numbers_of(restored, split, tta=True)
    assert found == evaluate.record(split, numbers)
    assert (found["data"], found["split"]) == ("keypoints=keypoints.csv", "all")
    exact = restore(str(home / "both"))
    _, exact = evaluate.numbers_of(exact, split, tta=False)
    assert 0 < abs(exact["keypoints/rmse_px"] - found["keypoints/rmse_px"]) < 0.1


def test_no_path_of_the_machine_ships(home, packed):
    for file in packed.glob("*/*"):
        assert os.fsencode(home) not in file.read_bytes(), file
    meta = restore(str(home / "both")).meta
    paths = {"path": "/a/fer.csv", "val": "/a/val.csv", "votes": "/b/new.csv"}
    meta.config["data"]["sources"] = {"fer2013": paths | {"labels": "mean"}}
    meta.config["init_from"] = "/runs/fer5"
    meta.config["tasks"]["emotion"]["teachers"] = ["/runs/a", "/runs/b"]
    meta.config["tasks"]["keypoints"]["teachers"] = "/runs/c"
    found = pack_pretrained.public(meta)
    assert found.config["data"]["sources"] == {"fer2013": {"labels": "mean"}}
    assert found.config["init_from"] == "fer5"
    teachers = [task["teachers"] for task in found.config["tasks"].values()]
    assert teachers == [["a", "b"], "c"]
    assert "FER2013, the ICML 2013 challenge's" in found.data[-2]


def test_it_says_to_which_side_its_labels_lie(home):
    restored = restore(str(home / "both"))
    assert pack_pretrained.habits(restored) == ()
    tasks = make_tasks({"keypoints": {"learn_offset": True}})
    off = {"params": {"offset_keypoints": np.float32([0.375, 0.1])}}
    (said,) = pack_pretrained.habits(
        dataclasses.replace(restored, tasks=tasks, variables=off)
    )
    assert "keypoints lie 1.5 pixels, of 96 across the face, to the right" in said


def test_packing_again_writes_the_same_bytes(home, packed):
    before = (packed / "combined" / pretrained.FILE).read_bytes()
    on = [(f"keypoints={home / 'keypoints.csv'}", "all")]
    pack_pretrained.pack(restore(str(home / "both")), "pretrained", on)
    assert (packed / "combined" / pretrained.FILE).read_bytes() == before


DAMAGE = {
    "cut off": lambda content: content[:-100],
    "empty": lambda content: b"",
    "no weights": lambda content: b"\x89PNG" * 50,
    "one bit of a parameter": lambda content: content[:-9] + b"\x07" + content[-8:],
    "a number that it says": lambda content: content.replace(b"1.5", b"1.6", 1),
    "a name": lambda content: content.replace(b"heads_emotion", b"heads_motions"),
    "no digest": lambda content: content.replace(b"sha256", b"sha257"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_a_sentence_and_nothing_is_written(kind, packed, tmp_path, capsys):
    path = packed / "combined" / pretrained.FILE
    whole = path.read_bytes()
    damaged = DAMAGE[kind](whole)
    assert damaged != whole
    args = ["--checkpoint", "pretrained", "--out", str(tmp_path / "out")]
    try:
        path.write_bytes(damaged)
        assert cli.run(evaluate.main, args) == 2
    finally:
        path.write_bytes(whole)
    told = capsys.readouterr().err
    assert f"--checkpoint pretrained: {path} is damaged; install emotion_jax" in told
    assert "Traceback" not in told and not (tmp_path / "out").exists()


def test_evaluations_go_to_a_folder_here(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = f"keypoints={home / 'keypoints.csv'}"
    args = ["--checkpoint", "pretrained:keypoints", "--data", data]
    assert cli.run(evaluate.main, args) == 0
    found = tiny.metrics_of(tmp_path / "evaluation")
    assert found["keypoints/n"] == 24
    page = (tmp_path / "evaluation" / "report.html").read_text()
    assert "The checkpoint is pretrained:keypoints." in page


def test_a_specialist_may_be_one_of_them(home):
    tiny.untrained(home / "emotion", {"emotion": {}})
    models = predict.load([str(home / "emotion"), "pretrained:keypoints"])
    assert [list(model.restored.tasks) for model in models] == [
        ["emotion"],
        ["keypoints"],
    ]


def test_a_run_may_start_from_them():
    tasks = make_tasks(tiny.TASKS)
    network = make_network(tasks, **tiny.MODEL)
    optimizer = make_optimizer(Plan(8, 9, 9, 5.0), **tiny.OPTIM)
    init, mesh = step.make_init(network, optimizer, 1, 24), sharding.make_mesh()
    like = sharding.abstract(init, mesh)
    given = warm_start.load("pretrained", like, mesh, tiny.MODEL, tasks)
    expected = variables("pretrained")
    assert given.keys() == expected.keys()
    for path, array in given.items():
        np.testing.assert_array_equal(array, expected[path])


def test_what_does_not_fit_half_precision_is_told(home):
    restored = restore(str(home / "points"))
    restored.variables["params"]["trunk"]["stem"]["kernel"] *= 1e9
    with pytest.raises(Mistake, match="stem/kernel does not fit into half precision"):
        pack_pretrained.halve(restored)


@pytest.mark.parametrize(
    "args, sentence",
    [
        (["{run}", "emotion7", "{on}"], "'emotion7' is no name of weights that ship"),
        (["pretrained", "pretrained", "{on}"], "packed already; name its workdir"),
        (["nowhere", "pretrained:emotion7", "{on}"], "X nowhere does not exist"),
        (["{run}", "pretrained:emotion7", "none.csv"], "none.csv"),
    ],
)
def test_mistakes_are_told_and_nothing_is_packed(home, packed, args, sentence, capsys):
    fields = {"run": home / "both", "on": f"keypoints={home / 'keypoints.csv'}"}
    run, name, data = [arg.format(**fields) for arg in args]
    if data == "none.csv":
        data = "keypoints=none.csv"
    assert cli.run(pack_pretrained.main, [run, name, "--on", data, "all"]) == 2
    assert sentence in capsys.readouterr().err
    assert not (packed / "emotion7").exists()
