"""Laws of the launch scripts as they run: installing, one end for a group, queueing."""

import os
import shlex
import shutil
import subprocess
import sys

import pytest
from shell import LAUNCH, TPU, bash, found_first, program

GROUP = f"tpu_vm.sh {{}} {TPU} --type v5p-16 --compute-engine"


def test_quickstart_installs_then_trains_and_evaluates_where_it_is_told(tmp_path):
    scripts, python = tmp_path / "clone/launch", tmp_path / "clone/.venv/bin/python"
    shutil.copytree(LAUNCH, scripts, ignore=shutil.ignore_patterns("*.md", "*.png"))
    program(python, f'echo "$@" >> {tmp_path}/said')
    env = {"PATH": os.environ["PATH"], "PYTHON": sys.executable}
    command = ["bash", scripts / "quickstart.sh", "mine"]
    subprocess.run(command, cwd=tmp_path, env=env, check=True)
    install, train, evaluate = (tmp_path / "said").read_text().splitlines()[1:]
    assert install.endswith("-e .")
    assert train.endswith(f"configs/synthetic.py --workdir {tmp_path}/mine")
    assert evaluate.endswith(f"evaluate --checkpoint {tmp_path}/mine")


@pytest.mark.parametrize(
    "said, code", [("The resource 'faces' was not found", 0), ("Please log in", 1)]
)
def test_a_group_is_deleted_only_if_google_says_so(said, code, tmp_path):
    program(tmp_path / "gcloud", f'echo "{said}" >&2; exit 1')
    found = bash(GROUP.format("delete"), env=found_first(tmp_path))
    assert found.returncode == code, found.stderr
    assert (said in found.stderr) == bool(code)


@pytest.mark.parametrize(
    "counted, state",
    [("echo RUNNING; echo RUNNING", "READY"), ("exit 1", "")]
    + [("echo RUNNING; echo STOPPING", "PREEMPTED"), (":", "PREEMPTED")],
)
def test_a_group_is_preempted_only_if_it_could_be_counted(counted, state, tmp_path):
    answer = f"case $* in *list-instances*) {counted} ;; *) echo True ;; esac"
    program(tmp_path / "gcloud", answer)
    found = bash(GROUP.format("state"), env=found_first(tmp_path))
    assert (found.returncode == 0) == bool(state), found.stderr
    assert found.stdout.strip() == state


FOUR = """# Four hosts; what the last three do ends once all of them do it.
case $* in
*list-instances*) printf 'n-%s\\n' b a d c && exit ;;
*"ssh n-a "* | *"faces.tgz n-a:"*) echo code=0 && exit ;;
esac
mktemp here.XXXXXX >/dev/null
for _ in $(seq 100); do
    [ "$(ls here.* | wc -l)" -lt 3 ] || break
    sleep 0.1
done
[ "$(ls here.* | wc -l)" -ge 3 ] || exit 1
case $* in
*"ssh n-c "* | *"faces.tgz n-c:"*) exit $CODE ;;
esac
echo code=0
"""


@pytest.mark.parametrize("code", ["0", "7"])
@pytest.mark.parametrize("command", ["code", "run", "setup"])
def test_hosts_of_a_group_work_at_once_and_fail_together(command, code, tmp_path):
    clone = tmp_path / "clone"
    for name in ("emotion_jax", "configs", "setup.py", "pyproject.toml", "README.md"):
        (clone / name).parent.mkdir(exist_ok=True)
        (clone / name).touch()
    (clone / "launch").symlink_to(LAUNCH)
    program(tmp_path / "gcloud", FOUR)
    flags = shlex.split(f"{TPU} --type v5p-32 --compute-engine -- --workdir gs://b/r")
    found = subprocess.run(
        ["bash", clone / "launch" / "tpu_vm.sh", command, *flags],
        env=found_first(tmp_path) | {"CODE": code},
        cwd=clone,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == int(code), found.stderr


def test_a_venv_that_was_broken_off_is_made_anew(tmp_path):
    """It has a Python, which starts, but no pip."""
    (tmp_path / "launch").mkdir()
    shutil.copy(LAUNCH / "venv.sh", tmp_path / "launch")
    whole, python = tmp_path / "whole", tmp_path / ".venv" / "bin" / "python"
    program(whole, f'echo "$@" >>{tmp_path}/said')
    program(tmp_path / "python", f'[ "$2" != venv ] || cp {whole} .venv/bin/python')
    program(python, '[ "$1" != -m ]')
    env = {"PATH": os.environ["PATH"], "PYTHON": str(tmp_path / "python")}
    for _ in range(2):  # the second time it is there
        command = ["bash", tmp_path / "launch" / "venv.sh"]
        found = subprocess.run(command, env=env, capture_output=True, text=True)
        assert found.returncode == 0, found.stderr
    assert python.read_text() == whole.read_text() and found.stdout == ""


def test_a_host_without_pip_gets_it_beside_the_upgrade_that_it_boots_with(tmp_path):
    (tmp_path / "launch").mkdir()
    shutil.copy(LAUNCH / "on_host.sh", tmp_path / "launch")
    said = tmp_path / "said"
    stubs = {
        "python3": f"[ -e {tmp_path}/pip ] && echo {tmp_path}",
        "sudo": f'echo "$@" >>{said}\n'
        f"case $* in *install*) touch {tmp_path}/pip ;; *) [ -e slept ] ;; esac",
        "sleep": "touch slept",
        "bin/uv": ":",
    }
    for name, script in stubs.items():
        program(tmp_path / name, script)
    env = found_first(tmp_path)
    command = ["bash", tmp_path / "launch" / "on_host.sh", "setup"]
    for _ in range(2):  # the second time it has it
        found = subprocess.run(command, env=env, capture_output=True)
        assert found.returncode == 0, found.stderr
    update, again, install = said.read_text().splitlines()
    assert update == again == "apt-get -o DPkg::Lock::Timeout=300 update"
    assert install.endswith("-o DPkg::Lock::Timeout=300 install --yes python3-pip")


def test_slurm_queues_a_preempted_run_again(tmp_path):
    program(tmp_path / "srun", "exit $CODE")
    program(tmp_path / "scontrol", f"echo $* >>{tmp_path}/queued")
    program(tmp_path / ".venv" / "bin" / "python", ":")
    (tmp_path / "launch").symlink_to(LAUNCH)
    env = {"SLURM_JOB_ID": "7", "SLURM_SUBMIT_DIR": str(tmp_path)}
    env |= found_first(tmp_path)
    for code in ("0", "2", "75"):
        found = bash("slurm.sbatch --config x", env=env | {"CODE": code})
        assert found.returncode == int(code), found.stderr
        assert (tmp_path / "queued").exists() == (code == "75")
    assert (tmp_path / "queued").read_text() == "requeue 7\n"
