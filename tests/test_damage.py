"""Laws of damage really done: full disks, files in the way, checkpoints cut short."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
from PIL import Image
from tiny import done_of, log_of

from emotion_jax import checkpoint, cli, damage, evaluate, train
from emotion_jax.evaluator import restore
from emotion_jax.train import train_and_evaluate


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
def six(tmp_path_factory):
    """A run that stopped at step 6, with two checkpoints: of steps 4 and 6."""
    workdir = tmp_path_factory.mktemp("runs") / "six"
    train_and_evaluate(tiny.config(stop_at=6), workdir)
    return workdir


@pytest.fixture
def copy(six, tmp_path):
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(six, tmp_path / "run"))


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
def test_an_evaluation_on_a_full_disk_is_told(six, small_disk, capsys, leave):
    fill(small_disk, leave)
    out = small_disk / "out"
    assert run(evaluate.main, "--checkpoint", six, "--out", out) == 3
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


def test_what_was_never_committed_is_no_checkpoint(whole, copy):
    """Orbax's temporary names, and folders like them, are left out and swept away.

    A kill leaves them behind, with all of a step in them or with a part.
    """
    saved = copy / "checkpoints" / "6"
    for name in ("7.orbax-checkpoint-tmp", "7.orbax-checkpoint-tmp-17", "7.tmp"):
        shutil.copytree(saved, saved.with_name(name))
    (saved.with_name("8.orbax-checkpoint-tmp") / "state").mkdir(parents=True)
    assert restore(str(copy)).folder.name in ("4", "6")
    train_and_evaluate(tiny.config(), copy)
    left = {p.name for p in saved.parent.iterdir()}
    assert "8" in left and not {n for n in left if n.endswith("checkpoint-tmp")}
    assert done_of(copy) == done_of(whole)


def test_a_step_is_never_saved_over(copy, capsys):
    """A run that comes to a step that is there already leaves its bits as they are."""
    before = {
        p: (p.stat().st_mtime_ns, p.read_bytes())
        for p in (copy / "checkpoints" / "6").rglob("*")
        if p.is_file()
    }
    for stop in (5, 6, 7):
        train_and_evaluate(tiny.config(stop_at=stop), copy)
    assert capsys.readouterr().err.count("step 6 of 8 is there: nothing to do") == 2
    assert before == {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in before}


def largest(folder):
    """The file that holds most of a state."""
    files = [p for p in (folder / "state").rglob("*") if p.is_file()]
    return max(files, key=lambda p: p.stat().st_size)


def truncate(folder):
    file = largest(folder)
    file.write_bytes(file.read_bytes()[:99])  # its second half may be a rest


def lose_a_file(folder):
    largest(folder).unlink()


def lose_meta(folder):
    shutil.rmtree(folder / "meta")


def lose_everything(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def become_a_file(folder):
    shutil.rmtree(folder)
    folder.write_text("")


@pytest.mark.parametrize(
    "do", [truncate, lose_a_file, lose_meta, lose_everything, become_a_file]
)
def test_a_damaged_checkpoint_is_told_and_the_one_before_it_taken(
    whole, copy, capsys, do, abandoned
):
    newest = copy / "checkpoints" / "6"
    do(newest)
    capsys.readouterr()
    train_and_evaluate(tiny.config(), copy)
    told = capsys.readouterr().err
    assert f"{newest} is damaged (" in told and "set aside as 6.damaged" in told
    assert "steps 5 to 8 of 8" in told
    assert (copy / "checkpoints" / "6.damaged").exists()
    assert done_of(copy) == done_of(whole)
    assert log_of(copy) == log_of(whole)


def test_when_every_checkpoint_is_damaged_the_run_begins_again(whole, copy, capsys):
    for folder in list((copy / "checkpoints").iterdir()):
        truncate(folder)
    train_and_evaluate(tiny.config(), copy)
    assert "steps 1 to 8 of 8" in capsys.readouterr().err
    assert done_of(copy) == done_of(whole)
    assert log_of(copy) == log_of(whole)


def test_a_step_of_the_same_number_is_set_aside_twice(tmp_path):
    for _ in range(2):
        (tmp_path / "3").mkdir()
        damage.set_aside(tmp_path / "3", "cut off")
    assert {p.name for p in tmp_path.iterdir()} == {"3.damaged", "3.damaged2"}
