"""Laws of the looks inside: traces that open, NaNs that are found, a whole table."""

import gzip
import json
import re

import jax
import jax.numpy as jnp
import pytest
import tiny

from emotion_jax import cli, probe, step
from emotion_jax.errors import Mistake
from emotion_jax.train import train_and_evaluate


def trace_of(workdir) -> list[dict]:
    """The events that Perfetto reads."""
    (path,) = workdir.glob("profile/plugins/profile/*/perfetto_trace.json.gz")
    with gzip.open(path) as file:
        found = json.load(file)
    return found["traceEvents"] if isinstance(found, dict) else found


def test_a_trace_holds_the_steps_asked_for_and_no_others(tmp_path):
    # Nothing compiles among the traced steps: a trace holds a million events at most.
    fields = {"profile.steps": "3:4", "train.steps": 6, "eval.every": "6"}
    fields["checkpoint.every"] = "6"
    train_and_evaluate(tiny.config(**fields), tmp_path)
    steps = {
        str(event["args"]["step_num"])
        for event in trace_of(tmp_path)
        if event.get("name") == "train" and "step_num" in event.get("args", {})
    }
    assert steps == {"3", "4"}
    assert list(tmp_path.glob("profile/plugins/profile/*/*.xplane.pb"))


def test_a_run_that_ends_among_the_traced_steps_writes_them(tmp_path):
    profile = probe.Profile(tmp_path, 50, steps="2:9")
    with profile:
        for _, _batch in zip(range(3), profile.over(iter("abcd"), 0)):
            jnp.ones(3).sum().block_until_ready()
    assert not profile.on and trace_of(tmp_path)


def test_without_steps_batches_pass_and_nothing_is_written(tmp_path):
    with probe.Profile(tmp_path, 50) as profile:
        assert list(profile.over("abc", 5)) == ["a", "b", "c"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("steps", ["5", "5:", "7:6", "0:3", "a:b", "1:2:3"])
def test_steps_that_are_no_range_are_a_mistake(steps, tmp_path):
    with pytest.raises(Mistake, match="must be FIRST:LAST, as 100:110"):
        probe.Profile(tmp_path, 50, steps=steps)


@pytest.mark.parametrize("first", [1, 2])
def test_debugging_ends_a_run_at_its_first_nan_with_code_3(
    tmp_path, capsys, monkeypatch, first
):
    fields = {"debug": True}
    if first == 1:
        monkeypatch.setattr(step, "standardise", lambda image: (image - image) / 0.0)
    else:
        fields |= {"optim.learning_rate": 1e30, "optim.clip_norm": 0.0}
        fields["optim.schedule.warmup"] = 0
    config = tiny.config(**fields)
    assert cli.run(lambda args: train_and_evaluate(config, tmp_path), []) == 3
    told = capsys.readouterr().err
    assert "invalid value (nan)" in told and "Traceback" not in told
    assert re.search(r", in \w+(/\w+)?\.py, line \d+, \w+$", told)
    assert "trunk/stem/kernel" in told and "(7, 7, 1, 8)" in told


def test_the_table_has_every_parameter_its_shape_and_its_place():
    state, _, _ = tiny.make_step(tiny.faces(8))
    lines = probe.parameter_table(state.params).splitlines()
    named = [line for line in lines if "/" in line]
    assert len(named) == len(jax.tree.leaves(state.params))
    assert any("heads_emotion/output/kernel" in x and "(8, 5)" in x for x in named)
    assert "Sharding" in lines[1]


def test_steps_that_the_run_never_comes_to_are_a_mistake(tmp_path):
    probe.Profile(tmp_path, 50, steps="50:60")
    with pytest.raises(Mistake, match="is '51:60', and the run ends at step 50"):
        probe.Profile(tmp_path, 50, steps="51:60")
