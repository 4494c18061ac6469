// The page: finds, reads and shows the faces of a photo or of the camera.

import { frame } from "./detector.js";
import { Finder } from "./finder.js";
import { crop } from "./pixels.js";
import { Reader, start } from "./reader.js";
import * as view from "./view.js";

const LARGEST = 4096; // pixels of a photo's longer side
const PAUSE = 50; // milliseconds that the search for faces leaves to everything else
const get = (id) => document.getElementById(id);
const [stage, file, button, video] = ["stage", "file", "camera", "video"].map(get);
const canvas = new OffscreenCanvas(1, 1); // holds the picture being read
const pen = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
let finder, reader;
let turn = 0; // counts the things shown; a newer one ends an older one's work

/** The pixels of a picture, which the canvas then holds. */
function take(picture, width, height) {
  if (canvas.width !== width || canvas.height !== height) {
    Object.assign(canvas, { width, height });
  }
  pen.drawImage(picture, 0, 0, width, height);
  return pen.getImageData(0, 0, width, height);
}

/** The faces of an image, from left to right, with all that is known about each. */
async function read(image, boxes) {
  const frames = boxes.map(frame).sort((a, b) => a[0] - b[0]);
  if (!frames.length) {
    return [];
  }
  const seen = frames.map((box) => crop(image, box, reader.side));
  const answers = await reader.read(seen);
  return frames.map((box, i) => {
    const answer = answers[i];
    for (const task of Object.keys(reader.points)) {
      answer[task] = inPicture(answer[task], box);
    }
    return { box, seen: seen[i], answer };
  });
}

/** Points of the network's image, converted to the picture's coordinates. */
function inPicture(values, [left, top, width, height]) {
  const { side } = reader;
  return Array.from({ length: values.length / 2 }, (_, i) => [
    left + ((values[2 * i] + 0.5) * width) / side - 0.5,
    top + ((values[2 * i + 1] + 0.5) * height) / side - 0.5,
  ]);
}

function show(found, mirror) {
  view.draw(canvas, found, reader, mirror);
  view.list(found, reader);
}

function count(found) {
  if (!found.length) {
    return "No face found. Larger ones that look ahead are found best.";
  }
  return found.length === 1 ? "One face." : `${found.length} faces.`;
}

/** Ends what is running, and starts something else. */
function begin(what, ...more) {
  stop();
  const mine = turn;
  what(mine, ...more).catch(({ message }) => lose(mine, `That did not work: ${message}`));
}

async function readPhoto(mine, photo) {
  view.tell("Reading the photo.");
  let picture;
  try {
    picture = await createImageBitmap(photo, { imageOrientation: "from-image" });
  } catch {
    if (mine === turn) {
      view.clear();
    }
    return lose(mine, `${photo.name} is no picture that this browser can read.`);
  }
  if (mine !== turn) {
    return;
  }
  const shrink = Math.min(1, LARGEST / Math.max(picture.width, picture.height));
  const [width, height] = [picture.width, picture.height].map((size) =>
    Math.max(1, Math.round(size * shrink)),
  );
  const image = take(picture, width, height);
  const found = await read(image, await finder.find(image, false));
  if (mine === turn) {
    show(found, false);
    view.tell(count(found));
  }
}

const REASONS = {
  NotAllowedError: "The camera may not be used here: the browser was told so.",
  NotFoundError: "There is no camera.",
  NotReadableError: "Another program is using the camera.",
};

async function readCamera(mine) {
  if (!navigator.mediaDevices) {
    view.tell("A camera can only be used over https or on localhost.", { wrong: true });
    return;
  }
  view.tell("Waiting for the camera.");
  try {
    const stream = await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "user" },
    });
    if (mine !== turn) {
      return end(stream);
    }
    video.srcObject = stream;
    button.textContent = "Stop camera";
    const unplugged = () => lose(mine, "The camera is gone.");
    stream.getTracks()[0].addEventListener("ended", unplugged);
    await video.play();
  } catch (error) {
    const reason = REASONS[error.name] ?? `The camera does not start: ${error.message}`;
    return lose(mine, reason);
  }
  const live = { image: shoot(), boxes: [] };
  await Promise.all([follow(live, mine), watch(live, mine)]);
}

function shoot() {
  return take(video, video.videoWidth, video.videoHeight);
}

/** Reads and shows one frame of the camera after another. */
async function watch(live, mine) {
  const times = [];
  while (mine === turn) {
    live.image = shoot();
    const next = nextFrame();
    const found = await read(live.image, live.boxes);
    if (mine !== turn) {
      return;
    }
    show(found, true);
    times.push(performance.now());
    if (times.length > 30) {
      const [first] = times.splice(0, times.length - 30);
      const rate = (30000 / (times.at(-1) - first)).toFixed(0);
      view.tell(count(found), { rate: `${rate} frames a second.` });
    }
    await next;
  }
}

/** Looks for the camera's faces again and again, while `watch` reads its frames where
 * the newest look found them. */
async function follow(live, mine) {
  while (mine === turn) {
    live.boxes = await finder.find(live.image, true);
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

/** Resolves at the first frame of the camera after this one. */
function nextFrame() {
  return new Promise((resolve) => {
    if (video.requestVideoFrameCallback) {
      video.requestVideoFrameCallback(resolve);
    } else {
      requestAnimationFrame(resolve);
    }
  });
}

function stop() {
  turn += 1;
  if (video.srcObject) {
    end(video.srcObject);
  }
  video.srcObject = null;
  button.textContent = "Use camera";
}

function end(stream) {
  stream.getTracks().forEach((track) => track.stop());
}

/** Gives up what is running, and says why, unless something newer is running. */
function lose(which, sentence) {
  if (which === turn) {
    stop();
    view.tell(sentence, { wrong: true });
  }
}

function listen() {
  file.addEventListener("change", () => {
    if (file.files.length) {
      begin(readPhoto, file.files[0]);
      file.value = ""; // or choosing the same photo again would be no change
    }
  });
  button.addEventListener("click", () => {
    if (video.srcObject) {
      stop();
      view.tell("The camera is off.");
    } else {
      begin(readCamera);
    }
  });
  addEventListener("paste", ({ clipboardData }) => {
    if (clipboardData.files.length) {
      begin(readPhoto, clipboardData.files[0]);
    }
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    stage.classList.add("over");
  });
  addEventListener("dragleave", ({ relatedTarget }) => {
    stage.classList.toggle("over", relatedTarget !== null);
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("over");
    if (event.dataTransfer.files.length) {
      begin(readPhoto, event.dataTransfer.files[0]);
    }
  });
}

try {
  view.tell("Loading the network, 20 MB the first time.");
  await start();
  [finder, reader] = await Promise.all([Finder.open(), Reader.open()]);
  get("notice").hidden = !reader.expressive;
  listen();
  [file, button].forEach((control) => (control.disabled = false));
  view.tell("Ready.");
} catch (error) {
  view.tell(`The page could not be loaded whole: ${error.message}`, { wrong: true });
}
get("progress").hidden = true;
