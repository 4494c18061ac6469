"""A cloud for tests: `gcloud` and what a TPU's host has, with a plan of what fails.

One TPU is the folders $CLOUD/host0, host1, ...; the bucket is $CLOUD/bucket. A line of
$CLOUD/plan says what happens at the N-th call of a kind, as `create 1 refused`, or once
the training has saved a step, as `step 2 vanishes`.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

CLOUD = Path(os.environ["CLOUD"])
STATE, HOSTS = CLOUD / "state", int(os.environ.get("CLOUD_HOSTS", "1"))
QUEUED = {  # what a queue calls the states of its TPU
    "CREATING": "WAITING_FOR_RESOURCES",
    "READY": "ACTIVE",
    "PREEMPTED": "SUSPENDED",
}
KINDS = ("create", "describe", "delete", "ssh", "scp", "storage")

TRAINER = """#!/usr/bin/env bash
# The training: goes on from the bucket's step to the eighth; a step for each call.
cd "$CLOUD/bucket"
step=$(cat step 2>/dev/null || echo 0)
echo "from $step: $*" >>log
code=$(head -n 1 codes 2>/dev/null)
[ -z "$code" ] || { sed -i 1d codes; echo "ends with $code"; exit "$code"; }
trap 'echo "saved $step" >>log; exit 75' TERM
while [ "$step" -lt 8 ]; do
    calls=$(wc -c <../counts)
    while [ "$(wc -c <../counts)" = "$calls" ]; do sleep 0.02; done
    step=$((step + 1))
    echo "$step" >.step && mv .step step
done
echo "done $step" >>log
"""
PYTHON3 = """#!/usr/bin/env bash
[ "$*" != "-m site --user-base" ] || echo "$CLOUD"
"""
UV = """#!/usr/bin/env bash
[ "$1" != venv ] || { mkdir -p .venv/bin && cp "$CLOUD/trainer" .venv/bin/python; }
"""


def install(python: str) -> None:
    """Writes the programs that stand on PATH: here, and on a host."""
    here = f'#!/bin/sh\nexec {python} -I -S {Path(__file__).resolve()} "$@"\n'
    xpk = f'#!/bin/sh\necho "$@" >>{CLOUD}/xpk\n'
    programs = {"path/gcloud": here, "path/python3": PYTHON3, "bin/uv": UV}
    programs["path/xpk"] = xpk
    for name, text in (programs | {"trainer": TRAINER}).items():
        (CLOUD / name).parent.mkdir(parents=True, exist_ok=True)
        (CLOUD / name).write_text(text)
        (CLOUD / name).chmod(0o755)
    (CLOUD / "bucket").mkdir()


def hosts(worker: str) -> list[Path]:
    found = [CLOUD / f"host{i}" for i in range(HOSTS)]
    return found if worker == "all" else found[:1]


def take_away() -> None:
    """The machine is gone, at once, and all that was on it."""
    for host in hosts("all"):
        pid = host / "emotion_jax" / "run.pid"
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.killpg(int(pid.read_text()), signal.SIGKILL)
        shutil.rmtree(host, ignore_errors=True)
    STATE.write_text("PREEMPTED")


def happens(kind: str) -> str:
    """What the plan says of this call."""
    with open(CLOUD / "counts", "a+") as file:
        file.seek(0)
        count = file.read().split().count(kind) + 1
        file.write(f"{kind} ")
    saved, happened = CLOUD / "bucket" / "step", CLOUD / "happened"
    before = happened.read_text().splitlines() if happened.exists() else []
    step = int(saved.read_text()) if saved.exists() else 0
    for line in (CLOUD / "plan").read_text().splitlines():
        name, number, event = line.split()
        now = name == kind and int(number) == count
        if name == "step" and kind == "describe" and line not in before:
            now = step >= int(number)
        if now:
            happened.write_text("\n".join([*before, line]))
            return event
    return ""


def fail(sentence: str, code: int = 1) -> None:
    print(f"ERROR: (gcloud) {sentence}", file=sys.stderr)
    sys.exit(code)


def main(args: list[str]) -> None:
    kind = next(word for word in args if word in KINDS)
    with open(CLOUD / "calls", "a") as file:
        print(kind, *args, sep="\t", file=file)
    event = happens(kind)
    state = STATE.read_text() if STATE.exists() else "MISSING"
    flags = dict(
        arg[2:].split("=", 1) for arg in args if arg[:2] == "--" and "=" in arg
    )
    if event == "broken":
        fail("HttpError: 503 The service is currently unavailable", 255)
    if event == "refused":
        fail("There is no more capacity in the zone; code 8")
    if event == "vanishes":
        take_away()
        fail("Connection closed by remote host", 255)
    if event == "warned":  # as for maintenance: the run has time to save
        for host in hosts("all"):
            os.kill(int((host / "emotion_jax" / "run.pid").read_text()), 15)
    if kind == "create":
        for host in hosts("all"):
            host.mkdir()
        STATE.write_text("CREATING" if event == "slow" else "READY")
    elif kind == "storage":
        shutil.copytree(CLOUD / "bucket", Path(args[3]) / Path(args[2]).name)
    elif state == "MISSING":
        fail("NOT_FOUND: Resource 'projects/p/nodes/nanny' was not found")
    elif kind == "describe":
        print(QUEUED[state] if "queued-resources" in args else state)
        if state == "CREATING":
            STATE.write_text("READY")
    elif kind == "delete":
        take_away()
        STATE.unlink()
    elif state != "READY":
        fail(f"the TPU is {state}", 255)
    elif kind == "scp" and "--recurse" in args:
        source = args[args.index("scp") + 1].split(":")[1]
        target = Path(args[args.index("scp") + 2]) / Path(source).name
        shutil.copytree(hosts("0")[0] / source, target)
    elif kind == "scp":
        name = args[args.index("scp") + 2].split(":")[1]
        for host in hosts(flags["worker"]):
            shutil.copy(args[args.index("scp") + 1], host / name)
    elif kind == "ssh":
        for host in hosts(flags["worker"]):
            subprocess.run(["bash", "-c", flags["command"]], cwd=host, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
