"""onnxruntime-web, which runs a network in a browser: from npm, or from a folder."""

import base64
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from emotion_jax.errors import Mistake, Stopped

PACKAGE = "onnxruntime-web@1.30.0"
SHA512 = (
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfK"
    "YQ=="
)
# Its files, and as what they are written: every server knows what a .js is.
FILES: Mapping[str, str] = {
    "ort.wasm.bundle.min.mjs": "ort.js",
    "ort-wasm-simd-threaded.wasm": "ort.wasm",
}


def check(given: Path | None) -> None:
    """Raises where the files will not be had."""
    if given is not None:
        find(given)
    elif missing := [tool for tool in ("npm", "tar") if not shutil.which(tool)]:
        raise Mistake(
            f"--format web fetches {PACKAGE} and needs {' and '.join(missing)} for it; "
            "or give --ort-web DIR, a folder with that package's files"
        )


def files(given: Path | None) -> dict[str, bytes]:
    """The files by the names that the page has for them."""
    if given is not None:
        return read(find(given))
    with tempfile.TemporaryDirectory() as folder:
        return read(fetch(Path(folder)))


def read(folder: Path) -> dict[str, bytes]:
    return {name: (folder / file).read_bytes() for file, name in FILES.items()}


def find(given: Path) -> Path:
    """Where in the folder of the package, or of its files alone, the files are."""
    for folder in (given, given / "dist"):
        if all((folder / file).is_file() for file in FILES):
            return folder
    raise Mistake(
        f"--ort-web {given} holds no {' and '.join(FILES)}, nor does its dist/"
    )


def fetch(folder: Path) -> Path:
    """The package by npm, from the registry that npm uses here; its dist/."""
    run("npm", "pack", PACKAGE, "--silent", folder=folder)
    (tarball,) = folder.glob("*.tgz")
    digest = hashlib.sha512(tarball.read_bytes()).digest()
    if base64.b64encode(digest).decode() != SHA512:
        raise Stopped(f"npm brought a {PACKAGE} of other contents than the known one")
    members = [f"package/dist/{file}" for file in FILES]
    run("tar", "-xzf", tarball.name, *members, folder=folder)
    return folder / "package" / "dist"


def run(tool: str, *args: str, folder: Path) -> None:
    """Runs a tool in a folder; what it says of a failure becomes the sentence."""
    command = [shutil.which(tool) or tool, *args]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        reason = said[-1] if said else f"exit code {done.returncode}"
        raise Stopped(f"{tool} could not fetch {PACKAGE}: {reason}")
