"""Laws of the doctor: it tells what is wrong, and breaks with nothing itself."""

import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from emotion_jax import doctor

ROOT = Path(__file__).parent.parent


def visit(*flags: str, stubs: Path | None = None) -> subprocess.CompletedProcess:
    """The binary, with modules of `stubs` in front of the installed ones."""
    env = os.environ | {"PYTHONPATH": f"{stubs or ROOT}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "emotion_jax.doctor", *flags]
    return subprocess.run(command, env=env, capture_output=True, text=True)


def test_a_machine_that_can_train_is_well(tmp_path):
    found = visit("--workdir", str(tmp_path / "runs"))
    assert found.returncode == 0, found.stdout + found.stderr
    lines = found.stdout.splitlines()
    assert lines[-1] == "no problems" and not (tmp_path / "runs").exists()
    rows = dict(line.split(maxsplit=2)[1:] for line in lines if line.startswith("ok"))
    assert rows["jax"] and rows["devices"].endswith("x cpu")
    assert rows["training"].startswith("two steps in ")
    assert "can be written to" in rows["workdir"]


@pytest.mark.parametrize(
    "stub, patience, sentences",
    [
        (
            "raise RuntimeError('half installed\\nmore')",
            "100",
            (
                "absl-py: it cannot be imported (half installed): pip install",
                "--force-",
            ),
        ),
        ("print(7); print([7])", "100", ("ok  absl-py",)),
        (
            "import os; os._exit(9)",
            "100",
            ("broke off with code 9", "in the clone: pip"),
        ),
        (
            "import time; time.sleep(100)",
            "3",
            ("no answer within 3 s", "another process may hold the device"),
        ),
    ],
)
def test_what_a_package_breaks_is_told(tmp_path, stub, patience, sentences):
    (tmp_path / "absl").mkdir()
    (tmp_path / "absl" / "__init__.py").write_text(stub)
    (tmp_path / "jax.py").write_text("raise ImportError('none today')")
    found = visit("--patience", patience, stubs=tmp_path)
    assert found.returncode == 2 and "Traceback" not in found.stdout + found.stderr
    for sentence in sentences:
        assert sentence in found.stdout
    assert found.stdout.startswith("ok  python")


@pytest.mark.parametrize("patience", ["nan", "-1", "0", "soon"])
def test_a_patience_that_is_none_is_told(patience):
    found = visit("--patience", patience)
    assert found.returncode == 2 and "Traceback" not in found.stderr
    assert f"argument --patience: invalid seconds value: '{patience}'" in found.stderr


# Hears Ctrl-C as usual, though a shell that runs tests in the background ignores it.
INTERRUPTIBLE = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("emotion_jax.doctor", run_name="__main__")
"""


def test_an_interrupt_is_no_traceback(tmp_path):
    (tmp_path / "absl").mkdir()
    (tmp_path / "absl" / "__init__.py").write_text("import time; time.sleep(100)")
    env = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", INTERRUPTIBLE]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as run:
        assert "looking" in run.stderr.readline()
        run.send_signal(signal.SIGINT)
        assert run.stderr.read() == "emotion_jax: interrupted\n"
    assert run.returncode == 130


def test_each_package_is_told_once():
    names = [name for name, _, _ in doctor.packages()]
    assert "onnxruntime" in names and len(set(names)) == len(names)


def test_a_version_that_does_not_fit_is_told():
    from packaging.specifiers import SpecifierSet

    name, found, problem = doctor.package("jax", SpecifierSet("<0.1"), "")
    assert (name, problem) == ("jax", '<0.1 is needed: pip install "jax<0.1"')
    assert doctor.package("no-such", SpecifierSet(">=1"), "") == (
        "no-such",
        "not installed",
        'pip install "no-such>=1"',
    )
    assert doctor.package("no-such", SpecifierSet(">=1"), "web")[2] == ""


def test_a_python_that_does_not_fit_is_told(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    ((_, found, problem),) = doctor.python()
    assert found == "3.10.4" and problem.startswith("3.11 to 3.13 is needed")


def test_a_gpu_that_is_not_used_is_told(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    ((_, found, problem),) = doctor.devices()
    assert found == "8 x cpu" and 'pip install -e ".[cuda]"' in problem


def test_a_full_disk_and_one_that_may_not_be_written_are_told(tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1e9))
    ((_, found, problem),) = doctor.workdir(str(tmp_path / "new"))
    assert found.endswith("; 1.0 GB free") and problem.startswith("make room")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file is no folder"):
        list(doctor.workdir(str(tmp_path / "file")))


def test_a_compile_cache_is_found_warm_or_cold(tmp_path, monkeypatch):
    import jax

    before, jaxs = jax.config.jax_compilation_cache_dir, tmp_path / "jaxs"
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        with monkeypatch.context() as patch:
            patch.setenv("EMOTION_JAX_CACHE", str(tmp_path / "own"))
            ((_, told, _),) = doctor.compiled()
            assert told.startswith(f"cold, in {tmp_path}/own/compiled/")
        for folder, found in ((None, "none; "), (str(jaxs), "cold, in ")):
            jax.config.update("jax_compilation_cache_dir", folder)
            ((_, told, _),) = doctor.compiled()
            assert told.startswith(found)
        jaxs.mkdir()
        (jaxs / "x").touch()
        ((_, told, _),) = doctor.compiled()
        assert told == f"1 files in {jaxs}"
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
