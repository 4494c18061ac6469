"""Runs a launch script, where programs stand in for those that it calls."""

import os
import shlex
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAUNCH = ROOT / "launch"
TPU = "--name faces --zone us-east5-b --project my-project"


def bash(line: str, *more: str, **options) -> subprocess.CompletedProcess:
    script, *args = shlex.split(line)
    command = ["bash", str(LAUNCH / script), *more, *args]
    return subprocess.run(command, capture_output=True, text=True, **options)


def program(file: Path, script: str) -> None:
    """Makes a program that stands in for another."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/bash\n{script}\n")
    file.chmod(0o755)


def found_first(folder: Path) -> dict[str, str]:
    """The environment in which this folder's programs are found before all others."""
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
