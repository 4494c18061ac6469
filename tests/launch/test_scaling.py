"""Laws of what several devices add to a step, and the script's command line."""

import json
import subprocess
import sys
from pathlib import Path

import hlo
import jax
import jax.numpy as jnp
import pytest
import rig as rigs
import scaling
import tiny

from emotion_jax import cli, sharding

ROOT = Path(__file__).parents[2]
FACES = 32  # a device


def config(**fields):
    return tiny.config(augment={}, **fields)


@pytest.fixture(scope="module")
def rows():
    return scaling.with_ratios([scaling.count(config(), n, FACES) for n in (1, 2, 8)])


def test_the_same_faces_a_device_are_the_same_work(rows):
    for row in rows:
        assert row["flops_ratio"] == pytest.approx(1, abs=0.03)
        assert row["bytes_ratio"] == pytest.approx(1, abs=0.05)


def test_gradients_are_summed_over_several_devices_and_not_on_one(rows):
    one, *several = rows
    assert one["collectives"] == {}
    for row in several:
        assert set(row["collectives"]) == {"all-reduce"}
        assert row["collectives"]["all-reduce"]["bytes"] >= row["gradient_bytes"] > 0
    assert scaling.growing(rows) == []


def test_work_on_all_faces_on_every_device_is_seen(rows, monkeypatch):
    monkeypatch.setattr(sharding, "split", sharding.whole)
    row = scaling.count(config(), 2, FACES)
    assert row["flops"] > 1.8 * rows[0]["flops"]


def test_collectives_that_grow_are_those_of_faces():
    def row(devices, **kinds):
        counts = {kind: {"count": 1, "bytes": size} for kind, size in kinds.items()}
        return {"devices": devices, "collectives": counts}

    rows = [row(1), row(2, gather=100, sum=8), row(8, gather=400, sum=8, other=1)]
    assert scaling.growing(rows) == ["gather", "other"]


@pytest.mark.parametrize("fsdp", [True, False])
def test_a_rig_keeps_the_state_in_parts_where_its_config_does(fsdp):
    mesh = sharding.make_mesh(jax.devices()[:2])
    like = rigs.Rig(config(fsdp=fsdp), mesh, 16, 64).like
    layouts = {x.sharding for x in jax.tree.leaves(like.params)}
    assert (layouts != {sharding.whole(mesh)}) is fsdp


def test_collectives_inside_a_loop_are_counted():
    """Which the lines of the main computation do not show."""
    mesh = sharding.make_mesh(jax.devices()[:2])

    def total(x):
        def body(i, y):
            y = y.sum(0, keepdims=True) * jnp.ones_like(x)
            return jax.lax.with_sharding_constraint(y, sharding.split(mesh))

        return jax.lax.fori_loop(0, 3, body, x)

    x = jax.ShapeDtypeStruct((8, 4), "float32", sharding=sharding.split(mesh))
    text = jax.jit(total).lower(x).compile().as_text()
    outer = hlo.operations(text)
    inner = hlo.operations(text, inner=True)
    assert hlo.collectives(outer) == {}
    assert hlo.collectives(inner)["all-reduce"] == {"count": 1, "bytes": 16}


@pytest.mark.parametrize(
    "flag, sentence", [("--faces=0", "at least 1"), ("--face=8", "did you mean")]
)
def test_a_wrong_flag_is_a_sentence(capsys, flag, sentence):
    assert cli.run(scaling.main, ["--config=configs/fer5.py", flag]) == 2
    told = capsys.readouterr().err
    assert sentence in told and "Traceback" not in told


def test_it_helps(capsys):
    assert cli.run(scaling.main, ["--help"]) == 0
    assert "--faces" in capsys.readouterr().out


@pytest.mark.long
def test_two_processes_compile_what_one_does(tmp_path):
    command = [sys.executable, "launch/scaling.py", "--config=configs/fer5.py"]
    command += ["--faces=16", f"--out={tmp_path}", "--config.optim.name=sgd"]
    command += ["--config.model.blocks=(1,)", "--config.model.width=8"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    (path,) = tmp_path.glob("scaling_fer5_*.json")
    written = json.loads(path.read_text())
    assert written["same_in_processes"] and len(written["in_processes"]) == 2
    assert [row["devices"] for row in written["rows"]] == [1, 2, 4, 8]
    assert written["commit"] and written["packages"]["jax"] == jax.__version__
