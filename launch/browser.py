"""Pages in headless Chromium: an installed one, or else npm's (needs extra `long`)."""

import base64
import contextlib
import dataclasses
import functools
import http.server
import importlib.util
import io
import os
import shutil
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emotion_jax.export.web import npm

PACKAGE = "@sparticuz/chromium@147.0.0"  # needs no system libraries
SHA512 = (
    "4ZKeAQQa8up2mt675qSitztLdbQrlf8BKdC5naeap+5Mv1OV1OlJdPoU+EJC/p5sQUJUQmN4r+q5+EhaaOUH"
    "pQ=="
)
FONTS = "emotion_jax.conf"

READ = """async ([pixels, times]) => {
  const { Reader, start } = await import("./reader.js");
  await start();
  const reader = await Reader.open();
  const size = reader.side ** 2;
  const bytes = Uint8Array.from(atob(pixels), (c) => c.charCodeAt(0));
  const faces = [];
  for (let at = 0; at < bytes.length; at += size) {
    faces.push(bytes.subarray(at, at + size));
  }
  const answers = await reader.read(faces);
  for (let i = 0; i < 20; i += 1) await reader.read(faces.slice(0, 1));
  const ms = {};
  for (const [n, count] of times) {
    const some = faces.slice(0, n), took = [];
    for (let i = 0; i < count; i += 1) {
      const before = performance.now();
      await reader.read(some);
      took.push(performance.now() - before);
    }
    ms[n] = took.sort((a, b) => a - b)[count >> 1];
  }
  const plain = (answer) =>
    Object.fromEntries(Object.entries(answer).map(([name, x]) => [name, [...x]]));
  return { answers: answers.map(plain), points: Object.keys(reader.points), ms };
}"""


@dataclasses.dataclass(frozen=True)
class Opened:
    """A page, its requests, and what it wrote to the console."""

    page: Any
    url: str
    requests: list[str]
    messages: list[str]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """The plainest server there is, without a log."""

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(root: Path) -> Iterator[str]:
    """Serves a folder on a free port of this machine."""
    handler = functools.partial(Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def lacking() -> list[str]:
    """What is missing here to open a page."""
    needs = ["playwright"] if installed() else ["playwright", "brotli"]
    lacks = [name for name in needs if importlib.util.find_spec(name) is None]
    return lacks if installed() or shutil.which("npm") else [*lacks, "Chromium or npm"]


def installed() -> str | None:
    """The path of the machine's own Chromium."""
    return shutil.which("chromium") or shutil.which("google-chrome")


@functools.cache
def chromium() -> dict[str, Any]:
    """How Playwright launches Chromium: its file, flags and environment."""
    if found := installed():
        return {"executable_path": found, "args": ["--no-sandbox"]}
    home = Path(sys.prefix) / "chromium"
    if not home.is_dir():
        with tempfile.TemporaryDirectory(dir=sys.prefix) as folder:
            unpack(Path(folder))
            with contextlib.suppress(OSError):  # another process was faster
                (Path(folder) / "package" / "bin").rename(home)
    flags = ["--no-sandbox", "--no-zygote", "--single-process"]
    flags += ["--in-process-gpu", "--disable-gpu"]
    here = {"LD_LIBRARY_PATH": f"{home / 'lib'}", "FONTCONFIG_FILE": f"{home / FONTS}"}
    env = os.environ | here
    return {"executable_path": home / "chromium", "args": flags, "env": env}


def unpack(folder: Path) -> None:
    """Unpacks npm's Chromium, its libraries and fonts to the folder's `package/bin`."""
    import brotli

    npm.fetch(PACKAGE, SHA512, folder)
    home = folder / "package" / "bin"
    (home / "chromium").write_bytes(
        brotli.decompress((home / "chromium.br").read_bytes())
    )
    (home / "chromium").chmod(0o755)
    for name in ("al2023", "swiftshader", "fonts"):
        content = brotli.decompress((home / f"{name}.tar.br").read_bytes())
        with tarfile.open(fileobj=io.BytesIO(content)) as packed:
            packed.extractall(home, filter="data")
    (home / FONTS).write_text(
        '<fontconfig><dir prefix="relative">fonts</dir></fontconfig>'
    )


@contextlib.contextmanager
def opened(
    root: Path, path: str = "/", *flags: str, **options: Any
) -> Iterator[Opened]:
    """Serves a folder and opens the page at a path in it; otherwise like `visited`."""
    with serving(root) as host, visited(host + path, *flags, **options) as found:
        yield found


@contextlib.contextmanager
def visited(url: str, *flags: str, size=(1280, 860), theme="light") -> Iterator[Opened]:
    """Opens the page at an address.

    Args:
      flags: Chromium's own flags, such as a file for its fake camera.
    """
    from playwright.sync_api import sync_playwright

    launch = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            **{**launch, "args": [*launch["args"], *flags]}
        )
        context = browser.new_context(
            viewport=dict(zip(("width", "height"), size)), color_scheme=theme
        )
        page = context.new_page()
        found = Opened(page, url, [], [])
        context.on("request", lambda request: found.requests.append(request.url))
        page.on("console", lambda message: found.messages.append(message.text))
        page.on("pageerror", lambda error: found.messages.append(str(error)))
        page.goto(found.url)
        yield found
        browser.close()


def camera(picture: Image.Image, file: Path) -> list[str]:
    """Chromium's flags for a 640x480 camera that sees this picture."""
    frames = []
    for left in (80, 79, 78, 79):  # nobody stands quite still
        frames.append(Image.new("RGB", (640, 480), "dimgray"))
        frames[-1].paste(picture.resize((480, 480)), (left, 0))
    return film(frames, file)


def film(frames: Iterable[Image.Image], file: Path) -> list[str]:
    """Chromium's flags for a camera that sees these frames in a loop, 30 per second."""
    with file.open("wb") as opened:
        for frame in frames:
            frame.save(opened, "JPEG", quality=92)
    return [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={file}",
    ]


@contextlib.contextmanager
def written(files: dict[str, bytes]) -> Iterator[Path]:
    """A temporary folder with these files."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        yield Path(folder)


def read(
    files: dict[str, bytes], image: np.ndarray, times: Sequence[tuple[int, int]]
) -> tuple[dict[str, np.ndarray], dict[int, float]]:
    """The outputs of the page's own reader, and milliseconds by the number of faces."""
    with written(files) as root, opened(root) as found:
        pixels = base64.b64encode(image.tobytes()).decode()
        answer = found.page.evaluate(READ, [pixels, times])
    outputs = {
        name: np.array([row[name] for row in answer["answers"]], np.float32)
        for name in answer["answers"][0]
    }
    points = {k: outputs[k].reshape(len(image), -1, 2) for k in answer["points"]}
    return outputs | points, {int(n): ms for n, ms in answer["ms"].items()}


def live(files: dict[str, bytes]) -> str:
    """What the page says about its speed with a camera; "" if there is no portrait."""
    if importlib.util.find_spec("skimage") is None:
        return ""
    from skimage.data import astronaut

    with written(files) as root:
        flags = camera(Image.fromarray(astronaut()), root / "camera.mjpeg")
        with opened(root, "/", *flags) as found:
            found.page.get_by_role("button", name="Use camera").click()
            found.page.get_by_text("frames a second").wait_for(timeout=60_000)
            found.page.wait_for_timeout(5000)
            return found.page.locator("#told").inner_text()
