"""A child that tries cases: python drive.py KIND FIRST COUNT FOLDER; a JSON line each.

A case is made by its number alone, so one that ends wrongly is made again by it. Every
case has ten seconds of processor time, the child 2 GiB.
"""

import contextlib
import importlib
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from case import Case

from emotion_jax import cli

SECONDS, MEGABYTES = 10, 2048
# What no sentence holds: the insides of Python, NumPy and JAX.
INSIDES = re.compile(
    r"Traceback|\b[A-Za-z]+(Error|Exception)\b|<class|<function|object at 0x|ndarray"
    r"|jnp\.|(?<!emotion_)jax\.|numpy|jaxlib|ConfigDict\(|__[a-z]+__"
)


class Late(BaseException):
    """The watchdog."""


def listing(folder: Path) -> dict[str, tuple]:
    """Everything in a folder, with what changes when it is written to."""
    found, unseen = {}, [folder]
    while unseen:  # os.walk calls itself, and some folders are a thousand deep
        for entry in os.scandir(unseen.pop()):
            status = entry.stat(follow_symlinks=False)
            found[entry.path] = status.st_mode, status.st_size
            if entry.is_dir(follow_symlinks=False):
                unseen.append(entry.path)
    return found


def bark(*_):
    raise Late


def run(case: Case) -> tuple[int | str, str]:
    """How a case ends, and what it tells."""
    told = io.StringIO()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
            code = cli.run(case.run, case.args)
    except Late:
        code = "late"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return code, told.getvalue()


def problems(code: int | str, told: str, before: dict, after: dict) -> list[str]:
    """Whatever breaks the law: success, or exit 2, one sentence, nothing written."""
    found = [] if code in (0, 2) else [f"it ends with {code}"]
    *above, last = told.strip().split("\n")
    if "Warning" in told:
        found.append("it warns")
    if code == 2:
        if not last.startswith("emotion_jax: "):
            found.append("its last line is no sentence of ours")
        if INSIDES.search(last):
            found.append("the sentence shows the insides")
        if len(last) > 1500 or len(last) < 20:
            found.append(f"the sentence has {len(last)} characters")
        if changed := sorted(p for p in after if after[p] != before.get(p)):
            found.append(f"written to {changed[:3]}")
    if any(line.startswith(("emotion_jax: ", "Traceback")) for line in above):
        found.append("more than one sentence")
    if any("owned" in path for path in after):
        found.append("a pickle was loaded")
    return found


def brief(told: str, case: Case) -> str:
    """What it tells, without repeating long arguments."""
    for arg in sorted(case.args, key=len, reverse=True):
        told = (
            told.replace(arg.split("=")[-1].rstrip("/"), "ARG")
            if len(arg) > 200
            else told
        )
    return told


def peak() -> int:
    """Megabytes that this process ever held.

    getrusage would do, but on Linux it also counts the one that started this one.
    """
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) // 1024


def main(kind: str, first: int, count: int, folder: Path) -> None:
    """Tries COUNT cases of a kind, each in a folder of its own."""
    cases = importlib.import_module(kind)
    signal.signal(signal.SIGPROF, bark)
    for number in range(first, first + count):
        here = folder / f"{kind}{number}"
        here.mkdir()
        os.chdir(here)
        case = cases.make(random.Random(number), number, here)
        before, begin = listing(here), time.process_time()
        code, told = run(case)
        row = {
            "case": f"{kind} {number}: {case.name}",
            "args": case.args,
            "end": code,
            "seconds": round(time.process_time() - begin, 2),
            "megabytes": peak(),
            "problems": problems(code, brief(told, case), before, listing(here)),
            "told": told[-3000:],
        }
        if row["megabytes"] > MEGABYTES:
            row["problems"].append("more than 2 GiB")
        print(json.dumps(row), flush=True)
        os.chdir(folder)
        subprocess.run(["rm", "-rf", here], check=True)  # shutil calls itself too


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
