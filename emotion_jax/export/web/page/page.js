// The page: a photo or the camera in, its faces found, read and shown.

import { frame } from "./detector.js";
import { Finder } from "./finder.js";
import { crop } from "./pixels.js";
import { Reader, start } from "./reader.js";
import * as view from "./view.js";

const LARGEST = 4096; // pixels of a photo's longer side
const get = (id) => document.getElementById(id);
const [stage, file, button, video] = ["stage", "file", "camera", "video"].map(get);
// One holds the picture that is read and shown, the other the next one of the camera.
const canvases = [0, 1].map(() => new OffscreenCanvas(1, 1));
let finder, reader;
let turn = 0; // what is shown; a newer one ends what an older one is doing

/** Takes a picture, and starts to look for its faces. */
function take(picture, width, height, live) {
  const canvas = canvases.reverse()[0];
  if (canvas.width !== width || canvas.height !== height) {
    Object.assign(canvas, { width, height });
  }
  const pen = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  pen.drawImage(picture, 0, 0, width, height);
  const image = pen.getImageData(0, 0, width, height);
  return { canvas, image, boxes: finder.find(image, live) };
}

/** The faces of a picture taken, from left to right, with all that is known of each. */
async function read({ image, boxes }) {
  const frames = (await boxes).map(frame).sort((a, b) => a[0] - b[0]);
  if (!frames.length) {
    return [];
  }
  const seen = frames.map((box) => crop(image, box, reader.side));
  const answers = await reader.read(seen);
  return frames.map((box, i) => {
    const { emotion, keypoints } = answers[i];
    return { box, seen: seen[i], emotion, points: keypoints && inPicture(keypoints, box) };
  });
}

/** Points of the network's image, where they are in the picture. */
function inPicture(values, [left, top, width, height]) {
  const { side } = reader;
  return reader.points.map((_, i) => [
    left + ((values[2 * i] + 0.5) * width) / side - 0.5,
    top + ((values[2 * i + 1] + 0.5) * height) / side - 0.5,
  ]);
}

function show({ canvas }, found, mirror) {
  view.draw(canvas, found, reader.points, mirror);
  view.list(found, reader.classes, reader.side);
}

function count(found) {
  if (!found.length) {
    return "No face found. Larger ones that look ahead are found best.";
  }
  return found.length === 1 ? "One face." : `${found.length} faces.`;
}

async function readPhoto(photo) {
  stop();
  const mine = (turn += 1);
  view.tell("Reading the photo.");
  let picture;
  try {
    picture = await createImageBitmap(photo, { imageOrientation: "from-image" });
  } catch {
    view.tell(`${photo.name} is no picture that this browser can read.`, true);
    return;
  }
  const shrink = Math.min(1, LARGEST / Math.max(picture.width, picture.height));
  const [width, height] = [picture.width, picture.height].map((size) =>
    Math.max(1, Math.round(size * shrink)),
  );
  const taken = take(picture, width, height, false);
  const found = await read(taken);
  if (mine === turn) {
    show(taken, found, false);
    view.tell(count(found));
  }
}

const REASONS = {
  NotAllowedError: "The camera may not be used here: the browser was told so.",
  NotFoundError: "There is no camera.",
  NotReadableError: "Another program is using the camera.",
};

async function readCamera() {
  stop();
  const mine = (turn += 1);
  if (!navigator.mediaDevices) {
    view.tell("A camera can only be used over https or on localhost.", true);
    return;
  }
  view.tell("Waiting for the camera.");
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "user" },
    });
    await video.play();
  } catch (error) {
    view.tell(REASONS[error.name] ?? `The camera does not start: ${error.message}`, true);
    return;
  }
  button.textContent = "Stop camera";
  const shoot = () => take(video, video.videoWidth, video.videoHeight, true);
  const times = [];
  let [began, next] = [performance.now(), shoot()];
  while (mine === turn) {
    const taken = next;
    await taken.boxes;
    await nextFrame(began);
    [began, next] = [performance.now(), shoot()]; // found while this one is read
    const found = await read(taken);
    if (mine !== turn) {
      return;
    }
    show(taken, found, true);
    times.push(performance.now());
    if (times.length > 30) {
      const [first] = times.splice(0, times.length - 30);
      const rate = 30000 / (times.at(-1) - first);
      view.tell(`${count(found)} ${rate.toFixed(0)} frames a second.`);
    }
  }
}

/** Waits for a frame that is new; who was slow has one already. */
function nextFrame(began) {
  return new Promise((resolve) => {
    if (performance.now() - began > 33) {
      setTimeout(resolve);
    } else if (video.requestVideoFrameCallback) {
      video.requestVideoFrameCallback(resolve);
    } else {
      requestAnimationFrame(resolve);
    }
  });
}

function stop() {
  turn += 1;
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  button.textContent = "Use camera";
}

function listen() {
  file.addEventListener("change", () => file.files.length && readPhoto(file.files[0]));
  button.addEventListener("click", () => {
    if (video.srcObject) {
      stop();
      view.tell("The camera is off.");
    } else {
      readCamera();
    }
  });
  addEventListener("unhandledrejection", ({ reason }) => {
    view.tell(`That did not work: ${reason.message}`, true);
  });
  addEventListener("paste", ({ clipboardData }) => {
    if (clipboardData.files.length) {
      readPhoto(clipboardData.files[0]);
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
      readPhoto(event.dataTransfer.files[0]);
    }
  });
}

try {
  view.tell("Loading the network, 14 MB the first time.");
  await start();
  [finder, reader] = await Promise.all([Finder.open(), Reader.open()]);
  listen();
  [file, button].forEach((control) => (control.disabled = false));
  view.tell("Ready.");
} catch (error) {
  view.tell(`The page could not be loaded whole: ${error.message}`, true);
}
get("progress").hidden = true;
