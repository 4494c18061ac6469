"""Laws of a run's folder: one run in one folder, and what it says of itself."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from ml_collections import ConfigDict

from emotion_jax import workdir
from emotion_jax.errors import Mistake
from emotion_jax.sharding import make_mesh
from emotion_jax.step import TrainState
from emotion_jax.train import train_and_evaluate


def test_a_workdir_takes_its_own_config_again(tmp_path):
    workdir.open_workdir(tmp_path / "a" / "b", tiny.config())
    workdir.check_same(tmp_path / "a" / "b", tiny.config())
    assert {p.name for p in (tmp_path / "a" / "b").iterdir()} == {
        "config.json",
        "env.json",
        "metrics.jsonl",
    }


def test_a_config_is_the_same_before_and_after_a_round_trip():
    config = tiny.config()
    assert json.loads(json.dumps(workdir.to_dict(config))) == workdir.to_dict(config)
    assert workdir.to_dict(config)["model"]["blocks"] == [1]


def test_another_config_is_a_mistake_that_lists_what_differs(tmp_path):
    workdir.open_workdir(tmp_path, tiny.config())
    other = tiny.config(**{"seed": 1, "train.steps": 9, "stop_at": 4})
    with pytest.raises(Mistake) as error:
        workdir.check_same(tmp_path, other)
    differ = "another config: seed was 0 and is 1; train.steps was 8 and is 9. Take"
    assert differ in str(error.value)


def test_who_wants_to_train_longer_is_told_how(tmp_path):
    workdir.open_workdir(tmp_path, tiny.config())
    way = f"as it was. To train longer: another one with --config.init_from={tmp_path}"
    with pytest.raises(Mistake, match=f"{way}$"):
        workdir.check_same(tmp_path, tiny.config(**{"train.steps": 9}))
    with pytest.raises(Mistake, match="or the config as it was$"):
        workdir.check_same(tmp_path, tiny.config(seed=1))


def test_a_field_that_came_or_went_differs(tmp_path):
    workdir.open_workdir(tmp_path, ConfigDict({"a": 1, "b": {"c": 2}}))
    with pytest.raises(Mistake, match="b.c was 2 and is None; b.d was None and is 3"):
        workdir.check_same(tmp_path, ConfigDict({"a": 1, "b": {"d": 3}}))


def test_an_empty_section_that_went_differs(tmp_path):
    workdir.open_workdir(tmp_path, ConfigDict({"augment": {"flip": {}}}))
    with pytest.raises(Mistake, match="augment"):
        workdir.check_same(tmp_path, ConfigDict({"augment": {}}))


OTHER = {
    "stop_at": 5,
    "log.every": "7",
    "eval.every": "2",
    "checkpoint.every": "1",
    "checkpoint.keep": 9,
    "debug": True,
    "fsdp": True,
    "profile.steps": "1:2",
}


def test_every_field_that_may_change_may_and_no_other(tmp_path):
    workdir.open_workdir(tmp_path, tiny.config())
    assert all(
        any(name.startswith(may) for name in OTHER) for may in workdir.MAY_CHANGE
    )
    workdir.check_same(tmp_path, tiny.config(**OTHER))
    for name, value in tiny.config().to_dict().items():
        if name in ("stop_at", "debug", "fsdp", "log", "eval", "profile"):
            continue
        changed = {name: {"x": 1}} if isinstance(value, dict) else {name: "x"}
        config = tiny.config().to_dict() | changed
        with pytest.raises(Mistake, match=f"another config: .*{name}"):
            workdir.check_same(tmp_path, type(tiny.config())(config))


ENDLESS = {"optim.schedule.name": "constant"}


def test_a_run_whose_schedule_knows_no_end_may_become_longer(tmp_path):
    workdir.open_workdir(tmp_path, tiny.config(**ENDLESS))
    (tmp_path / "done.json").write_text("{}")
    (tmp_path / "report.html").write_text("of the shorter run")
    assert workdir.is_done(tmp_path, tiny.config(**ENDLESS))
    longer = tiny.config(**ENDLESS, **{"train.steps": 12})
    assert not workdir.is_done(tmp_path, longer)
    workdir.open_workdir(tmp_path, longer)
    assert not (tmp_path / "done.json").exists()
    assert not (tmp_path / "report.html").exists()


def test_but_not_shorter_than_it_has_come(tmp_path):
    schedule = {**ENDLESS, "eval.report": False}
    train_and_evaluate(tiny.config(**schedule), tmp_path)
    with pytest.raises(
        Mistake, match="has come to step 8, and config.train asks for 6"
    ):
        train_and_evaluate(tiny.config(**schedule, **{"train.steps": 6}), tmp_path)
    assert (tmp_path / "done.json").exists()


@pytest.mark.parametrize("warmup", ["5%", 2])
def test_a_schedule_that_depends_on_the_end_pins_it(tmp_path, warmup):
    name = "constant" if warmup == "5%" else "cosine"
    config = tiny.config()
    with config.unlocked():
        config.optim.schedule = {"name": name, "warmup": warmup}
    workdir.open_workdir(tmp_path, config)
    config.train.steps = 12
    with pytest.raises(Mistake, match="train.steps was 8 and is 12"):
        workdir.check_same(tmp_path, config)


def test_what_the_kept_checkpoints_were_ranked_by_may_not_change(tmp_path):
    workdir.open_workdir(tmp_path, tiny.config())
    with pytest.raises(Mistake, match="checkpoint.best was 'emotion/accuracy'"):
        workdir.check_same(
            tmp_path, tiny.config(**{"checkpoint.best": "keypoints/rmse_px"})
        )


def test_a_damaged_config_is_a_mistake(tmp_path):
    (tmp_path / "config.json").write_text('{"seed": ')
    with pytest.raises(Mistake, match="config.json is damaged; take another workdir"):
        workdir.is_done(tmp_path, tiny.config())


def test_checkpoints_without_a_config_are_a_mistake_and_an_empty_workdir_is_none(
    tmp_path,
):
    with pytest.raises(Mistake, match="File name too long"):
        workdir.is_done(tmp_path / ("x" * 300), tiny.config())
    (tmp_path / "checkpoints").mkdir()
    assert workdir.check_same(tmp_path, tiny.config()) == {}
    (tmp_path / "checkpoints" / "4").mkdir()
    with pytest.raises(Mistake, match="has checkpoints, but no longer the config.json"):
        workdir.check_same(tmp_path, tiny.config())


def test_a_workdir_that_is_a_file_is_a_mistake(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(Mistake, match="cannot write to --workdir .*file is no folder"):
        workdir.is_done(tmp_path / "file", tiny.config())
    with pytest.raises(Mistake, match="cannot write to --workdir .*under"):
        workdir.open_workdir(tmp_path / "file" / "under", tiny.config())
    assert (tmp_path / "file").read_text() == "mine"


def test_a_run_is_done_once_it_is_closed(tmp_path):
    config, params = tiny.config(), {"kernel": jnp.ones(3)}
    assert not workdir.is_done(tmp_path / "new", config)
    assert not (tmp_path / "new").exists()
    workdir.open_workdir(tmp_path, config)
    assert not workdir.is_done(tmp_path, config)
    state = TrainState(jnp.int32(8), params, {}, {}, {})
    workdir.close_workdir(tmp_path, state, make_mesh())
    assert workdir.is_done(tmp_path, config)
    assert json.loads((tmp_path / "done.json").read_text()) == {
        "step": 8,
        "sha256": workdir.sha256(params),
    }
    with pytest.raises(Mistake, match="seed was 0 and is 1"):
        workdir.is_done(tmp_path, tiny.config(seed=1))


def test_one_bit_changes_the_digest():
    kernel = np.ones((2, 3), np.float32)
    params = {"a": {"kernel": kernel}, "b": np.zeros(2, np.float32)}
    other = kernel.copy()
    other.view(np.uint8)[0, 0] ^= 1
    digest = workdir.sha256(params)
    assert digest == workdir.sha256(
        {"a": {"kernel": jnp.ones((2, 3))}, "b": params["b"]}
    )
    assert digest != workdir.sha256({"a": {"kernel": other}, "b": params["b"]})
    assert len(digest) == 64
