"""Laws of checkpoints: the same bits back, the newest and the best kept, and found."""

import dataclasses
import errno
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emotion_jax import checkpoint, damage, meta, sharding
from emotion_jax.checkpoint import Checkpoints
from emotion_jax.errors import Mistake, Stopped
from emotion_jax.meta import Meta
from emotion_jax.plan import Plan
from emotion_jax.step import TrainState

PLAN = Plan(batch_size=8, total=20, stop=18, epoch=5.0)
META = Meta({"seed": 0, "b": (1, 2)}, {"emotion": ("sad", "happy")}, 24)
KERNEL = np.array([[1.0, -0.0], [np.pi, 1e-40]], np.float32)


def state(step, value=KERNEL, ema=False):
    """A state of one kernel, on every device."""
    params = {"a": {"kernel": jnp.asarray(value)}}
    stats = {"a": {"mean": jnp.full(2, 0.5)}}
    average = {"params": {"a": {"kernel": jnp.full((2, 2), 7.0)}}, "batch_stats": stats}
    made = TrainState(
        jnp.int32(step), params, stats, {"m": jnp.ones(2)}, average if ema else {}
    )
    return jax.device_put(made, sharding.whole(sharding.make_mesh()))


def save(workdir, scores, keep=2, best="emotion/accuracy", **options):
    """Saves these steps, each with its score or None."""
    with Checkpoints(workdir, PLAN, every=3, keep=keep, best=best) as made:
        for step, value in scores.items():
            score = value if value is None else {best: value}
            made.save(state(step, **options), META, score)


def steps(workdir):
    return sorted(int(p.name) for p in (workdir / "checkpoints").iterdir())


def test_the_same_bits_come_back(tmp_path):
    save(tmp_path, {3: None, 6: None}, ema=True)
    made = Checkpoints(tmp_path, PLAN, every=3, keep=2, best="emotion/accuracy")
    like = state(0, np.zeros((2, 2), np.float32), ema=True)
    found, expected = made.restore(like), state(6, ema=True)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
        assert a.dtype == b.dtype and a.sharding == b.sharding
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_before_the_first_checkpoint_there_is_no_state(tmp_path):
    made = Checkpoints(tmp_path, PLAN, every=3, keep=2, best="emotion/accuracy")
    assert made.restore(state(0)) is None
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_due_at_the_cadence_and_where_the_run_stops(tmp_path):
    made = Checkpoints(tmp_path, PLAN, every=5, keep=2, best="emotion/accuracy")
    assert [step for step in range(1, 21) if made.due(step)] == [5, 10, 15, 18, 20]


def test_keeping_none_is_a_mistake(tmp_path):
    with pytest.raises(
        Mistake, match="config.checkpoint.keep is 0, must be at least 1"
    ):
        Checkpoints(tmp_path, PLAN, every=3, keep=0, best="emotion/accuracy")


def test_the_newest_few_and_the_best_are_kept(tmp_path):
    save(tmp_path, {3: 0.5, 6: 0.9, 9: 0.6, 12: None, 15: 0.7})
    assert steps(tmp_path) == [6, 12, 15]
    assert checkpoint.candidates(str(tmp_path))[0] == tmp_path / "checkpoints" / "6"


def test_of_errors_the_smallest_is_the_best(tmp_path):
    save(tmp_path, {3: 2.5, 6: 1.5, 9: 3.0, 12: 2.0}, 1, best="keypoints/rmse_px")
    assert steps(tmp_path) == [6, 12]
    assert checkpoint.candidates(str(tmp_path))[0].name == "6"


def test_the_best_survives_a_second_start(tmp_path):
    save(tmp_path, {3: 0.9, 6: 0.5}, keep=1)
    save(tmp_path, {9: 0.6, 12: 0.7}, keep=1)
    assert steps(tmp_path) == [3, 12]
    assert checkpoint.candidates(str(tmp_path))[0].name == "3"


def test_without_an_evaluation_the_newest_is_found(tmp_path):
    save(tmp_path, {3: None, 12: None})
    assert checkpoint.candidates(str(tmp_path))[0].name == "12"


def test_a_damaged_best_is_told_and_the_next_best_read(tmp_path, capsys):
    save(tmp_path, {3: 0.5, 6: 0.9, 9: 0.6}, keep=3)
    folder = tmp_path / "checkpoints" / "6"
    shutil.rmtree(folder / "meta")
    found, meta, _ = checkpoint.read(str(tmp_path), sharding.make_mesh())
    assert found.name == "9" and meta.side == 24
    assert f"{folder} is damaged (" in capsys.readouterr().err
    assert folder.is_dir()  # who reads renames nothing


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ESTALE, "Stale file handle"),
        PermissionError(errno.EACCES, "Permission denied"),
        MemoryError("could not allocate"),
        ValueError("PERMISSION_DENIED: Error opening file"),
    ],
)
def test_what_says_nothing_about_the_files_is_no_damage(tmp_path, monkeypatch, error):
    """It ends the run, which leaves its checkpoints where they are."""
    save(tmp_path, {3: 0.5, 6: 0.9})

    def fail(*args):
        raise error

    monkeypatch.setattr(checkpoint, "load_state", fail)
    monkeypatch.setattr(checkpoint, "load_variables", fail)
    made = Checkpoints(tmp_path, PLAN, every=3, keep=2, best="emotion/accuracy")
    with pytest.raises(Stopped, match=r"could not read .*6 \(.*\); it was left as it"):
        made.restore(state(0))
    with pytest.raises(Stopped, match="could not read"):
        checkpoint.read(str(tmp_path), sharding.make_mesh())
    assert steps(tmp_path) == [3, 6]


def test_a_full_device_is_no_damage_either(tmp_path, monkeypatch):
    save(tmp_path, {3: 0.5})

    def fail(*args):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    monkeypatch.setattr(checkpoint, "load_variables", fail)
    with pytest.raises(jax.errors.JaxRuntimeError):
        checkpoint.read(str(tmp_path), sharding.make_mesh())


@pytest.mark.parametrize("part", ["state", "meta"])
def test_one_changed_bit_is_damage(tmp_path, capsys, part):
    """Orbax itself reads an array whose bytes have changed without a word."""
    save(tmp_path, {3: 0.5, 6: 0.9})
    folder = tmp_path / "checkpoints" / "6"
    files = [p for p in (folder / part).rglob("*") if p.is_file()]
    largest = max(files, key=lambda p: p.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    told = f"{folder} is damaged (its bytes have changed since they were written)"
    assert checkpoint.read(str(tmp_path), sharding.make_mesh())[0].name == "3"
    assert f"{told}; left out" in capsys.readouterr().err
    made = Checkpoints(tmp_path, PLAN, every=3, keep=2, best="emotion/accuracy")
    assert int(made.restore(state(0)).step) == 3
    assert f"{told}; set aside as 6.damaged" in capsys.readouterr().err


def test_a_checkpoint_of_before_there_were_digests_is_read(tmp_path):
    save(tmp_path, {3: 0.5})
    (tmp_path / "checkpoints" / "3" / damage.DIGEST).unlink()
    assert checkpoint.read(str(tmp_path), sharding.make_mesh())[0].name == "3"


def test_of_a_longer_run_it_is_a_mistake_unless_nothing_was_saved(tmp_path, capsys):
    save(tmp_path, {3: 0.5, 6: 0.9})
    short = dataclasses.replace(PLAN, total=5, stop=5)
    made = Checkpoints(tmp_path, short, every=3, keep=2, best="emotion/accuracy")
    with pytest.raises(Mistake, match="has come to step 6, and config.train asks for"):
        made.restore(state(0))
    (tmp_path / "checkpoints" / "100").touch()
    made = Checkpoints(tmp_path, PLAN, every=3, keep=2, best="emotion/accuracy")
    assert int(made.restore(state(0)).step) == 6
    assert "100 is damaged (" in capsys.readouterr().err


def test_a_step_that_lacks_a_part_is_damaged(tmp_path):
    save(tmp_path, {3: 0.5})
    folder = tmp_path / "checkpoints" / "3"
    shutil.rmtree(folder / "state")
    with pytest.raises(Mistake, match=r"3 is damaged \(its bytes have changed"):
        checkpoint.read(str(folder), sharding.make_mesh())


def test_what_orbax_cannot_make_sense_of_is_told_in_words(tmp_path):
    save(tmp_path, {3: 0.5})
    folder = tmp_path / "checkpoints" / "3"
    (folder / damage.DIGEST).unlink()
    (folder / "meta" / "metadata").write_text("[1]")
    told = r"3 is damaged \(it does not hold what a checkpoint holds\)"
    with pytest.raises(Mistake, match=told):
        checkpoint.read(str(folder), sharding.make_mesh())


def test_a_steps_folder_is_whole_wherever_it_lies(tmp_path):
    save(tmp_path, {3: 0.5})
    alone = (tmp_path / "checkpoints" / "3").rename(tmp_path / "alone")
    folder, _, _ = checkpoint.read(str(alone), sharding.make_mesh())
    assert folder == alone and checkpoint.workdir_of(folder) is None
    assert checkpoint.workdir_of(tmp_path / "checkpoints" / "6") == tmp_path


def test_when_no_checkpoint_can_be_read_it_is_a_mistake(tmp_path):
    save(tmp_path, {3: 0.5})
    shutil.rmtree(tmp_path / "checkpoints" / "3" / "meta")
    with pytest.raises(Mistake, match=r"3 is damaged \(.*, and there is no other$"):
        checkpoint.read(str(tmp_path), sharding.make_mesh())


def test_other_arrays_are_a_mistake_and_no_damage(tmp_path):
    save(tmp_path, {3: 0.5})
    made = Checkpoints(tmp_path, PLAN, every=3, keep=2, best="emotion/accuracy")
    with pytest.raises(Mistake, match="3 holds 4 arrays of other shapes than this"):
        made.restore(state(0, np.zeros((3, 3), np.float32)))
    assert steps(tmp_path) == [3]


def test_a_steps_folder_is_found_as_itself(tmp_path):
    save(tmp_path, {3: 0.9, 6: 0.5})
    folder = tmp_path / "checkpoints" / "6"
    assert checkpoint.candidates(str(folder)) == [folder]


def test_what_is_no_checkpoint_is_a_mistake(tmp_path):
    with pytest.raises(
        Mistake, match="holds no checkpoint; give a workdir or one step"
    ):
        checkpoint.candidates(str(tmp_path))
    with pytest.raises(Mistake, match="--checkpoint .*absent does not exist"):
        checkpoint.candidates(str(tmp_path / "absent"))


def test_a_checkpoint_says_what_it_is(tmp_path):
    about = dataclasses.replace(META, temperature={"emotion": 0.1 + 0.2})
    keep = {"every": 3, "keep": 2, "best": "emotion/accuracy"}
    with Checkpoints(tmp_path, PLAN, **keep) as made:
        made.save(state(3), about, None)
    found = checkpoint.load_meta(checkpoint.candidates(str(tmp_path))[0])
    assert found == dataclasses.replace(about, config={"seed": 0, "b": [1, 2]})


def test_a_newer_format_is_no_damage_and_stays_where_it_is(tmp_path, monkeypatch):
    save(tmp_path, {3: None})
    monkeypatch.setattr(meta, "FORMAT_VERSION", 0)
    made = Checkpoints(tmp_path, PLAN, every=3, keep=2, best="emotion/accuracy")
    with pytest.raises(Mistake, match="upgrade it"):
        made.restore(state(0))
    assert steps(tmp_path) == [3]


def test_evaluation_takes_the_averages_where_there_are_some(tmp_path):
    mesh = sharding.make_mesh(jax.devices()[:2])
    for name, ema, value in (("a", True, np.full((2, 2), 7)), ("b", False, KERNEL)):
        save(tmp_path / name, {3: None}, ema=ema)
        found = checkpoint.read(str(tmp_path / name), mesh)[2]
        assert found.keys() == {"params", "batch_stats"}
        np.testing.assert_array_equal(found["params"]["a"]["kernel"], value)
        np.testing.assert_array_equal(found["batch_stats"]["a"]["mean"], [0.5, 0.5])
        assert found["params"]["a"]["kernel"].sharding == sharding.whole(mesh)


def test_a_full_disk_stops_the_run_in_one_sentence():
    with pytest.raises(checkpoint.Stopped, match="checkpoint: no space is left$"):
        with checkpoint.one_sentence():
            raise OSError(28, "No space left on device")
    with pytest.raises(checkpoint.Stopped, match="checkpoint: Read-only file system$"):
        with checkpoint.one_sentence():
            raise OSError(30, "Read-only file system")
