"""Laws of making a prepared set: whole or not at all, and a sentence if not."""

import errno
import fcntl
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
from face_files import assert_same, fer_csv

from emotion_jax import cli, data
from emotion_jax.data import fer2013, prepare, prepared
from emotion_jax.errors import Mistake, Stopped

SHARED = pathlib.Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.usefixtures("root")


def run(*args):
    return cli.run(prepare.main, [str(arg) for arg in args])


def there(root):
    """All files, but for the lock."""
    return [p.name for p in root.rglob("*") if p.is_file() and p.name != ".lock"]


def test_the_same_faces_are_there_and_others_need_overwrite(tmp_path, capsys):
    first = fer_csv(tmp_path / "a.csv")
    other = fer_csv(tmp_path / "b.csv", seed=1)
    home = prepared.folder("fer2013")
    assert run(f"fer2013={first}") == 0
    before = (home / "features.json").stat().st_mtime_ns
    assert run(f"fer2013={first}") == 0
    assert "fer2013 is there already: 40 faces" in capsys.readouterr().out
    assert run(f"fer2013={other}") == 2
    told = f"emotion_jax: {home} holds other faces; --overwrite replaces them\n"
    assert capsys.readouterr().err == told
    assert (home / "features.json").stat().st_mtime_ns == before
    assert run(f"fer2013={other}", "--overwrite") == 0
    assert_same(data.load("fer2013"), fer2013.read(str(other)))


@pytest.mark.parametrize(
    "arguments, problem",
    [
        (["fer2013=BAD"], "line 2: expected emotion"),
        (["fer2013=nowhere.csv"], "nowhere.csv: cannot be read: No such file"),
        (["fer2013"], "expected fer2013=PATH, keypoints=PATH or synthetic"),
        (
            ["folder=."],
            "expected fer2013=PATH, keypoints=PATH or synthetic, got 'folder=.'; other "
            "sources are read directly, with --data",
        ),
        (["fer=a.csv"], "unknown source in SOURCE=PATH 'fer'"),
        (["synthetic=a.csv"], "synthetic is built in and takes no path"),
        (["fer2013=a.csv", "--overwite"], "--overwrite"),
        ([], "SOURCE=PATH"),
    ],
)
def test_a_mistake_is_a_sentence_and_nothing_is_made(
    arguments, problem, tmp_path, root, capsys
):
    bad = fer_csv(tmp_path / "bad.csv", emotions=("happy",))
    assert run(*[a.replace("BAD", str(bad)) for a in arguments]) == 2
    told = capsys.readouterr().err
    assert problem in told and told.count("\n") == 1 and not root.exists()


def test_damage_is_a_sentence_and_can_be_overwritten(tmp_path):
    path = fer_csv(tmp_path / "a.csv")
    raw = fer2013.read(str(path))
    prepared.write(raw)
    (records,) = prepared.folder("fer2013").glob("*Training*")
    content = records.read_bytes()
    middle = len(content) // 2
    for damaged in (b"", content[:middle], content[:99] + b"xyz" + content[102:]):
        records.write_bytes(damaged)
        with pytest.raises(Mistake, match="1.0.0 is damaged .*again with --overwrite"):
            data.load("fer2013")
    assert run(f"fer2013={path}") == 2
    assert run(f"fer2013={path}", "--overwrite") == 0
    assert_same(data.load("fer2013"), raw)


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path, root):
    raw = fer2013.read(str(fer_csv(tmp_path / "a.csv")))
    root.write_text("a file")
    with pytest.raises(Mistake, match=r"cannot write to .*fer2013: Not a directory"):
        prepared.write(raw)


FULL = """
import resource, signal, sys
from emotion_jax import cli
from emotion_jax.data import prepare
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
sys.exit(cli.run(prepare.main, sys.argv[1:]))
"""


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path, root):
    """A limit of the size of files refuses a write where a full disk would."""
    path = fer_csv(tmp_path / "a.csv", emotions=(3,) * 200)
    command = [sys.executable, "-c", FULL, f"fer2013={path}"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 3, found.stderr
    told = found.stderr.splitlines()[-1]
    assert told == f"emotion_jax: cannot write to {root / 'fer2013'}: File too large"
    assert there(root) == []


@pytest.mark.parametrize(
    "number, kind", [(errno.ENOSPC, Stopped), (errno.EROFS, Mistake)]
)
def test_a_full_disk_stops_and_a_read_only_one_is_a_mistake(number, kind):
    with pytest.raises(kind, match="cannot write to a: "):
        with prepared.told(pathlib.Path("a")):
            raise OSError(number, os.strerror(number))


def test_a_second_process_waits_and_finds_the_set_there(tmp_path, capsys):
    raw = fer2013.read(str(fer_csv(tmp_path / "a.csv")))
    prepared.write(raw)
    made = []
    thread = threading.Thread(target=lambda: made.append(prepared.write(raw)))
    with open(prepared.folder("fer2013").parent / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive() and made == []
        assert "waiting for another process" in capsys.readouterr().err
    thread.join()
    assert made == [False]


def kill_while_preparing(arguments, root, pause) -> None:
    """SIGKILL `pause` seconds after the process has begun to write."""
    half = root / "fer2013" / ".preparing"
    stale = half / "stale"  # gone when this process begins
    if half.exists():
        stale.touch()
    code = "import sys; from emotion_jax.data import prepare as p; p.main(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and (stale.exists() or not half.exists()):
        time.sleep(0.001)
    time.sleep(pause)
    process.send_signal(signal.SIGKILL)
    process.wait()


def check_kills(old_csv, new_csv, root, pauses) -> list[bool]:
    """After each kill the set is the old or the new one; whether it is the new."""
    old, new = (fer2013.read(str(path)) for path in (old_csv, new_csv))
    kill_while_preparing([f"fer2013={old_csv}"], root, 0.0)
    with pytest.raises(Mistake, match="fer2013 needs a file"):
        data.load("fer2013")
    prepared.write(old)
    found = []
    for pause in pauses:
        kill_while_preparing([f"fer2013={new_csv}", "--overwrite"], root, pause)
        raw = data.load("fer2013")
        found.append(len(raw.image) == len(new.image))
        assert_same(raw, new if found[-1] else old)
        if found[-1]:
            prepared.write(old, overwrite=True)
    prepared.write(new, overwrite=True)
    assert_same(data.load("fer2013"), new)
    assert sorted(p.name for p in (root / "fer2013").iterdir()) == [".lock", "1.0.0"]
    return found


def test_a_kill_leaves_the_set_as_it_was(tmp_path, root):
    old = fer_csv(tmp_path / "a.csv")
    new = fer_csv(tmp_path / "b.csv", emotions=(3,) * 800)
    assert check_kills(old, new, root, [0.0, random.uniform(0, 0.2)])[0] is False


def test_what_a_killed_process_left_is_not_taken(tmp_path, root):
    """It had written all of another file, but for the last renaming."""
    left, raw = (
        fer2013.read(str(fer_csv(tmp_path / f"{seed}.csv", seed=seed)))
        for seed in (0, 1)
    )
    prepared.write(left)
    home = root / "fer2013"
    half = home / ".preparing" / "fer2013"
    half.mkdir(parents=True)
    (home / "1.0.0").rename(half / "1.0.0")
    prepared.write(raw)
    assert_same(data.load("fer2013"), raw)
    assert sorted(p.name for p in home.iterdir()) == [".lock", "1.0.0"]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The files that ../shared makes."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data")
    folder = tmp_path_factory.mktemp("real")
    subprocess.run([sys.executable, SHARED / "make_csv.py", folder], check=True)
    return folder


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["fer2013=fer2013", "fer2013=icml_face_data", "keypoints=keypoints_train"]
)
def test_the_real_files_come_back_in_two_seconds(name, real):
    source, file = name.split("=")
    raw = data.load(source, str(real / f"{file}.csv"))
    prepared.write(raw)
    start = time.perf_counter()
    loaded = data.load(source)
    assert time.perf_counter() - start < 2
    assert_same(loaded, raw)


@pytest.mark.long
def test_twenty_kills_of_the_real_file(tmp_path, real, root):
    old = fer_csv(tmp_path / "a.csv")
    pauses = [random.uniform(0, 6) for _ in range(20)]
    assert not all(check_kills(old, real / "fer2013.csv", root, pauses))
