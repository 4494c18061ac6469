"""Options for a platform's compiler, and where compiled programs are kept.

They change only the speed, never the results.
"""

import functools
import hashlib
import os
from pathlib import Path

import jax

from emotion_jax import files

# XLA's CPU backend hands fused element-wise operations and convolutions to YNNPACK by
# default. For the gradients of small convolutions that is two to three times slower
# than XLA's own code; so only matrix products are left to it. (Measured on 2 cores, one
# training step of ResNet-18, width 32: 60 against 151 images/s, jax 0.10.2.)
CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT"}


@functools.cache
def compiler_options(platform: str) -> dict[str, str]:
    """Options for `jax.jit`; {} if this version's compiler does not know them."""
    if platform != "cpu":
        return {}
    try:
        jax.jit(lambda: 0, compiler_options=CPU_OPTIONS)()
    except Exception:  # each version has its own error for an unknown option
        return {}
    return CPU_OPTIONS


def keep_compiled() -> None:
    """Keeps compiled programs in the private cache, for the next start to load.

    Does nothing if JAX was given another place (JAX_COMPILATION_CACHE_DIR). In a shared
    home, machines with different processors keep separate programs.
    """
    home = files.cache_folder()
    if home is None or jax.config.jax_compilation_cache_dir is not None:
        return
    processor = hashlib.blake2b(describe_processor().encode(), digest_size=4)
    place = home / "compiled" / processor.hexdigest()
    drop_damaged(place)
    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def drop_damaged(place: Path) -> None:
    """Deletes the programs that were only partly written when a run was killed.

    JAX can neither load such a file nor replaces it, and so compiles that program at
    every start. Only files newer than the last check are checked.
    """
    mark = place.with_suffix(".seen")
    now = mark.with_suffix(f".{os.getpid()}")
    if not place.is_dir():
        return
    try:
        since = mark.stat().st_mtime_ns if mark.exists() else 0
        now.touch()  # by the disk's clock, and before the check
        for file in place.glob("*-cache"):
            if file.stat().st_mtime_ns >= since and not is_whole(file.read_bytes()):
                file.unlink()
        now.replace(mark)
    except OSError:  # another start deleted it first, or the disk is full
        now.unlink(missing_ok=True)


def is_whole(program: bytes) -> bool:
    """Whether JAX can unpack the program."""
    try:
        from jax._src.compilation_cache import decompress_executable
    except ImportError:  # a later JAX has it elsewhere
        return True
    try:
        return bool(decompress_executable(program))
    except Exception:  # each packer that JAX may have used has its own error
        return False


def describe_processor() -> str:
    """The processor's model and features, if the system reports them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    told = ("model name", "flags", "Features")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(told)))
