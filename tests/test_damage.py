"""Laws of damage really done: full disks, read-only folders, files in the way."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
from PIL import Image

from emotion_jax import checkpoint, cli, evaluate, train
from emotion_jax.errors import Mistake
from emotion_jax.evaluator import restore
from emotion_jax.train import train_and_evaluate
from emotion_jax.workdir import MAY_CHANGE, check_same, open_workdir


def run(binary, *args) -> int:
    """A binary's exit code."""
    return cli.run(binary, list(map(str, args)))


def write_config(folder: Path, **fields) -> Path:
    """The tiny run as a config file."""
    path, config = folder / "config.py", tiny.config(**fields).to_dict()
    code = f"from ml_collections import ConfigDict\nget_config = lambda: {config!r}\n"
    path.write_text(code.replace("lambda: ", "lambda: ConfigDict(") + ")\n")
    return path


def only_sentence(capsys) -> str:
    """The last line told, and no traceback above it."""
    told = capsys.readouterr().err
    assert "Traceback" not in told and "a bug in emotion_jax" not in told
    return told.splitlines()[-1]


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A run that stopped at step 3, with one checkpoint."""
    workdir = tmp_path_factory.mktemp("runs") / "three"
    train_and_evaluate(tiny.config(stop_at=3), workdir)
    return workdir


@pytest.fixture
def copy(three, tmp_path):
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(three, tmp_path / "run"))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", place]
    found = subprocess.run(mount, capture_output=True, text=True)
    if found.returncode:
        pytest.skip(f"no small disk can be mounted here: {found.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(place: Path, leave: int = 0) -> Path:
    """A file that takes what the disk has left, but for some bytes."""
    stuffing, free = place / "stuffing", shutil.disk_usage(place).free
    with contextlib.suppress(OSError), stuffing.open("wb") as file:
        file.write(bytes(max(free - leave, 0)))
    return stuffing


def test_a_disk_that_fills_up_ends_the_run_and_it_goes_on_when_there_is_room(
    small_disk, tmp_path, monkeypatch, capsys, abandoned
):
    save = checkpoint.Checkpoints.save

    def save_full(self, state, meta, metrics):
        if int(state.step) == 6:
            self.manager.wait_until_finished()
            fill(small_disk)
        save(self, state, meta, metrics)

    monkeypatch.setattr(checkpoint.Checkpoints, "save", save_full)
    args = "--config", write_config(tmp_path), "--workdir", small_disk / "run"
    assert run(train.main, *args) == 3
    assert "no space is left" in only_sentence(capsys)
    monkeypatch.undo()
    saved = {p.name for p in (small_disk / "run" / "checkpoints").iterdir()}
    assert {name for name in saved if name.isdigit()} == {"3", "4"}
    (small_disk / "stuffing").unlink()
    assert run(train.main, *args) == 0
    assert "steps 5 to 8 of 8" in capsys.readouterr().err
    assert (small_disk / "run" / "done.json").exists()


@pytest.mark.parametrize("leave", [0, 5_000])
def test_a_disk_that_is_full_at_the_start_is_told(small_disk, tmp_path, capsys, leave):
    config, workdir = write_config(tmp_path), small_disk / "run"
    workdir.mkdir()
    fill(small_disk, leave)
    assert run(train.main, "--config", config, "--workdir", workdir) == 3
    assert "o space" in only_sentence(capsys)


def test_a_disk_that_is_full_at_the_end_is_told(
    small_disk, tmp_path, monkeypatch, capsys
):
    config, workdir = write_config(tmp_path), small_disk / "run"
    close = train.close_workdir

    def close_full(*args):
        fill(small_disk)
        close(*args)

    monkeypatch.setattr(train, "close_workdir", close_full)
    assert run(train.main, "--config", config, "--workdir", workdir) == 3
    assert "no space is left" in only_sentence(capsys)
    assert not list(workdir.glob(".*done*")) and not (workdir / "done.json").exists()
    monkeypatch.undo()
    (small_disk / "stuffing").unlink()
    assert run(train.main, "--config", config, "--workdir", workdir) == 0
    assert (workdir / "done.json").exists()


@pytest.mark.parametrize("leave", [0, 12_000])
def test_an_evaluation_on_a_full_disk_is_told(three, small_disk, capsys, leave):
    fill(small_disk, leave)
    out = small_disk / "out"
    assert run(evaluate.main, "--checkpoint", three, "--out", out) == 3
    assert "no space is left" in only_sentence(capsys)
    assert all(not p.name.startswith(".") for p in out.glob("*"))


def unprivileged(code: str, *args) -> subprocess.CompletedProcess:
    """Runs code as a user who is not root, as root may read and write anything."""
    leave = "os.setgroups([]); os.setgid(65534); os.setuid(65534)"
    lines = ["import os, sys", "from emotion_jax import cli, data, train"]
    lines += [leave] if not os.getuid() else []
    return subprocess.run(
        [sys.executable, "-c", "\n".join([*lines, code]), *map(str, args)],
        capture_output=True,
        text=True,
        cwd=Path(tiny.__file__).parents[1],
    )


@pytest.fixture
def open_to_all(tmp_path):
    """A folder that anybody may read, and only its owner write to."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and len(folder.parts) > 2:
            folder.chmod(0o755)
    return tmp_path


def test_a_read_only_workdir_is_a_mistake_before_anything_is_compiled(open_to_all):
    config = write_config(open_to_all)
    open_to_all.chmod(0o555)
    workdir = open_to_all / "new" / "run"
    args = "--config", config, "--workdir", workdir
    found = unprivileged("cli.main(train.main)", *args)
    open_to_all.chmod(0o755)
    sentence = f"cannot write to --workdir {workdir}: {open_to_all} is read-only"
    assert (found.returncode, found.stderr) == (2, f"emotion_jax: {sentence}\n")
    assert not (open_to_all / "new").exists()


def test_what_may_not_be_read_of_a_folder_is_told(open_to_all):
    hidden = [open_to_all / "0", open_to_all / "1/calm", open_to_all / "2/calm/0.png"]
    for root in "012":
        for name in ("calm", "tense"):
            (open_to_all / root / name).mkdir(parents=True)
            Image.new("L", (20, 20)).save(open_to_all / root / name / "0.png")
    for path in hidden:
        path.chmod(0)
    code = "binary = lambda args: data.load('folder', *args)\n"
    code += "print([cli.run(binary, [path]) for path in sys.argv[1:]])"
    found = unprivileged(code, *(open_to_all / root for root in "012"))
    for path in hidden:
        path.chmod(0o755)
    assert found.stdout == "[2, 2, 2]\n", found.stderr
    told = found.stderr.splitlines()
    assert len(told) == 3 and all("Permission denied" in line for line in told)


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("checkpoints", "is no folder"),
        ("metrics.jsonl", "Is a directory"),
        ("config.json", "is damaged; take another workdir"),
        ("env.json", "Is a directory"),
    ],
)
def test_a_file_where_a_folder_should_be_and_the_other_way_round(
    copy, tmp_path, capsys, name, sentence
):
    place = copy / name
    if place.is_dir():
        shutil.rmtree(place)
        place.write_text("mine")
    else:
        place.unlink()
        place.mkdir()
    config = write_config(tmp_path)
    assert run(train.main, "--config", config, "--workdir", copy) == 2
    assert sentence in only_sentence(capsys)


def test_what_was_never_committed_is_no_checkpoint(copy):
    """Orbax's temporary names, and folders like them, are left out and swept away."""
    saved = copy / "checkpoints" / "3"
    for name in ("6.orbax-checkpoint-tmp", "6.orbax-checkpoint-tmp-17", "6.tmp"):
        shutil.copytree(saved, saved.with_name(name))
    found = restore(str(copy))
    assert found.folder == saved
    train_and_evaluate(tiny.config(stop_at=4), copy)
    left = {p.name for p in saved.parent.iterdir()}
    assert {"3", "4"} <= left and "6.orbax-checkpoint-tmp" not in left


def test_a_step_is_never_saved_over(copy):
    """A run that comes to a step that is there already leaves its bits as they are."""
    before = {
        p: (p.stat().st_mtime_ns, p.read_bytes())
        for p in (copy / "checkpoints" / "3").rglob("*")
        if p.is_file()
    }
    train_and_evaluate(tiny.config(stop_at=3), copy)
    train_and_evaluate(tiny.config(stop_at=4), copy)
    assert before == {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in before}


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
    open_workdir(tmp_path, tiny.config())
    assert all(any(name.startswith(may) for name in OTHER) for may in MAY_CHANGE)
    check_same(tmp_path, tiny.config(**OTHER))
    for name, value in tiny.config().to_dict().items():
        if name in ("stop_at", "debug", "fsdp", "log", "eval", "profile"):
            continue
        changed = {name: {"x": 1}} if isinstance(value, dict) else {name: "x"}
        config = tiny.config().to_dict() | changed
        with pytest.raises(Mistake, match=f"another config: .*{name}"):
            check_same(tmp_path, type(tiny.config())(config))
