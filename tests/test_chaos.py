"""Laws of kills: however often, the same bits in the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def chaos(*flags: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "launch/chaos.py", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_run_killed_at_a_random_moment_ends_in_the_same_bits():
    found = chaos("--runs", "1", "--kills", "1", "--seed", "4")
    assert found.returncode == 0, found.stderr
    assert "1 of 1 runs equal to the one left alone" in found.stdout
    assert f"{os.cpu_count()} cores, commit " in found.stdout


def test_none_to_kill_is_a_mistake():
    found = chaos("--runs", "0")
    told = "emotion_jax: --runs, --processes and --kills are at least 1\n"
    assert (found.returncode, found.stderr) == (2, told)


@pytest.mark.long
@pytest.mark.parametrize("processes, runs", [(1, 30), (2, 3), (4, 1)])
def test_every_killed_run_ends_in_the_same_bits(processes, runs):
    found = chaos("--runs", str(runs), "--processes", str(processes))
    print(found.stdout)
    assert found.returncode == 0, found.stdout + found.stderr
