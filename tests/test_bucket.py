"""Laws of workdirs in a bucket: as on a disk, whenever a run is killed."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest
import requests
import stand_in  # noqa: F401, which registers bucket://
import tiny
from tiny import done_of, log_of

from emotion_jax import bucket, cli, evaluate, export
from emotion_jax.bucket import MARK, Url
from emotion_jax.errors import Mistake, Preempted, Stopped
from emotion_jax.train import train_and_evaluate

TESTS = Path(__file__).parent
HERE = {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}


@pytest.fixture
def store(tmp_path, monkeypatch) -> Path:
    """The folder that bucket://here is."""
    monkeypatch.setenv("BUCKET", str(tmp_path / "buckets"))
    return tmp_path / "buckets" / "here"


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch) -> Path:
    """Where the local copies are made."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(bucket.tempfile, "tempdir", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


def files(folder: Path) -> set[str]:
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    return {name for name in found if "tfevents" not in name and "/d/" not in name}


def test_a_run_in_a_bucket_is_the_one_on_a_disk(whole, store, scratch):
    train_and_evaluate(tiny.config(stop_at=5), "bucket://here/runs/first")
    assert not list(scratch.iterdir())  # another machine goes on
    train_and_evaluate(tiny.config(), "bucket://here/runs/first")
    run = store / "runs" / "first"
    assert done_of(run) == done_of(whole)
    assert log_of(run) == log_of(whole)
    assert files(run) == files(whole)
    assert len(list(run.glob("events.out.tfevents.*"))) == 2
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    train_and_evaluate(tiny.config(), "bucket://here/runs/first")  # it is done
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*")} == before


TRAIN = (
    "import stand_in, sys, tiny; from emotion_jax.train import train_and_evaluate;"
    "train_and_evaluate(tiny.config(), 'bucket://here/run')"
)


@pytest.mark.parametrize("dies", [25, pytest.param(60, marks=pytest.mark.long)])
def test_a_run_killed_in_an_upload_goes_on(whole, store, dies):
    env = os.environ | HERE | {"BUCKET_DIES": str(dies), "JAX_NUM_CPU_DEVICES": "8"}
    killed = subprocess.run([sys.executable, "-c", TRAIN], env=env, capture_output=True)
    assert killed.returncode == -9, killed.stderr
    assert not (store / "run" / "done.json").exists()
    train_and_evaluate(tiny.config(), "bucket://here/run")
    assert done_of(store / "run") == done_of(whole)
    assert log_of(store / "run") == log_of(whole)
    assert files(store / "run") == files(whole)


def write(folder: Path, text: str, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


PARTS = ("state/a", "state/b", MARK)


def whole_steps(run: Path) -> set[str]:
    """The steps that a resumed run would take; those must have all their files."""
    steps = {p.parent.name for p in run.glob(f"checkpoints/*/{MARK}")}
    for name in steps:
        for part in PARTS:
            assert (run / "checkpoints" / name / part).read_text() == name
        assert int(name) <= int((run / "metrics.jsonl").read_text())
    return steps


@pytest.mark.parametrize("moment", range(1, 15))
def test_at_every_moment_the_bucket_holds_a_whole_checkpoint(
    store, monkeypatch, moment
):
    """Also where an earlier copy, half sent, lies in the way."""
    write(store / "run", "half", "checkpoints/6/state/b", "checkpoints/6/state/c")
    calls = 0

    def until(method):
        def call(self, path, *args, **options):
            nonlocal calls
            calls += 1
            if calls >= moment:
                raise KeyboardInterrupt
            return method(self, path, *args, **options)

        return call

    local = stand_in.LocalFileSystem
    copy = bucket.Copy(Url("bucket://here/run"), "--workdir")
    copy.fetch()
    for name in ("put_file", "rm_file"):
        monkeypatch.setattr(local, name, until(getattr(local, name)))
    kept = set()
    try:
        for now, old in (("3", None), ("6", "3")):
            write(copy.path / "checkpoints" / now, now, *PARTS)
            write(copy.path, now, "metrics.jsonl")
            if old:
                shutil.rmtree(copy.path / "checkpoints" / old)
            copy.publish()
            kept = {now}
    except KeyboardInterrupt:
        pass
    found = whole_steps(store / "run")
    assert found >= kept or found == {"6"}
    if moment == 14:  # nothing broke off
        assert files(store / "run") == {
            "metrics.jsonl",
            *(f"checkpoints/6/{part}" for part in PARTS),
        }


def test_what_is_half_sent_is_not_fetched(store):
    write(store / "run", "3", *(f"checkpoints/3/{part}" for part in PARTS))
    write(store / "run", "6", "checkpoints/6/state/a", "metrics.jsonl", "eval/x")
    fetched = bucket.fetched("bucket://here/run", "--checkpoint")
    whole = {f"checkpoints/3/{part}" for part in PARTS}
    assert files(fetched) == whole | {"metrics.jsonl"}
    step = bucket.fetched("bucket://here/run/checkpoints/3", "--checkpoint")
    assert files(step.parents[1]) == whole and step.name == "3"
    assert bucket.origin(step) == "bucket://here/run/checkpoints/3"
    assert bucket.origin(step.parents[1]) == "bucket://here/run"


def test_a_run_that_trains_on_is_not_done_in_the_bucket(store):
    write(store / "run", "{}", "done.json", "config.json")
    copy = bucket.Copy(Url("bucket://here/run"), "--workdir")
    copy.fetch()
    (copy.path / "done.json").unlink()
    copy.publish()
    assert files(store / "run") == {"config.json"}


def test_a_checkpoint_in_a_bucket_is_evaluated_and_exported_there(store, tmp_path):
    tiny.untrained(tmp_path / "run")
    shutil.copytree(tmp_path / "run", store / "run")
    assert cli.run(evaluate.main, ["--checkpoint", "bucket://here/run"]) == 0
    results = store / "run" / "eval" / "synthetic-test"
    written = {"metrics.json", "report.html", "model_card.md", "faces.png"}
    assert written <= {p.name for p in results.iterdir()}
    args = ["--checkpoint", "bucket://here/run/checkpoints/0", "--format", "stablehlo"]
    assert cli.run(export.main, [*args, "--out", "bucket://here/out"]) == 0
    out = {p.name for p in (store / "out").iterdir()}
    assert out == {"model.stablehlo", "model.json"}


def test_the_memory_of_fsspec_is_a_bucket_too(scratch):
    store = fsspec.filesystem("memory")
    with bucket.folder("memory://b/run", "--workdir") as home:
        write(home.path, "x", "config.json", "events", ".partial")
    assert store.find("/b/run") == ["/b/run/config.json", "/b/run/events"]
    with bucket.folder("memory://b/run", "--workdir") as home:
        assert files(home.path) == {"config.json"}
    assert not list(scratch.iterdir())


def test_a_folder_on_a_disk_is_worked_on_itself(tmp_path):
    with bucket.folder(str(tmp_path), "--workdir") as home:
        assert home.path == tmp_path and home.shared
    with bucket.filled(tmp_path / "out") as out:
        assert out == tmp_path / "out"
    assert bucket.origin(tmp_path) == tmp_path


@pytest.mark.parametrize(
    "url, sentence",
    [
        ("nowhere://b/run", "--workdir nowhere://b/run cannot be reached: .*nowhere"),
        ("bucket://here/file/run", "cannot write to --workdir bucket://here/file/run"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_a_mistake(store, url, sentence):
    write(store, "mine", "file")
    with pytest.raises(Mistake, match=sentence):
        train_and_evaluate(tiny.config(), url)
    assert files(store) == {"file"}


def test_two_may_try_at_once_whether_they_can_write(store, monkeypatch):
    write_one = stand_in.StandIn.pipe_file

    def and_another(self, *args, **options):
        monkeypatch.setattr(stand_in.StandIn, "pipe_file", write_one)
        write_one(self, *args, **options)
        bucket.check("--workdir", Url("bucket://here/run"))

    monkeypatch.setattr(stand_in.StandIn, "pipe_file", and_another)
    bucket.check("--workdir", Url("bucket://here/run"))
    assert not files(store)


def raised(name: str, kind: type[Exception] = Exception, **fields) -> Exception:
    """What a package that need not be installed raises."""
    error = type(name, (kind,), {})("oh")
    vars(error).update(fields)
    return error


OFFLINE = type(raised("ClientConnectionError", OSError))


@pytest.mark.parametrize(
    "error, kind",
    [
        (raised("ClientConnectorError", OFFLINE), Stopped),  # of aiohttp
        (raised("HttpError", code=503), Stopped),  # of gcsfs
        (raised("HttpError", code="429"), Stopped),
        (raised("HttpError", code=408), Stopped),
        (raised("HttpError", code=403), Mistake),
        (raised("ClientResponseError", status=502, code=1), Stopped),
        (raised("RefreshError"), Stopped),  # of google.auth
        (raised("TransportError"), Stopped),
        (raised("DefaultCredentialsError"), Mistake),
        (requests.exceptions.ConnectTimeout("oh"), Stopped),
        (requests.exceptions.ProxyError("oh"), Stopped),
        (raised("HTTPError", response=raised("Response", status_code=500)), Stopped),
        (raised("EndpointConnectionError", type(raised("HTTPClientError"))), Stopped),
        (ConnectionResetError("oh"), Stopped),
        (socket.gaierror(-3, "oh"), Stopped),
        (PermissionError(13, "oh"), Mistake),
        (ValueError("oh"), Mistake),
    ],
)
def test_an_outage_is_no_mistake(error, kind):
    """So whoever started the run starts it again."""
    with pytest.raises(kind, match="cannot write to gs://b: .*oh"):
        with bucket.told("cannot write to gs://b", Mistake):
            raise error


def test_a_checkpoint_that_a_bucket_lacks_is_a_mistake(store, capsys):
    assert cli.run(evaluate.main, ["--checkpoint", "bucket://here/run"]) == 2
    assert "bucket://here/run holds no checkpoint" in capsys.readouterr().err


def test_a_package_that_is_missing_is_named(monkeypatch):
    def missing(url):
        raise ImportError("Install gcsfs to access Google Storage")

    monkeypatch.setattr(fsspec, "url_to_fs", missing)
    with pytest.raises(Mistake, match="gs://b/run cannot be reached: Install gcsfs"):
        cli.check_folder("--out", Url("gs://b/run"))


def test_a_mistake_in_a_bucket_is_told_of_the_bucket(store, scratch):
    write(store / "run", "{", "config.json")
    with pytest.raises(Mistake, match="^bucket://here/run/config.json is damaged"):
        train_and_evaluate(tiny.config(), "bucket://here/run")
    assert files(store) == {"run/config.json"} and not list(scratch.iterdir())


@pytest.mark.parametrize(
    "error, kind", [(OSError("quota"), Stopped), (Preempted("told"), Preempted)]
)
def test_what_ends_a_run_is_told_once_it_is_sent(store, monkeypatch, error, kind):
    def fail(*args, **options):
        raise error

    with pytest.raises(kind, match="quota|told"):
        with bucket.folder("bucket://here/run", "--workdir") as home:
            write(home.path, "x", "metrics.jsonl")
            if kind is Preempted:
                raise error
            monkeypatch.setattr(stand_in.StandIn, "put", fail)
    assert (store / "run" / "metrics.jsonl").exists() == (kind is Preempted)


@pytest.mark.long
def test_processes_that_share_no_disk_share_a_bucket(store, whole, tmp_path):
    """The first saves the whole state, whatever its layout; all of them go on."""
    code = (
        "import stand_in, sys, tiny; from emotion_jax import cli, processes;"
        "from emotion_jax.train import train_and_evaluate\n"
        "def main(args):\n"
        "    processes.start(args[0], 2, int(args[1]))\n"
        "    config = tiny.config(fsdp=True, stop_at=int(args[3]))\n"
        "    train_and_evaluate(config, 'bucket://here/' + args[2])\n"
        "cli.main(main)"
    )
    env = os.environ | HERE | {"JAX_NUM_CPU_DEVICES": "4"}
    for name, stop in (("run", "5"), ("run", "0"), ("fresh", "0")):
        command = [sys.executable, "-c", code, f"localhost:{tiny.free_port()}"]
        running = [
            subprocess.Popen([*command, process, name, stop], env=env)
            for process in "01"
        ]
        assert [process.wait(120) for process in running] == [0, 0]
    reported = shutil.copytree(whole, tmp_path / "reported")
    evaluate.finish(reported, tiny.config())
    for name in ("run", "fresh"):
        alone = tiny.losses_of(whole)
        assert tiny.losses_of(store / name) == pytest.approx(alone, rel=2e-4)
        found, other = (
            tiny.metrics_of(run / "eval" / "val") for run in (store / name, reported)
        )
        assert found["keypoints/rmse_px"] == pytest.approx(
            other["keypoints/rmse_px"], rel=1e-3
        )


def test_no_name_in_a_bucket_leads_out_of_the_copy(tmp_path):
    store = fsspec.filesystem("memory")
    for part in (MARK, "state/a", "../../../../escaped"):
        store.store[f"/evil/checkpoints/3/{part}"] = (
            fsspec.implementations.memory.MemoryFile(
                store, f"/evil/checkpoints/3/{part}", b"x"
            )
        )
    fetched = bucket.fetched("memory://evil", "--checkpoint")
    assert files(fetched) == {f"checkpoints/3/{MARK}", "checkpoints/3/state/a"}
    assert not list(tmp_path.rglob("escaped"))


def test_a_home_is_found_and_a_folder_has_a_name(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert bucket.place("~/runs/first") == Path("/home/me/runs/first")
    assert bucket.place("gs://b/~x") == "gs://b/~x"
    with pytest.raises(Mistake, match="a folder's name is empty"):
        train_and_evaluate(tiny.config(), "")
