"""Laws of the page's scripts, played by Node: what fails is told, the next works."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from emotion_jax.export import web

pytestmark = pytest.mark.skipif(
    not shutil.which("node"), reason="node is not installed"
)


STUBS = {
    "package.json": '{"type": "module"}',
    "reader.js": """
export const start = async () => {};
export class Reader { static open = async () => new Reader(); }""",
    "detector.js": """
export const frame = (box) => box;
export class Detector {
  static open = async () => new Detector();
  async find(image) {
    if (image === "bad") throw new Error("out of memory");
    return [image];
  }
}""",
    "finder.js": "export class Finder { static open = async () => new Finder(); }",
    "pixels.js": "export const crop = () => [];",
    "view.js": """
export const said = [];
export const tell = (sentence) => said.push(sentence);
export const drawn = [];
export const draw = (picture, found) => drawn.push(...found);
export const list = () => {};""",
}


def play(folder: Path, script: str, play: str) -> list:
    """What a script of the page tells a play around it, as JSON."""
    for name, text in STUBS.items() | {(script, web.page()[script].decode())}:
        (folder / name).write_text(text)
    (folder / "play.js").write_text(play)
    done = subprocess.run(
        ["node", "play.js"], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_picture_that_fails_is_answered_and_so_is_the_next(tmp_path):
    said = play(
        tmp_path,
        "worker.js",
        """
const said = [];
let send;
Object.assign(globalThis, {
  postMessage: (answer) => said.push(answer),
  addEventListener: (kind, listener) => (send = listener),
});
await import("./worker.js");
for (const image of ["good", "bad", "better"]) {
  send({ data: { image, live: false } });
}
setTimeout(() => console.log(JSON.stringify(said)), 100);
""",
    )
    told = [{"boxes": ["good"]}, {"wrong": "out of memory"}, {"boxes": ["better"]}]
    assert said == [{}, *told]


BROWSER = """
import { Finder } from "./finder.js";
import { said } from "./view.js";
const element = () => ({
  addEventListener(kind, listener) { this[kind] = listener; },
  classList: {}, files: [],
});
const made = {};
const pen = { drawImage() {}, getImageData() {} };
Object.assign(globalThis, {
  document: { getElementById: (id) => (made[id] ??= element()) },
  OffscreenCanvas: class { getContext = () => pen; },
  addEventListener() {},
});
await import("./page.js");
const soon = () => new Promise((resolve) => setTimeout(resolve, 20));
"""


def test_the_same_photo_can_be_chosen_again(tmp_path):
    read, value = play(
        tmp_path,
        "page.js",
        BROWSER
        + """
const read = [];
globalThis.createImageBitmap = async (photo) => { read.push(photo); throw 0; };
Object.assign(made.file, { files: ["photo"], value: "photo" });
made.file.change();
console.log(JSON.stringify([read, made.file.value]));
""",
    )
    assert (read, value) == (["photo"], "")


def test_a_photo_that_fails_is_told_of_unless_a_newer_one_is_shown(tmp_path):
    """Whether it cannot be opened, or its faces cannot be looked for."""
    said = play(
        tmp_path,
        "page.js",
        BROWSER
        + """
const fail = []; // all that waits, in its order
const wait = () => new Promise((_, reject) => fail.push(reject));
globalThis.createImageBitmap = ({ name }) => (name === "unreadable" ? wait() : {});
Finder.prototype.find = wait;
for (const name of ["unreadable", "unlucky", "last"]) {
  made.file.files = [{ name }];
  made.file.change();
  await soon();
}
for (const reject of fail) {
  reject(new Error("oh"));
  await soon();
}
console.log(JSON.stringify(said));
""",
    )
    assert said[2:] == 3 * ["Reading the photo."] + ["That did not work: oh"]


def test_the_points_of_every_task_are_placed_in_the_picture(tmp_path):
    (face,), hidden = play(
        tmp_path,
        "page.js",
        """
import { Reader } from "./reader.js";
import { drawn } from "./view.js";
Reader.open = async () => ({
  side: 2,
  points: { ears: ["left", "right"], nose: ["tip"] },
  read: async () => [{ mood: [0.2, 0.8], ears: [0, 0, 1, 1], nose: [1, 0] }],
});
"""
        + BROWSER
        + """
globalThis.createImageBitmap = async () => ({ width: 30, height: 30 });
Finder.prototype.find = async () => [[10, 20, 4, 4]];
made.file.files = [{ name: "photo" }];
made.file.change();
await soon();
console.log(JSON.stringify([drawn, made.notice.hidden]));
""",
    )
    mood, *points = face["answer"].values()
    assert mood == [0.2, 0.8]
    assert points == [[[10.5, 20.5], [12.5, 22.5]], [[12.5, 20.5]]]
    assert hidden  # it reads no expressions


@pytest.mark.parametrize(
    "fault, sentence",
    [
        ("made.video.play = wrong;", "The camera does not start: oh"),
        ("Finder.prototype.find = wrong;", "That did not work: oh"),
        ("pen.getImageData = () => { throw new Error('oh'); };", "not work: oh"),
    ],
)
def test_a_camera_that_fails_is_off(fault, sentence, tmp_path):
    *said, on = play(
        tmp_path,
        "page.js",
        BROWSER
        + """
let on = true;
const track = { stop() { on = false; }, addEventListener() {} };
const stream = { getTracks: () => [track] };
const getUserMedia = async () => stream;
const value = { mediaDevices: { getUserMedia } };
Object.defineProperty(globalThis, "navigator", { value });
Object.assign(made.video, { play() {}, requestVideoFrameCallback() {} });
const wrong = async () => { throw new Error("oh"); };
"""
        + fault
        + """
made.camera.click();
await soon();
console.log(JSON.stringify([...said, on]));
""",
    )
    assert sentence in said[-1] and not on
