"""Laws of the benchmark: what it counts is what is there, and its command line."""

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import benchmark
import jax
import jax.numpy as jnp
import peers
import pytest
import rig as rigs
import tiny

from emotion_jax import sharding
from emotion_jax.errors import Mistake
from emotion_jax.models import make_network
from emotion_jax.tasks import make_tasks

ROOT = Path(__file__).parents[2]


@pytest.fixture
def rig():
    """On one device: eight of the CPU's wait for each other, and give up, in a rush."""
    return rigs.Rig(tiny.config(), sharding.make_mesh(jax.devices()[:1]), 16, 64)


def test_a_rig_refuses_a_network_that_training_refuses():
    config = tiny.config()
    config.model = {"name": "resnet18", "blocks": (1,)}
    with pytest.raises(Mistake, match="resnet18"):
        rigs.Rig(config, sharding.make_mesh(jax.devices()[:1]), 16, 64)


def test_flops_are_two_for_each_multiply_add():
    def network(x, kernel, matrix):
        x = jax.lax.conv_general_dilated(
            x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jax.jit(jnp.matmul)(x.mean((1, 2)), matrix)

    shapes = [(1, 8, 8, 3), (5, 5, 3, 7), (7, 11)]
    jaxpr = jax.make_jaxpr(network)(*map(jnp.zeros, shapes)).jaxpr
    found = sum(map(benchmark.products, benchmark.inner(jaxpr)))
    assert found == 2 * (4 * 4 * 7 * 5 * 5 * 3) + 2 * 7 * 11


def test_a_rig_trains_with_both_feeds_and_several_steps_a_call(rig):
    for way in (
        ("resident", 1, 1),
        ("streamed", 1, 1),
        ("resident", 1, 2),
        ("resident", 1, 2, True),
    ):
        rates = rigs.training(rig, *way)
        assert len(rates) == 1 and 0 < rates[0] < 1e6


def test_the_parts_of_a_step_are_in_their_order(rig):
    found = benchmark.parts(rig, 2)
    parts = ["gather", "augment", "forward", "backward", "update", "input wait"]
    assert list(found) == parts
    assert found["backward"] > 0 and found["gather"] > 0


def test_teachers_are_a_part_of_the_step(rig, tmp_path):
    teacher = tiny.untrained(tmp_path / "teacher")
    config = tiny.config(**{"tasks.emotion.teachers": str(teacher)})
    taught = rigs.Rig(config, rig.mesh, 16, 64)
    assert 0 < rigs.training(taught, "resident", 1, 2)[0] < 1e6
    assert list(benchmark.parts(taught, 1))[:3] == ["gather", "augment", "teach"]

    def flops(rig):
        step = rig.train_step(rig.feed("resident"))
        return step.lower(rig.like, *rig.inputs_like()).cost_analysis()["flops"]

    assert flops(taught) > 1.2 * flops(rig)
    config.tasks.emotion.teachers = str(tmp_path / "none")
    with pytest.raises(Mistake, match="teachers .*none does not exist"):
        rigs.Rig(config, rig.mesh, 16, 64)


def test_seconds_are_of_one_call():
    found = rigs.seconds(lambda: time.sleep(0.01), 3, at_least_s=0.05)
    assert len(found) == 3 and all(0.01 <= second < 0.05 for second in found)
    assert rigs.spread([3.0, 1.0, 2.0]) == {"median": 2.0, "low": 1.0, "high": 3.0}


@pytest.mark.parametrize(
    "flag, sentence",
    [
        ("--repeats=0", "at least 1"),
        ("--compare=torchh", "did you mean"),
        ("--batch-size=-8", "at least 1"),
        ("--calls=1", "at least 2 steps"),
        ("--only=tran", "'tran'"),
    ],
)
def test_a_wrong_flag_is_a_sentence(flag, sentence):
    command = [sys.executable, "launch/benchmark.py", "--config", "configs/fer5.py"]
    found = subprocess.run([*command, flag], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 2
    assert sentence in found.stderr and "Traceback" not in found.stderr


@pytest.mark.parametrize(
    "model",
    [
        {"name": "course"},
        {"name": "resnet", "squeeze_excite": 8},
        {"name": "resnet", "shortcut": False},
        {"name": "resnet", "block": "bottleneck"},
        {"name": "resnet", "simclr": {}},
    ],
)
def test_peers_refuse_a_network_that_they_do_not_build(model):
    tasks = make_tasks({"emotion": {}})
    network = make_network(tasks, **model)
    with pytest.raises(Mistake, match="without variants"):
        peers.plan_of(SimpleNamespace(network=network, tasks=tasks))


def test_peers_take_the_sizes_of_a_plain_network():
    tasks = make_tasks({"emotion": {}, "keypoints": {}})
    network = make_network(tasks, name="resnet", width=32, blocks=(1, 2), dropout=0.2)
    found = peers.plan_of(SimpleNamespace(network=network, tasks=tasks))
    assert found == {"stages": [(1, 32), (2, 64)], "stem": (32, 5, 2), "outputs": 35}


def test_peers_are_compared_with_a_training_that_was_timed():
    args = ["--config=configs/fer5.py", "--only", "parts", "--compare", "keras"]
    with pytest.raises(Mistake, match="train part"):
        benchmark.main(args)


@pytest.mark.long
def test_the_benchmark_writes_all_its_numbers(tmp_path):
    command = [sys.executable, "launch/benchmark.py", "--config=configs/synthetic.py"]
    small = ["--batch-size=16", "--repeats=2", "--config.model.width=8", "--calls=2"]
    subprocess.run([*command, *small, f"--out={tmp_path}"], cwd=ROOT, check=True)
    (path,) = tmp_path.glob("benchmark_cpu_synthetic_*.json")
    found = json.loads(path.read_text())
    ways = {f"2 steps a call, {way}" for way in ("unrolled", "scanned")}
    assert set(found["train_images_s"]) == {"resident", "streamed"} | ways
    assert 0 < found["flop_share"] < 1
    assert found["compile_s"]["warm"] < found["compile_s"]["cold"]
    assert 0 < found["first_step_s"]["warm"] < found["first_step_s"]["cold"]
    assert found["commit"] and found["packages"]["jax"] == jax.__version__
