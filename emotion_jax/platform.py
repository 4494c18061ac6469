"""What a platform's compiler is told, and where its programs are kept.

Speed only, never other results.
"""

import functools
import hashlib
import os
from pathlib import Path

import jax

# XLA's CPU backend hands fused element-wise operations and convolutions to YNNPACK by
# default. For the gradients of small convolutions that is two to three times slower
# than XLA's own code; matrix products alone are left to it. (Measured on 2 cores, one
# training step of ResNet-18, width 32: 60 against 151 images/s, jax 0.10.2.)
CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT"}


@functools.cache
def compiler_options(platform: str) -> dict[str, str]:
    """Options for `jax.jit`; none where this version's compiler does not know them."""
    if platform != "cpu":
        return {}
    try:
        jax.jit(lambda: 0, compiler_options=CPU_OPTIONS)()
    except Exception:  # each version has an error of its own for an unknown option
        return {}
    return CPU_OPTIONS


def keep_compiled() -> None:
    """Keeps compiled programs in the private cache, for the next start to load.

    Unless JAX has been told a place of its own (JAX_COMPILATION_CACHE_DIR). A machine
    with another processor has programs of its own, where a home is shared.
    """
    from emotion_jax.data import cache  # its package needs this module

    home = cache.folder()
    if home is None or jax.config.jax_compilation_cache_dir is not None:
        return
    processor = hashlib.blake2b(describe_processor().encode(), digest_size=4)
    place = home / "compiled" / processor.hexdigest()
    drop_damaged(place)
    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def drop_damaged(place: Path) -> None:
    """Deletes the programs that a kill cut off while they were written.

    JAX can neither load such a file nor writes it anew, and compiles that program at
    every start. Only what is newer than the last look here is looked at.
    """
    mark = place.with_suffix(".seen")
    now = mark.with_suffix(f".{os.getpid()}")
    if not place.is_dir():
        return
    try:
        since = mark.stat().st_mtime_ns if mark.exists() else 0
        now.touch()  # by the clock of the disk, and before the look
        for file in place.glob("*-cache"):
            if file.stat().st_mtime_ns >= since and not is_whole(file.read_bytes()):
                file.unlink()
        now.replace(mark)
    except OSError:  # another start deleted it first, or the disk is full
        now.unlink(missing_ok=True)


def is_whole(program: bytes) -> bool:
    """Whether JAX can unpack it."""
    try:
        from jax._src.compilation_cache import decompress_executable
    except ImportError:  # a later JAX has it elsewhere
        return True
    try:
        return bool(decompress_executable(program))
    except Exception:  # each packer that it may have chosen has an error of its own
        return False


def describe_processor() -> str:
    """What it can do, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    told = ("model name", "flags", "Features")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(told)))
