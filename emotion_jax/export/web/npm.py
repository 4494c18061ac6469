"""Fetches an npm package of known contents, from the registry that npm uses here."""

import base64
import hashlib
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from emotion_jax.errors import Stopped


def fetch(package: str, sha512: str, folder: Path, members: Iterable[str] = ()) -> None:
    """Unpacks a whole package, or only these members, into a folder: as `package/...`.

    Args:
      package: its name and version, such as `onnxruntime-web@1.30.0`.
      sha512: of the tarball, in base64, which npm calls its integrity.

    Raises:
      Stopped: npm or tar failed, or the contents differ.
    """
    run(package, "npm", "pack", package, "--silent", folder=folder)
    (tarball,) = folder.glob("*.tgz")
    digest = hashlib.sha512(tarball.read_bytes()).digest()
    if base64.b64encode(digest).decode() != sha512:
        raise Stopped(f"npm brought a {package} of other contents than the known one")
    run(package, "tar", "-xzf", tarball.name, *members, folder=folder)


def run(package: str, tool: str, *args: str, folder: Path) -> None:
    """Runs a tool in a folder; if it fails, its own message becomes the error."""
    command = [shutil.which(tool) or tool, *args]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        reason = said[-1] if said else f"exit code {done.returncode}"
        raise Stopped(f"{tool} could not fetch {package}: {reason}")
