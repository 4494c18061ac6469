"""onnxruntime-web, which runs a network in a browser: from npm, or from a folder."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from emotion_jax.errors import Mistake
from emotion_jax.export.web import npm

PACKAGE = "onnxruntime-web@1.30.0"
SHA512 = (
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfK"
    "YQ=="
)
# Its files, and the names they are written under: every server knows the type of .js.
FILES: Mapping[str, str] = {
    "ort.wasm.bundle.min.mjs": "ort.js",
    "ort-wasm-simd-threaded.wasm": "ort.wasm",
}


def check(given: Path | None) -> None:
    """Raises if the files cannot be obtained."""
    if given is not None:
        find(given)
    elif missing := [tool for tool in ("npm", "tar") if not shutil.which(tool)]:
        raise Mistake(
            f"--format web fetches {PACKAGE} and needs {' and '.join(missing)} for it; "
            "or give --ort-web DIR, a folder with that package's files"
        )


def files(given: Path | None) -> dict[str, bytes]:
    """The files by the names that the page uses for them."""
    if given is not None:
        return read(find(given))
    with tempfile.TemporaryDirectory() as folder:
        return read(fetch(Path(folder)))


def read(folder: Path) -> dict[str, bytes]:
    return {name: (folder / file).read_bytes() for file, name in FILES.items()}


def find(given: Path) -> Path:
    """The folder of the files: the given one, or `dist` in it if it is the package."""
    for folder in (given, given / "dist"):
        if all((folder / file).is_file() for file in FILES):
            return folder
    raise Mistake(
        f"--ort-web {given} holds no {' and '.join(FILES)}, nor does its dist/"
    )


def fetch(folder: Path) -> Path:
    """Fetches its files into a folder, and returns `package/dist` there."""
    npm.fetch(PACKAGE, SHA512, folder, [f"package/dist/{file}" for file in FILES])
    return folder / "package" / "dist"
