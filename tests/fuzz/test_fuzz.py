"""Whatever it is given, a binary does its work or says in one sentence why not.

2,000 CSV files, 1,000 folders of images and 300 command lines with --long; without it
the first of each. They run in children, which are held to ten seconds
of processor time a case and 2 GiB.
"""

import collections
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny

from emotion_jax.train import train_and_evaluate

HERE = Path(__file__).parent
SHORT = {"csvs": 150, "images": 80, "commands": 60}
LONG = {"csvs": 2000, "images": 1000, "commands": 300}
A_CHILD = 500  # cases: what one leaves behind is not carried far


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A workdir to evaluate."""
    workdir = tmp_path_factory.mktemp("runs") / "tiny"
    train_and_evaluate(tiny.config(**{"train.steps": 2}), workdir)
    return workdir


def drive(kind: str, first: int, count: int, folder: Path, checkpoint: Path) -> list:
    """A child's rows, one a case."""
    paths = [str(HERE.parents[1]), str(HERE.parent)]
    here = {
        "FUZZ_CHECKPOINT": str(checkpoint),
        "EMOTION_JAX_CACHE": str(folder / "cache"),
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
        "PYTHONPATH": os.pathsep.join(paths),
    }
    args = [str(HERE / "drive.py"), kind, str(first), str(count), str(folder)]
    child = subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, env=os.environ | here
    )
    rows = [json.loads(line) for line in child.stdout.splitlines()]
    assert len(rows) == count, f"{child.stderr[-3000:]}\nafter {rows[-1:]}"
    return rows


def count(rows: list) -> str:
    """How each kind of case ended."""
    ends = collections.Counter(row["end"] for row in rows)
    peak = max(row["megabytes"] for row in rows)
    slowest = max(rows, key=lambda row: row["seconds"])
    return (
        f"{len(rows)} cases, by exit code {dict(ends)}; at most {peak} MB; slowest "
        f"{slowest['seconds']} s ({slowest['case']})"
    )


def check(kind: str, number: int, folder: Path, checkpoint: Path) -> None:
    rows = []
    for first in range(0, number, A_CHILD):
        some = min(A_CHILD, number - first)
        rows += drive(kind, first, some, folder, checkpoint)
    print(f"\n{kind}: {count(rows)}")
    wrong = [row for row in rows if row["problems"]]
    assert not wrong, f"{len(wrong)} of them: {json.dumps(wrong[:5], indent=1)}"
    ends = collections.Counter(row["end"] for row in rows)
    assert min(ends[0], ends[2]) >= number // 60, ends  # or it tries one thing only


def test_a_child_is_not_charged_for_what_started_it():
    """A worker of the suite grows beyond what a child may hold."""
    held = np.ones(700 << 20, np.uint8)
    paths = os.pathsep.join([str(HERE.parents[1]), str(HERE.parent), str(HERE)])
    child = subprocess.run(
        [sys.executable, "-c", "import drive; print(drive.peak())"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert 10 < int(child.stdout) < held.nbytes >> 20


@pytest.mark.parametrize("kind", SHORT)
def test_a_case_ends_well_or_with_a_sentence(kind, tmp_path, checkpoint):
    check(kind, SHORT[kind], tmp_path, checkpoint)


@pytest.mark.long
@pytest.mark.parametrize("kind", LONG)
def test_every_case_ends_well_or_with_a_sentence(kind, tmp_path, checkpoint):
    check(kind, LONG[kind], tmp_path, checkpoint)
