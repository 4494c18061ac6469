"""Laws of what the launch scripts would run, and of what they say is missing.

UPDATE_GOLDEN=1 writes the golden files anew.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from shell import LAUNCH, ROOT, TPU, bash, found_first, program

GOLDEN = Path(__file__).parent / "golden"
SCRIPTS = sorted(
    f.name
    for f in [*LAUNCH.glob("*.sh"), *LAUNCH.glob("*.sbatch")]
    if f.read_text().startswith("#!")
)
TEXT = (LAUNCH / "README.md").read_text()
COMMANDS = re.findall(r"^(?:bash|sbatch|sky) .+$", TEXT, re.M)
FER = (
    "-- --config configs/fer5.py --workdir gs://bucket/fer5 --data fer2013=fer2013.csv"
)
ODD = "-- --config configs/fer5.py --workdir 'gs://bucket/a b' --config.note=\"it's\""
DRY = {
    "create": f"tpu_vm.sh create {TPU} --type v5litepod-8",
    "create_v4": f"tpu_vm.sh create {TPU} --type v4-32 --runtime tpu-vm-tf",
    "create_spot": f"tpu_vm.sh create {TPU} --type v6e-8 --spot",
    "create_queued": f"tpu_vm.sh create {TPU} --type v5p-16 --queued --spot",
    "create_engine": f"tpu_vm.sh create {TPU} --type v6e-8 --spot --compute-engine",
    "create_engine_16": f"tpu_vm.sh create {TPU} --type v5p-16 --compute-engine",
    "setup": f"tpu_vm.sh setup {TPU} --type v6e-8 --upload /data/fer2013.csv",
    "setup_engine_16": f"tpu_vm.sh setup {TPU} --type v5p-16 --compute-engine",
    "run": f"tpu_vm.sh run {TPU} --type v6e-8 {ODD}",
    "run_16": f"tpu_vm.sh run {TPU} --type v6e-16 {FER}",
    "run_engine_16": f"tpu_vm.sh run {TPU} --type v5p-16 --compute-engine {ODD}",
    "status": f"tpu_vm.sh status {TPU} --type v6e-8",
    "status_engine_16": f"tpu_vm.sh status {TPU} --type v5p-16 --compute-engine",
    "logs": f"tpu_vm.sh logs {TPU} --type v6e-8",
    "fetch": f"tpu_vm.sh fetch {TPU} --type v6e-8 --workdir runs/fer5 --to /data/runs",
    "fetch_bucket": f"tpu_vm.sh fetch {TPU} --type v6e-8 --workdir gs://b/r --to /data",
    "delete_queued": f"tpu_vm.sh delete {TPU} --type v6e-8 --queued",
    "delete_engine_16": f"tpu_vm.sh delete {TPU} --type v5p-16 --compute-engine",
    "babysit": f"babysit.sh {TPU} --type v6e-16 --spot --upload /data/a.csv {FER}",
    "gke": f"gke.sh {TPU} --cluster tpus --type v6e-16 --spot --slices 2 {ODD}",
    "gke_image": f"gke.sh {TPU} --cluster tpus --type v6e-16 --image faces:1 {FER}",
    "gpu": f"gpu.sh --gpus 0,1 {ODD}",
    "gpu_setup": "gpu.sh --setup",
    "quickstart": "quickstart.sh '/data/a run'",
    "slurm": "slurm.sbatch --config configs/fer5.py --workdir 'runs/a b'",
}


def dry(line: str, *more: str) -> str:
    """What a script would run, the same on every machine."""
    head, dashes, training = line.partition(" -- ")
    if head.startswith("slurm.sbatch"):
        head = head.replace("slurm.sbatch", "slurm.sbatch --dry-run")
    else:
        head += " --dry-run"
    found = bash(head + dashes + training, *more, env={"PATH": os.environ["PATH"]})
    assert found.returncode == 0 and not found.stderr, found.stderr
    return found.stdout.replace(str(ROOT), "/clone")


@pytest.mark.parametrize("name", DRY)
def test_a_dry_run_prints_what_would_be_run(name):
    golden = GOLDEN / f"{name}.txt"
    found = dry(DRY[name])
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(found)
    assert found == golden.read_text()


def test_there_is_no_other_golden_file():
    assert {f.stem for f in GOLDEN.iterdir()} == set(DRY)


def test_words_survive_three_shells():
    """Here, on the way through gcloud, and on the host."""
    line = dry(DRY["run"]).splitlines()[0]
    remote = shlex.split(line)[-1].removeprefix("--command=")
    training = shlex.split(remote)[3:]
    assert training == shlex.split(ODD)[1:]


def test_every_script_is_clean():
    """In what it sources, too."""
    checker = shutil.which("shellcheck", path=Path(sys.executable).parent)
    if not checker:
        pytest.skip("shellcheck is not installed; it is in the extra dev")
    command = [checker, "-x", "-a", *(f"launch/{name}" for name in SCRIPTS)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("name", sorted(set(SCRIPTS) - {"on_host.sh"}))
def test_a_script_helps_with_examples(name):
    found = bash(f"{name} --help")
    assert found.returncode == 0
    assert f"launch/{name}" in found.stdout
    assert "--dry-run" in found.stdout or name == "test.sh"
    assert "#" not in found.stdout.replace("#SBATCH", "")


@pytest.mark.parametrize("line", [c for c in COMMANDS if c[:3] != "sky"])
def test_a_command_of_the_readme_is_one_that_runs(line):
    """As written, but dry; every line of it is a command that a shell can read."""
    printed = dry(re.sub(r"^(bash|sbatch.*?) launch/", "", line))
    for command in printed.splitlines():
        assert shlex.split(command)


def test_the_readme_names_every_script():
    assert set(SCRIPTS) - {"on_host.sh", "test.sh"} <= set(
        re.findall(r"[\w]+\.\w+", TEXT)
    )


@pytest.mark.parametrize(
    "line, sentence",
    [
        ("tpu_vm.sh", "A TPU for one run"),  # the help
        ("tpu_vm.sh mend --name a --zone b --type v4-8", "unknown command mend"),
        (
            "tpu_vm.sh create --zone b --type v4-8",
            "--name, --zone and --type are needed",
        ),
        ("tpu_vm.sh create --name", "--name lacks its value"),
        ("tpu_vm.sh create --name a --zone b --type v7", "unknown --type v7"),
        ("tpu_vm.sh create --nmae a", "unknown flag --nmae"),
        ("tpu_vm.sh run --name a --zone b --type v4-8", "wants the training's flags"),
        (
            "tpu_vm.sh run --name a --zone b --type v4-16 -- --workdir r --data x=gs://b",
            "on several hosts the training wants --workdir gs://BUCKET/",
        ),
        (
            "tpu_vm.sh run --name a --zone b --type v6e-16 --queued -- --workdir=r",
            "on several hosts the training wants --workdir gs://BUCKET/",
        ),
        ("tpu_vm.sh fetch --name a --zone b --type v4-8", "fetch wants --workdir"),
        (
            "tpu_vm.sh setup --name a --zone b --type v4-8 --upload no.csv",
            "there is no .*no.csv",
        ),
        (
            "tpu_vm.sh create --name a --zone b --type v4-8 --compute-engine",
            "has v6e and v5p",
        ),
        (
            "tpu_vm.sh create --name a --zone b --type v6e-7 --compute-engine",
            "has no v6e-7",
        ),
        (
            "tpu_vm.sh create --name a --zone b --type v6e-8 --compute-engine --queued",
            "has no queue",
        ),
        ("gke.sh --name a --cluster b --zone c -- --config d", "and --type are needed"),
        (
            "gke.sh --name a --cluster b --zone c --type v6e-8 -- --workdir d",
            "gs://BUCKET",
        ),
        ("gpu.sh", "the training's flags are needed"),
        ("quickstart.sh --dryrun", "unknown flag --dryrun"),
        ("slurm.sbatch", "the training's flags are needed"),
    ],
)
def test_a_mistake_is_one_sentence(line, sentence, tmp_path):
    """Before anything runs: there is a gcloud, but it may not be called."""
    program(tmp_path / "gcloud", "touch called")
    found = bash(line, env=found_first(tmp_path), cwd=tmp_path)
    assert re.search(sentence, found.stdout + found.stderr)
    if found.stderr:
        assert found.returncode == 2 and found.stderr.count("\n") == 1
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize(
    "line, sentence",
    [
        (f"tpu_vm.sh create {TPU} --type v6e-8", "gcloud is not there; install"),
        (f"babysit.sh {TPU} --type v6e-8 {FER}", "gcloud is not there; install"),
        (DRY["gke"], "xpk is not there; pip install xpk"),
        (DRY["gpu"], "nvidia-smi is not there; .* bash launch/quickstart.sh"),
        (DRY["slurm"], "srun is not there; .* bash launch/gpu.sh"),
    ],
)
def test_a_program_that_is_missing_is_named(line, sentence, tmp_path):
    for name in ("bash", "dirname", "basename", "sed", "date", "sleep"):
        (tmp_path / name).symlink_to(shutil.which(name))
    found = bash(line, env={"PATH": str(tmp_path)})
    assert found.returncode == 2 and re.search(sentence, found.stderr)
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize("name", sorted(set(DRY) - {"gke", "gke_image"}))
def test_no_connection_waits_for_a_host_that_is_gone(name):
    for line in dry(DRY[name]).splitlines():
        words = shlex.split(line)
        for kind in {"ssh", "scp"} & set(words[:5]):
            assert f"--{kind}-flag=-oServerAliveInterval=15" in words
            assert f"--{kind}-flag=-oConnectTimeout=30" in words


def test_skypilot_reads_its_task(monkeypatch, tmp_path):
    sky = pytest.importorskip("sky")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ValueError, match="'WORKDIR' is None"):
        sky.Task.from_yaml(str(LAUNCH / "sky.yaml"))
    given = yaml.safe_load((LAUNCH / "sky.yaml").read_text())
    task = sky.Task.from_yaml_config(given, [("WORKDIR", "gs://b/r")])
    (resources,) = task.resources
    assert resources.use_spot and resources.accelerators == {"tpu-v6e-8": 1}
    assert resources.job_recovery["recover_on_exit_codes"] == [75]


def test_the_tasks_scripts_are_bash(tmp_path):
    task = yaml.safe_load((LAUNCH / "sky.yaml").read_text())
    for name in ("setup", "run"):
        (tmp_path / name).write_text(task[name])
        subprocess.run(["bash", "-n", tmp_path / name], check=True)


def test_xpk_takes_the_workload(tmp_path):
    if not shutil.which("xpk"):
        pytest.skip("xpk is not installed")
    *_, line = dry(DRY["gke_image"]).splitlines()
    manifest = tmp_path / "manifest.yaml"
    command = [*shlex.split(line), "--dry-run", "--skip-validation"]
    command += [f"--output-manifest-file={manifest}"]
    env = os.environ | {"HOME": str(tmp_path)}
    found = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "emotion_jax.train --config configs/fer5.py" in manifest.read_text()
