"""A folder of static files, opened in headless Chromium (pip install playwright)."""

import contextlib
import dataclasses
import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Opened:
    """A page, what it asked for, and what it wrote to the console."""

    page: Any
    url: str
    requests: list[str]
    messages: list[str]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """The plainest server there is."""

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


@contextlib.contextmanager
def opened(
    root: Path, path: str = "/", *flags: str, size=(1280, 860), theme="light"
) -> Iterator[Opened]:
    """The page at a path under a folder.

    Args:
      flags: Chromium's own, such as a file for its fake camera.
    """
    from playwright.sync_api import sync_playwright

    with serving(root) as host, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", *flags]
        )
        context = browser.new_context(
            viewport=dict(zip(("width", "height"), size)), color_scheme=theme
        )
        page = context.new_page()
        found = Opened(page, host + path, [], [])
        page.on("request", lambda request: found.requests.append(request.url))
        page.on("console", lambda message: found.messages.append(message.text))
        page.on("pageerror", lambda error: found.messages.append(str(error)))
        page.goto(found.url)
        yield found
        browser.close()
