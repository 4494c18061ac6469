"""Laws of the compiler's options and of the programs that are kept."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from emotion_jax.platform import compiler_options

ROOT = Path(__file__).parent.parent
CODE = """
import jax
from emotion_jax import platform
platform.keep_compiled()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.jit(lambda x: x + 1)(1)
print(jax.config.jax_compilation_cache_dir)
"""


def compile_with(**environment: str) -> str:
    """Where a process keeps what it compiles."""
    kept = {k: v for k, v in os.environ.items() if "JAX_" not in k}
    child = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=ROOT,
        env=kept | {"JAX_PLATFORMS": "cpu"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not child.stderr
    return child.stdout.strip()


def test_programs_are_kept_in_the_private_cache(tmp_path):
    place = Path(compile_with(EMOTION_JAX_CACHE=str(tmp_path / "mine")))
    assert place.is_relative_to(tmp_path / "mine" / "compiled")
    assert (tmp_path / "mine").stat().st_mode & 0o077 == 0
    before = {file.name for file in place.iterdir()}
    assert any(name.startswith("jit") for name in before)
    assert Path(compile_with(EMOTION_JAX_CACHE=str(tmp_path / "mine"))) == place
    assert {file.name for file in place.iterdir()} == before


def test_programs_are_kept_where_jax_was_told(tmp_path):
    told = str(tmp_path / "elsewhere")
    mine = str(tmp_path / "mine")
    assert compile_with(EMOTION_JAX_CACHE=mine, JAX_COMPILATION_CACHE_DIR=told) == told
    assert any(Path(told).iterdir())


@pytest.mark.parametrize("name", ["", "open"])
def test_nothing_is_kept_without_a_private_cache(name, tmp_path):
    """An executable that others could write would be executed."""
    home = tmp_path / "open"
    home.mkdir()
    home.chmod(0o777)
    cache = str(home) if name else ""
    assert compile_with(EMOTION_JAX_CACHE=cache) == "None"
    assert not any(home.iterdir())


def test_only_the_cpu_has_options():
    assert compiler_options("tpu") == compiler_options("gpu") == {}
    assert all(name.startswith("xla_cpu") for name in compiler_options("cpu"))
    assert jax.jit(lambda: 1, compiler_options=compiler_options("cpu"))() == 1
