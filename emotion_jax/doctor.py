"""Check this machine: what is installed, which devices it has, whether a step runs.

  python -m emotion_jax.doctor
  python -m emotion_jax.doctor --workdir runs/first
  python -m emotion_jax.doctor --workdir gs://bucket/runs/first

Each line reports one thing found; each problem comes with what to do about it. The
exit code is 0 if there are no problems, and 2 otherwise. A missing optional package is
not a problem. On a TPU of several hosts, run it on all of them at once.
"""

import argparse
import importlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path

# Only the standard library at the top: other packages may be what is broken.
from emotion_jax.errors import first_line

MODULES = {
    "absl-py": "absl",
    "orbax-checkpoint": "orbax.checkpoint",
    "pillow": "PIL",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "tensorflow-datasets": "tensorflow_datasets",
}
ACCELERATORS = ("tpu", "cuda")  # extras that choose a build of JAX
ADVICE = {
    "packages": "in the clone: pip install -e .",
    "devices": 'on a TPU, pip install -e ".[tpu]"; with a GPU, [cuda]',
    "training": "fix the problems above; if there are none, please report this",
}
SILENT = (
    "another process may hold the device: end it, and look again. On a TPU of several "
    "hosts, run this on all of them at once"
)
LITTLE_GB = 2
TINY = (
    "--config.data.side=24",
    "--config.train.epochs=0.0",
    "--config.train.steps=2",
    "--config.model.width=8",
    "--config.model.blocks=1",
    "--config.model.stem_stride=4",
)

# What was looked at, what was found, and the problem with it: "" if there is none.
Row = tuple[str, str, str]


def python() -> Iterator[Row]:
    """The version of Python, and whether it fits."""
    found = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 11) <= sys.version_info[:2] <= (3, 13)
    wanted = "3.11 to 3.13 is needed: make a .venv with one of them"
    yield "python", found, "" if fits else wanted


def packages() -> Iterator[Row]:
    """Every package that setup.py names: its version, and whether it imports."""
    from packaging.requirements import Requirement  # installed with matplotlib

    told = set()
    for line in metadata.requires("emotion_jax") or ():
        wanted = Requirement(line)
        extra = re.search(r'extra == "(\w+)"', line)
        if extra and extra[1] in ("dev", "long", *ACCELERATORS):
            continue
        if wanted.name not in told:  # several extras may want it
            yield package(wanted.name, wanted.specifier, extra[1] if extra else "")
        told.add(wanted.name)


def package(name: str, specifier, extra: str) -> Row:
    """Checks one package; `specifier` says which versions fit."""
    install = f'pip install "{name}{specifier}"'
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        if extra:
            return name, f'not installed; pip install -e ".[{extra}]"', ""
        return name, "not installed", install
    if version not in specifier:
        return name, version, f"{specifier} is needed: {install}"
    if not extra:  # extras take long, and are imported where they are used
        try:
            importlib.import_module(MODULES.get(name, name))
        except Exception as error:
            reason = f"it cannot be imported ({first_line(error)})"
            return name, version, f"{reason}: {install} --force-reinstall"
    return name, version, ""


def devices() -> Iterator[Row]:
    """Which devices JAX sees, and which it should."""
    import jax

    found, problem = jax.devices(), ""
    if found[0].platform == "cpu":
        if shutil.which("nvidia-smi"):
            problem = 'a GPU is there, unused: pip install -e ".[cuda]"'
        elif list(Path("/dev").glob("accel*")):
            problem = 'a TPU is there, unused: pip install -e ".[tpu]"'
    yield "devices", f"{len(found)} x {found[0].device_kind}", problem


def step() -> Iterator[Row]:
    """Trains for two steps, from drawing faces to saving a checkpoint."""
    import jax

    from emotion_jax import compiler
    from emotion_jax.config import load_config
    from emotion_jax.train import train_and_evaluate

    compiler.keep_compiled()
    batch = -(-16 // jax.device_count()) * jax.device_count()
    sizes = (
        f"--config.train.batch_size={batch}",
        f"--config.data.sources.synthetic.faces={max(60, 4 * batch)}",
    )
    config = load_config("configs/synthetic.py", [*TINY, *sizes])
    since = time.perf_counter()
    with tempfile.TemporaryDirectory() as workdir:
        train_and_evaluate(config, workdir)
    seconds = time.perf_counter() - since
    yield "training", f"two steps in {seconds:.1f} s, most of it compiling", ""


def compiled() -> Iterator[Row]:
    """Where compiled programs are kept between runs."""
    import jax

    from emotion_jax import compiler

    compiler.keep_compiled()
    folder = jax.config.jax_compilation_cache_dir
    found = "none; JAX_COMPILATION_CACHE_DIR=DIR makes one, for quicker starts"
    if folder:
        there = Path(folder).expanduser()
        count = len(list(there.iterdir())) if there.is_dir() else 0
        found = f"{count} files in {folder}" if count else f"cold, in {folder}"
    yield "compile cache", found, ""


def prepared() -> Iterator[Row]:
    """Which data sets are prepared, and so need no path."""
    from emotion_jax.data import prepared

    homes = {name: prepared.folder(name) for name in prepared.NAMES}
    found = [name for name, home in homes.items() if prepared.whole(home)]
    none = "none; python -m emotion_jax.data.prepare fer2013=fer2013.csv makes one"
    yield "prepared sets", ", ".join(found) or none, ""


def workdir(name: str) -> Iterator[Row]:
    """Whether a run can write there, and how much space is free."""
    from emotion_jax.bucket import Url, place
    from emotion_jax.cli import check_folder

    folder, problem = place(name), ""
    check_folder("--workdir", folder)
    found = f"{name} can be written to"
    if not isinstance(folder, Url):
        there = next(p for p in (folder, *folder.absolute().parents) if p.is_dir())
        gigabytes = shutil.disk_usage(there).free / 1e9
        found += f"; {gigabytes:.1f} GB free"
        if gigabytes < LITTLE_GB:
            problem = "make room, or take a --workdir on another disk"
    yield "workdir", found, problem


def examine(workdir_name: str) -> None:
    """Runs all checks; prints each one's name, then its findings, as lines of JSON."""
    checks = {
        "python": python,
        "packages": packages,
        "devices": devices,
        "training": step,
        "compile cache": compiled,
        "prepared sets": prepared,
        "workdir": partial(workdir, workdir_name),
    }
    for name, check in checks.items():
        print(json.dumps(name), flush=True)
        try:
            for row in check():
                print(json.dumps(row), flush=True)
        except Exception as error:  # whatever a broken package raises
            print(json.dumps((name, "failed", first_line(error))), flush=True)


def look(workdir_name: str, patience: float) -> list[Row]:
    """All findings, from a second process, as a check may crash or hang."""
    code = "import sys; from emotion_jax import doctor; doctor.examine(sys.argv[1])"
    command = [sys.executable, "-c", code, workdir_name]
    try:
        done = subprocess.run(command, capture_output=True, timeout=patience)
        out, whole = done.stdout, done.returncode == 0
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        reason = "".join(last)[:200] or "no reason is given"
        end = f"broke off with code {done.returncode}", reason
    except subprocess.TimeoutExpired as error:
        out, whole = error.stdout or b"", False
        end = f"no answer within {patience:g} s", SILENT
    rows, name = [], "python"
    for line in out.decode(errors="replace").splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue  # some package printed it
        if isinstance(found, str):
            name = found
        elif isinstance(found, list) and len(found) == 3:
            rows.append(tuple(found))
    return rows if whole else [*rows, (name, *end)]


def seconds(text: str) -> float:
    """Seconds that one can wait, above 0; argparse reports anything else."""
    if not 0 < (value := float(text)) < 1e6:
        raise ValueError
    return value


def main(args: list[str]) -> int:
    """The binary; returns its exit code."""
    parser = argparse.ArgumentParser(
        "python -m emotion_jax.doctor",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--workdir", default="runs", metavar="DIR", help="where to write; default: runs"
    )
    add("--patience", type=seconds, default=180, metavar="SECONDS", help="default: 180")
    flags = parser.parse_args(args)
    print("looking, and training for two steps: half a minute", file=sys.stderr)
    rows = look(flags.workdir, flags.patience)
    width = max(len(name) for name, _, _ in rows)
    for name, found, problem in rows:
        print(f"{'!!' if problem else 'ok'}  {name:<{width}}  {found}")
    problems = [(name, problem) for name, _, problem in rows if problem]
    for name, problem in problems:
        advice = f"; {ADVICE[name]}" if name in ADVICE else ""
        print(f"\n{name}: {problem}{advice}")
    print(f"\n{len(problems) or 'no'} problem{'s' * (len(problems) != 1)}")
    return 2 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("emotion_jax: interrupted", file=sys.stderr)
        sys.exit(130)
