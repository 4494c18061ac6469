"""Laws of the babysitter: whatever happens to a TPU, the training comes to its end."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLAGS = ["--name", "nanny", "--zone", "us-east5-b", "--spot", "--pause", "0.05"]
TRAINING = ["--config", "configs/fer5.py", "--workdir", "gs://bucket/a run"]


class Cloud:
    """What tests/launch/cloud.py plays, in a folder."""

    def __init__(self, folder: Path, hosts: int):
        self.folder, self.type = folder, "v6e-16" if hosts > 1 else "v6e-8"
        path = f"{folder}/path{os.pathsep}{os.environ['PATH']}"
        self.env = os.environ | {"CLOUD": str(folder), "PATH": path}
        self.env["CLOUD_HOSTS"] = str(hosts)
        install = f"import cloud; cloud.install({sys.executable!r})"
        subprocess.run(
            [sys.executable, "-c", install], cwd=Path(__file__).parent, env=self.env
        )

    def babysit(self, plan: str = "", codes: str = "", *more: str) -> subprocess.Popen:
        (self.folder / "plan").write_text(plan)
        (self.folder / "bucket" / "codes").write_text(codes)
        flags = [*FLAGS, "--type", self.type, *more, "--", *TRAINING]
        return subprocess.Popen(
            ["bash", "launch/babysit.sh", *flags],
            cwd=ROOT,
            env=self.env,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )

    def text(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def kinds(self) -> list[str]:
        return [line.split("\t")[0] for line in self.text("calls").splitlines()]

    def starts(self) -> list[int]:
        """The steps that the training started from."""
        return [
            int(n) for n in re.findall(r"^from (\d+)", self.text("bucket/log"), re.M)
        ]


@pytest.fixture
def cloud(tmp_path) -> Cloud:
    return Cloud(tmp_path, hosts=1)


def end(running: subprocess.Popen) -> tuple[int, str]:
    try:
        told = running.communicate(timeout=90)[1]
    except subprocess.TimeoutExpired:  # else it would go on for ever
        running.kill()
        raise
    return running.returncode, told


PLAN = """\
describe 2 broken
create 1 refused
create 2 slow
scp 1 vanishes
ssh 3 broken
delete 2 broken
step 2 warned
step 5 vanishes
"""


def test_a_run_comes_to_its_end_whatever_happens_to_its_tpu(cloud):
    """Refused, slow and gone before it is set up, unreachable, warned, gone at work."""
    code, told = end(cloud.babysit(PLAN))
    assert code == 0, told
    assert sorted(cloud.text("happened").splitlines()) == sorted(PLAN.splitlines())
    assert not (cloud.folder / "state").exists()  # nothing is left that costs
    assert cloud.kinds().count("create") == 4
    starts = cloud.starts()
    assert starts[0] == 0 and len(starts) >= 3  # begun, saved, gone
    assert all(2 <= step < 8 for step in starts[1:]) and starts == sorted(starts)
    saved = int(re.search(r"saved (\d+)", cloud.text("bucket/log"))[1])
    assert saved in starts
    assert cloud.text("bucket/log").endswith("done 8\n")
    for line in cloud.text("bucket/log").splitlines():
        if line.startswith("from"):
            assert line.endswith(
                "train --config configs/fer5.py --workdir gs://bucket/a run"
            )
    for sentence in ("refused; again", "is CREATING", "is PREEMPTED", "and saved"):
        assert sentence in told


def test_several_hosts_are_one_run(tmp_path):
    cloud = Cloud(tmp_path, hosts=2)
    code, told = end(cloud.babysit("step 3 vanishes\n"))
    assert code == 0, told
    log = cloud.text("bucket/log")
    assert log.count("done 8") == 2 and log.count("--coordinator auto") == 4


def test_a_tpu_from_the_queue_is_trained_on_once_it_is_active(cloud):
    code, told = end(cloud.babysit("create 1 slow\nstep 3 vanishes\n", "", "--queued"))
    assert code == 0, told
    assert cloud.text("bucket/log").endswith("done 8\n")
    assert not (cloud.folder / "state").exists()
    assert "is WAITING_FOR_RESOURCES" in told and "is SUSPENDED: deleting" in told


@pytest.mark.parametrize(
    "codes, found, starts",
    [
        ("2\n", 2, 1),  # the caller's mistake: starting again would not help
        ("3\n137\n", 0, 3),  # the surroundings: it may
        ("3\n3\n3\n", 3, 3),  # but not for ever
    ],
)
def test_how_a_training_ended_says_whether_to_start_it_again(
    cloud, codes, found, starts
):
    code, told = end(cloud.babysit("", codes, "--tries", "3"))
    assert code == found, told
    assert len(cloud.starts()) == starts
    assert not (cloud.folder / "state").exists()
    if found:
        assert f"ends with {found}" in told  # the log's last lines


def test_a_tpu_that_never_answers_is_made_anew(cloud):
    silent = "".join(f"ssh {n} broken\n" for n in (1, 2))
    code, told = end(cloud.babysit(silent, "", "--tries", "2"))
    assert code == 0 and "does not answer: deleting it" in told
    assert cloud.kinds().count("create") == 2


def test_who_cannot_set_up_any_tpu_gives_up(cloud):
    """A new machine does not help where what is installed is at fault."""
    (cloud.folder / "bin" / "uv").write_text("#!/bin/sh\nexit 1\n")
    code, told = end(cloud.babysit("", "", "--tries", "2"))
    assert code == 3 and "none of 2 TPUs: giving up" in told
    assert cloud.kinds().count("create") == 2 and not cloud.starts()
    assert not (cloud.folder / "state").exists()


def test_a_run_in_between_gives_it_as_many_tries_again(cloud):
    uv = cloud.folder / "bin" / "uv"
    fails = "case $(grep -o create $CLOUD/counts | wc -l) in 1 | 3) exit 1 ;; esac\n"
    uv.write_text(uv.read_text().replace("\n", f"\n{fails}", 1))
    code, told = end(cloud.babysit("step 2 vanishes\n", "", "--tries", "2"))
    assert code == 0 and told.count("does not answer: deleting it") == 2, told
    assert cloud.kinds().count("create") == 4


def test_a_babysitter_that_is_stopped_leaves_the_tpu_to_the_next(cloud):
    first = cloud.babysit()
    while not cloud.starts():
        assert first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGTERM)
    code, told = end(first)
    assert code == 130 and "left as it is" in told
    code, told = end(cloud.babysit())
    assert code == 0, told
    assert cloud.starts() == [0] and cloud.kinds().count("create") == 1


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--type", "v9-8", "--", *TRAINING], "unknown --type v9-8"),
        (["--type", "v6e-8"], "the training's flags are needed after --"),
        (["--", "--workdir", "runs/x"], "wants --workdir gs://BUCKET/..."),
        (["--type", "v6e-8", "--sopt", "--", *TRAINING], "unknown flag --sopt"),
        (
            ["--type", "v6e-8", "--upload", "no.csv", "--", *TRAINING],
            "there is no .*no.csv",
        ),
    ],
)
def test_a_mistake_is_told_at_once(cloud, flags, sentence):
    command = ["bash", "launch/babysit.sh", *FLAGS[:4], *flags]
    found = subprocess.run(
        command, cwd=ROOT, env=cloud.env, capture_output=True, text=True, timeout=20
    )
    assert found.returncode == 2
    assert re.search(sentence, found.stderr) and found.stderr.count("\n") == 1
    assert not cloud.kinds()


README = re.findall(
    r"^bash launch/(?:tpu_vm|babysit|gke)\.sh .+$",
    (ROOT / "launch" / "README.md").read_text(),
    re.M,
)


def test_the_readmes_commands_run_in_their_order(cloud, tmp_path):
    """Those for a cloud, as written, in a clone with the user's file."""
    for file in ROOT.iterdir():
        if file.name not in ("dist", "runs"):  # which these commands make
            (tmp_path / file.name).symlink_to(file)
    (tmp_path / "fer2013.csv").touch()
    for line in README:
        (cloud.folder / "plan").write_text("")
        if " logs " in line:  # which ends with Ctrl-C
            line = f"timeout 1 {line} || [ $? = 124 ]"
        if " fetch " in line and "gs://" not in line:
            (tmp_path / "host0/emotion_jax/runs/fer5").mkdir(parents=True)
        found = subprocess.run(
            ["bash", "-c", line.replace("babysit.sh", "babysit.sh --pause 0.05")],
            cwd=tmp_path,
            env=cloud.env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert found.returncode == 0, line + found.stderr
        if " fetch " in line:
            assert (tmp_path / "runs" / "fer5").is_dir()
            shutil.rmtree(tmp_path / "runs")
        if " status " in line:
            assert found.stdout == "READY\nrunning\n"
    assert "--command=pip install" in cloud.text("xpk")
    assert cloud.text("bucket/log").endswith("done 8\n")


@pytest.fixture(autouse=True, scope="module")
def archives():
    yield
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
