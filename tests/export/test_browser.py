"""Laws of the page in a real browser: faces shown, nobody asked, mistakes told."""

import base64
import contextlib
import io
import re
import shutil
from pathlib import Path

import browser
import numpy as np
import pytest
import tiny
from PIL import Image

from emotion_jax import export, tasks
from emotion_jax.cli import run
from emotion_jax.data.image import gray, resize
from emotion_jax.data.table import FIVE
from emotion_jax.export.web import ort
from emotion_jax.photo import crop, detect

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("chromium")]
DROP = """([bytes, name, type]) => {
  const content = Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([content], name, { type }));
  for (const kind of ["dragover", "drop"]) {
    dispatchEvent(new DragEvent(kind, { dataTransfer, cancelable: true }));
  }
}"""
FIND = """async ([bytes, width, height]) => {
  const { Detector, frame } = await import("./detector.js");
  const { crop } = await import("./pixels.js");
  const { start } = await import("./reader.js");
  const data = Uint8ClampedArray.from(atob(bytes), (c) => c.charCodeAt(0));
  const image = { data, width, height };
  globalThis.detector ??= await start().then(Detector.open);
  const boxes = await globalThis.detector.find(image);
  const frames = boxes.map(frame);
  return { boxes, frames, crops: frames.map((box) => [...crop(image, box, 48)]) };
}"""


@pytest.fixture(scope="module")
def portrait():
    data = pytest.importorskip("skimage.data")
    return Image.fromarray(data.astronaut())


@pytest.fixture(scope="module")
def make_page(tmp_path_factory):
    """Makes a web root, the page deep inside it, of a network that knows nothing."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    runtime = ort.fetch(tmp_path_factory.mktemp("npm"))

    def make(*network) -> Path:
        root = tmp_path_factory.mktemp("root")
        trained = tiny.untrained(tmp_path_factory.mktemp("tiny") / "run", *network)
        args = ["--checkpoint", str(trained), "--format", "web"]
        args += ["--ort-web", str(runtime), "--out", str(root / "some" / "where")]
        assert run(export.main, args) == 0
        return root

    return make


@pytest.fixture(scope="module")
def root(make_page):
    """One for both tasks."""
    return make_page()


@pytest.fixture
def open_page(root):
    """Opens the page once it is ready; a context that fails on any stray message."""

    @contextlib.contextmanager
    def opened(*flags: str, root=root, **options):
        with browser.opened(root, "/some/where/", *flags, **options) as found:
            found.page.get_by_text("Ready.").wait_for(timeout=60_000)
            yield found.page
        assert found.messages == []
        assert len(found.requests) > 8
        assert all(request.startswith(found.url) for request in found.requests)

    return opened


def as_png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def drop(page, content: bytes, name: str, kind: str) -> None:
    page.evaluate(DROP, [base64.b64encode(content).decode(), name, kind])


def drawn(page) -> np.ndarray:
    """The pixels of the picture that the page shows."""
    url = page.evaluate("() => document.getElementById('picture').toDataURL()")
    png = base64.b64decode(url.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB"))


def test_a_dropped_photo_is_read(open_page, portrait):
    with open_page() as page:
        drop(page, as_png(portrait), "portrait.png", "image/png")
        page.get_by_text("One face.").wait_for(timeout=30_000)
        shares = page.locator(".share").all_inner_texts()
        assert page.locator("dt").all_inner_texts() == list(FIVE)
        assert abs(sum(int(share.split()[0]) for share in shares) - 100) <= 3
        assert page.locator(".top").inner_text() in FIVE
        changed = (drawn(page) != np.asarray(portrait)).any(-1)
        assert 0.002 < changed.mean() < 0.05  # a box and fifteen points


@pytest.mark.parametrize(
    "task, classes, top", [("emotion", FIVE, FIVE), ("keypoints", (), ["15 points"])]
)
def test_a_specialist_shows_what_it_knows(
    task, classes, top, open_page, make_page, portrait
):
    with open_page(root=make_page({task: {}}, 20)) as page:
        drop(page, as_png(portrait), "portrait.png", "image/png")
        page.get_by_text("One face.").wait_for(timeout=30_000)
        assert page.locator("dt").all_inner_texts() == list(classes)
        assert page.locator(".top").inner_text() in top
        changed = (drawn(page) != np.asarray(portrait)).any(-1)
        assert 0.002 < changed.mean() < 0.05


@pytest.mark.parametrize(
    "names, expressive",
    [(("emotion", "keypoints", "gender", "ears"), True), (("gender", "ears"), False)],
)
def test_every_task_is_shown(
    names, expressive, make_page, open_page, portrait, monkeypatch
):
    for name, task in tiny.MORE.items():
        monkeypatch.setitem(tasks.TASKS, name, task)
    chosen = {"emotion": FIVE, "gender": tiny.Gender.names}
    chosen = {name: classes for name, classes in chosen.items() if name in names}
    root = make_page(dict.fromkeys(names, {}))
    with open_page(root=root, size=(390, 844)) as page:
        drop(page, as_png(portrait), "portrait.png", "image/png")
        page.get_by_text("One face.").wait_for(timeout=30_000)
        assert page.locator(".name").all_inner_texts() == list(chosen)
        assert page.locator(".name").first.is_visible() == (len(chosen) > 1)
        classes = [name for some in chosen.values() for name in some]
        assert page.locator("dt").all_inner_texts() == classes
        shares = [int(s.split()[0]) for s in page.locator(".share").all_inner_texts()]
        assert abs(sum(shares) - 100 * len(chosen)) <= 4
        best = page.locator(".top").inner_text().split(", ")
        assert all(b in some for b, some in zip(best, chosen.values(), strict=True))
        assert page.locator("footer").is_visible() == expressive
        assert page.evaluate("() => document.documentElement.scrollWidth") == 390


def test_several_faces_have_a_card_each(open_page, portrait):
    two = Image.new("RGB", (1024, 512))
    for left in (0, 512):
        two.paste(portrait, (left, 0))
    with open_page() as page:
        drop(page, as_png(two), "two.png", "image/png")
        page.get_by_text("2 faces.").wait_for(timeout=30_000)
        assert page.locator(".number").all_inner_texts() == ["Face 1", "Face 2"]


def test_faces_are_found_and_cut_as_in_python(open_page, portrait):
    wide = Image.new("RGB", (1900, 700), "navy")
    face = portrait.crop((150, 0, 320, 200))
    for left, top, width in ((20, 30, 60), (500, 90, 90), (1000, 50, 500)):
        wide.paste(face.resize((width, width)), (left, top))
    corner = portrait.crop((190, 60, 400, 400))
    with open_page() as page:
        for scene in (portrait, wide, corner):
            pixels = base64.b64encode(scene.convert("RGBA").tobytes()).decode()
            found = page.evaluate(FIND, [pixels, *scene.size])
            faces = detect.find(np.asarray(scene))
            assert len(found["boxes"]) == len(faces) > 0
            for face, box, frame, seen in zip(faces, *found.values(), strict=True):
                assert np.abs(face.corners.ravel() - box).max() < 1
                assert np.abs(np.subtract(crop.frame(face), frame)).max() <= 1
                part = gray(crop.cut(np.asarray(scene), tuple(frame))[None])
                assert resize(part, 48).ravel().tolist() == seen


@pytest.mark.parametrize(
    "content, name, kind, sentence",
    [
        (b"a,b\n1,2\n", "table.csv", "text/csv", "table.csv is no picture"),
        (
            b"\xff\xd8\xff\xe0broken",
            "broken.jpg",
            "image/jpeg",
            "broken.jpg is no pict",
        ),
        (
            as_png(Image.new("RGB", (300, 200), "gray")),
            "wall.png",
            "image/png",
            "No face",
        ),
    ],
)
def test_what_cannot_be_read_is_told(
    open_page, portrait, content, name, kind, sentence
):
    with open_page() as page:
        drop(page, as_png(portrait), "portrait.png", "image/png")
        page.get_by_text("One face.").wait_for(timeout=30_000)
        drop(page, content, name, kind)
        page.get_by_text(sentence).wait_for(timeout=30_000)
        assert page.locator(".face").count() == 0
        assert page.locator("#picture").is_visible() == (sentence == "No face")


def test_the_number_of_a_face_is_in_the_picture(open_page, portrait):
    close = portrait.crop((190, 82, 290, 182)).resize((800, 800))
    with open_page() as page:
        drop(page, as_png(close), "close.png", "image/png")
        page.get_by_text("One face.").wait_for(timeout=30_000)
        badge = np.abs(drawn(page)[:20, :20].astype(int) - [0x4C, 0x7D, 0xFF]).max(-1)
        assert (badge < 9).mean() > 0.4


def test_long_names_of_classes_leave_room_for_their_bars(
    make_page, open_page, portrait
):
    names = ("anger and contempt of the world", "o" * 45)
    root = make_page({"emotion": {"classes": names}})
    with open_page(root=root, size=(360, 800)) as page:
        drop(page, as_png(portrait), "portrait.png", "image/png")
        page.get_by_text("One face.").wait_for(timeout=30_000)
        assert page.evaluate("() => document.documentElement.scrollWidth") == 360
        assert page.locator(".bar").first.bounding_box()["width"] > 50


def test_the_camera_is_read_live_and_stops(open_page, portrait, tmp_path):
    flags = browser.camera(portrait, tmp_path / "camera.mjpeg")
    with open_page(*flags) as page:
        page.get_by_role("button", name="Use camera").click()
        page.get_by_text("frames a second").wait_for(timeout=60_000)
        page.evaluate(
            """() => {
              window.said = 0;
              new MutationObserver(() => { window.said += 1; }).observe(
                document.getElementById("status"),
                { childList: true, characterData: true, subtree: true },
              );
            }"""
        )
        page.wait_for_timeout(4000)
        told = page.locator("#told").inner_text()
        print(told)
        assert re.fullmatch(r"One face\. \d+ frames a second\.", told)
        assert page.locator("#status").inner_text() == "One face."
        assert page.evaluate("() => window.said") == 0  # by a screen reader
        assert page.locator(".face").count() == 1
        page.get_by_role("button", name="Stop camera").click()
        page.get_by_text("The camera is off.").wait_for()


def test_a_face_before_the_camera_comes_and_goes(open_page, portrait, tmp_path):
    wall = Image.new("RGB", (640, 480), "dimgray")
    face = wall.copy()
    face.paste(portrait.resize((480, 480)), (80, 0))
    flags = browser.film([wall] * 60 + [face] * 60, tmp_path / "film.mjpeg")
    with open_page(*flags) as page:
        page.get_by_role("button", name="Use camera").click()
        for there in (1, 0, 1):
            faces = f"() => document.querySelectorAll('.face').length === {there}"
            page.wait_for_function(faces, timeout=30_000)


def test_a_machine_without_a_camera_is_told(open_page):
    with open_page("--use-fake-ui-for-media-stream") as page:
        page.get_by_role("button", name="Use camera").click()
        page.get_by_text("There is no camera.").wait_for()


def test_nothing_is_wider_than_a_phone(open_page, portrait):
    with open_page(size=(390, 844), theme="dark") as page:
        drop(page, as_png(portrait), "portrait.png", "image/png")
        page.get_by_text("One face.").wait_for(timeout=30_000)
        assert page.evaluate("() => document.documentElement.scrollWidth") == 390


def test_a_file_that_is_missing_is_told(root, tmp_path):
    shutil.copytree(root, tmp_path / "root")
    (tmp_path / "root" / "some" / "where" / "model.onnx").unlink()
    with browser.opened(tmp_path / "root", "/some/where/") as found:
        found.page.get_by_text("model.onnx: 404").wait_for(timeout=60_000)
