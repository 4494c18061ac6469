"""Laws of the compiler's options and of the programs that are kept."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from jax._src import compilation_cache

from emotion_jax import compiler
from emotion_jax.compiler import compiler_options, drop_damaged, is_whole

ROOT = Path(__file__).parent.parent
CODE = """
import jax
from emotion_jax import compiler
compiler.keep_compiled()
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


def test_a_program_that_a_kill_cut_off_is_compiled_and_kept_anew(tmp_path):
    place = Path(compile_with(EMOTION_JAX_CACHE=str(tmp_path / "mine")))
    sizes = {file: file.stat().st_size for file in place.glob("*-cache")}
    for file, size in sizes.items():
        os.truncate(file, size // 2)
    assert Path(compile_with(EMOTION_JAX_CACHE=str(tmp_path / "mine"))) == place
    assert all(file.stat().st_size > size // 2 for file, size in sizes.items())
    assert [file.suffix for file in place.parent.iterdir() if file.is_file()] == [
        ".seen"
    ]


def test_only_new_programs_are_looked_at(tmp_path, monkeypatch):
    place = tmp_path / "programs"
    drop_damaged(place)  # there is none yet
    place.mkdir()
    whole = compilation_cache.compress_executable(b"a program")
    looked = []
    monkeypatch.setattr(compiler, "is_whole", lambda b: looked.append(b) or is_whole(b))
    for name, text in (("a", whole), ("b", whole[:-3]), ("c", b"")):
        (place / f"{name}-cache").write_bytes(text)
    drop_damaged(place)
    assert {file.name for file in place.iterdir()} == {"a-cache"}
    assert len(looked) == 3
    os.utime(place / "a-cache", (0, 0))
    drop_damaged(place)
    assert len(looked) == 3


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
