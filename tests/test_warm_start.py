"""Laws of warm starts: what fits is taken to the bit, the rest is new and told."""

import shlex
import shutil

import jax
import numpy as np
import pytest
import tiny

from emotion_jax import checkpoint, step, warm_start
from emotion_jax.config import set_field
from emotion_jax.errors import Mistake
from emotion_jax.models import make_network
from emotion_jax.optim import make_optimizer
from emotion_jax.plan import Plan
from emotion_jax.sharding import abstract, make_mesh
from emotion_jax.tasks import make_tasks
from emotion_jax.train import train_and_evaluate

BOTH = {"emotion": {}, "keypoints": {}}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A combined run of two steps."""
    workdir = tmp_path_factory.mktemp("runs") / "both"
    train_and_evaluate(tiny.config(**{"train.steps": 2}), workdir)
    return workdir


def first_state(source, tasks, **model):
    """The first state of a run that starts from `source`."""
    mesh = make_mesh()
    tasks = make_tasks(tasks)
    network = make_network(tasks, **(tiny.MODEL | model))
    optimizer = make_optimizer(Plan(8, 9, 9, 5.0), **tiny.OPTIM)
    init = step.make_init(network, optimizer, 1, 24)
    like = abstract(init, mesh)
    given = warm_start.load(source, like, mesh, tiny.MODEL | model, tasks)
    return jax.jit(init)(given), jax.jit(init)()


def equal(a, b) -> bool:
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


def loaded(workdir) -> dict:
    return checkpoint.read(str(workdir), make_mesh())[2]


@pytest.mark.parametrize("task", ["emotion", "keypoints"])
def test_a_specialist_takes_the_trunk_and_its_head_of_the_combined_network(both, task):
    state, _ = first_state(str(both), {task: {}})
    there = loaded(both)
    assert equal(state.params["trunk"], there["params"]["trunk"])
    head = f"heads_{task}"
    assert equal(state.params[head], there["params"][head])
    assert equal(state.batch_stats, there["batch_stats"])


def test_a_combined_network_takes_a_specialist_and_a_new_head(tmp_path, capsys):
    fields = {"train.steps": 2, "checkpoint.best": "keypoints/rmse_px"}
    config = tiny.config(**fields)
    del config.tasks["emotion"]
    train_and_evaluate(config, tmp_path)
    capsys.readouterr()
    state, cold = first_state(str(tmp_path), BOTH)
    there = loaded(tmp_path)
    assert equal(state.params["trunk"], there["params"]["trunk"])
    assert equal(state.params["heads_keypoints"], there["params"]["heads_keypoints"])
    assert equal(state.params["heads_emotion"], cold.params["heads_emotion"])
    told = capsys.readouterr().err
    assert "new here: params/heads_emotion/output/kernel (8, 5)" in told
    assert "left there" not in told


def test_a_trunk_that_learnt_without_labels_is_taken_and_its_projector_left(
    tmp_path, capsys
):
    pairs = tiny.MODEL | {"simclr": {"width": 16}}
    fields = {"train.steps": 2, "model": pairs, "eval.report": False}
    train_and_evaluate(tiny.config(**fields), tmp_path)
    capsys.readouterr()
    state, _ = first_state(str(tmp_path), BOTH)
    assert equal(state.params["trunk"], loaded(tmp_path)["params"]["trunk"])
    told = capsys.readouterr().err
    assert "left there: params/projector/output/kernel (8, 16)" in told
    assert "new here" not in told


def test_a_head_of_other_classes_is_new_and_told(both, capsys):
    state, cold = first_state(str(both), {"emotion": {"classes": 7}, "keypoints": {}})
    assert equal(state.params["heads_emotion"], cold.params["heads_emotion"])
    told = capsys.readouterr().err
    assert "new here: params/heads_emotion/output/bias (7,)" in told
    assert "left there: params/heads_emotion/output/bias (5,)" in told


@pytest.mark.parametrize(
    "classes",
    [
        ("anger", "disgust", "happy", "sad", "surprise"),
        ("tired", "awake", "bored", "tense", "calm"),
    ],
)
def test_a_head_of_as_many_classes_in_another_order_or_others_is_new(
    both, capsys, classes
):
    sections = {"emotion": {"classes": classes}, "keypoints": {}}
    state, cold = first_state(str(both), sections)
    assert equal(state.params["heads_emotion"], cold.params["heads_emotion"])
    there = loaded(both)["params"]
    assert equal(state.params["heads_keypoints"], there["heads_keypoints"])
    told = capsys.readouterr().err
    was = "anger, disgust, sad, happy, surprise"
    assert f"emotion is {', '.join(classes)} here, and was {was} there" in told
    assert "new here: params/heads_emotion/output/bias (5,)" in told


def test_averages_and_slow_parameters_start_from_there_too(both):
    state, _ = first_state(str(both), BOTH)
    assert equal(state.ema["params"], state.params)
    assert int(state.step) == 0


def test_the_run_itself_starts_from_there_and_resumes_without_it(both, tmp_path):
    """The first loss is the trained network's; a vanished source hurts no resume."""
    there = tmp_path / "source"
    both.rename(there)
    config = tiny.config(init_from=str(there), stop_at=3)
    try:
        train_and_evaluate(config, tmp_path / "run")
    finally:
        there.rename(both)
    config = tiny.config(init_from=str(there))
    train_and_evaluate(config, tmp_path / "run")
    assert (tmp_path / "run" / "done.json").exists()


def test_a_run_whose_checkpoints_are_all_damaged_starts_from_there_again(
    both, tmp_path, capsys
):
    config = tiny.config(init_from=str(both), stop_at=3)
    train_and_evaluate(config, tmp_path)
    for folder in list((tmp_path / "checkpoints").iterdir()):
        shutil.rmtree(folder)
        folder.mkdir()
    capsys.readouterr()
    train_and_evaluate(config, tmp_path)
    told = capsys.readouterr().err
    assert "is damaged" in told and "started from" in told


def test_another_trunk_of_which_nothing_fits_is_a_mistake_with_the_way_out(both):
    two = {"emotion": {"classes": ("a", "b")}}
    other = {"width": 16, "stem_stride": 1, "dropout": 0.5}
    with pytest.raises(Mistake) as error:
        first_state(str(both), two, **other)
    told, _, flags = str(error.value).partition("; give it ")
    assert told == f"nothing in {both} fits this network"
    assert flags == "--config.model.stem_stride=4 --config.model.width=8"
    first_state(str(both), two, width=8, stem_stride=4)


def test_a_trunk_of_which_a_part_fits_is_told_with_the_flags_for_all_of_it(
    both, capsys
):
    first_state(str(both), BOTH, stem_stride=2)
    told = capsys.readouterr().err
    assert "new here: params/trunk/stem/kernel (5, 5, 1, 8)" in told
    want = "only part of the trunk is taken; for all of it give "
    assert f"{want}--config.model.stem_stride=4\n" in told
    first_state(str(both), BOTH, dropout=0.5, blocks=[1])
    assert want not in capsys.readouterr().err


@pytest.mark.parametrize(
    "theirs, ours, flags",
    [
        (
            {"name": "resnet", "blocks": [1, 2], "block": "bottleneck"},
            {"name": "resnet", "blocks": (2, 1)},
            "--config.model.block=bottleneck '--config.model.blocks=(1, 2)'",
        ),
        (
            {"name": "resnet", "blocks": [2, 2, 2, 2]},
            {"name": "resnet", "norm": "group", "blocks": (2, 2, 2, 2)},
            "--config.model.norm=batch",
        ),
        ({"name": "resnet"}, {"name": "resnet", "width": 64, "dropout": 0.2}, ""),
        (
            {"name": "course", "dropout": 0.1},
            {"name": "resnet", "width": 8},
            '\'--config.model={"name": "course", "dropout": 0.1}\'',
        ),
    ],
)
def test_flags_make_one_trunk_the_other(theirs, ours, flags):
    assert warm_start.flags_for(theirs, ours) == flags
    config = tiny.config(model=dict(ours))
    for flag in shlex.split(flags):
        set_field(config, flag)
    assert warm_start.flags_for(theirs, config.model.to_dict()) == ""


def test_no_name_is_no_warm_start():
    state, cold = first_state("", BOTH)
    assert equal(state.params, cold.params)


def test_the_courses_network_starts_from_keras_weights(tmp_path, capsys):
    h5py = pytest.importorskip("h5py")
    kernel = np.random.default_rng(0).normal(size=(7, 7, 1, 64)).astype(np.float32)
    with h5py.File(tmp_path / "weights.hdf5", "w") as file:
        file["conv1/conv1/kernel:0"] = kernel
        file["dense/dense/bias:0"] = np.zeros(30)
    tasks = make_tasks({"emotion": {"head": "course"}})
    network = make_network(tasks, name="course")
    optimizer = make_optimizer(Plan(8, 9, 9, 5.0), **tiny.OPTIM)
    like = abstract(step.make_init(network, optimizer, 0, 96), make_mesh())
    model = {"name": "course"}
    source = str(tmp_path / "weights.hdf5")
    given = warm_start.load(source, like, make_mesh(), model, tasks)
    assert list(given) == ["params/trunk/stem/kernel"]
    np.testing.assert_array_equal(given["params/trunk/stem/kernel"], kernel)
    told = capsys.readouterr().err
    assert "weights.hdf5: 1 of " in told
    assert "left there: params/heads_keypoints/output/bias (30,)" in told
