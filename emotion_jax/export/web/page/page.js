// The page: a photo or the camera in, its faces found, read and shown.

import { Detector, frame } from "./detector.js";
import { crop } from "./pixels.js";
import { Reader, start } from "./reader.js";
import * as view from "./view.js";

const LARGEST = 4096; // pixels of a photo's longer side
const get = (id) => document.getElementById(id);
const [stage, file, button, video] = ["stage", "file", "camera", "video"].map(get);
const scratch = new OffscreenCanvas(1, 1);
const pen = scratch.getContext("2d", { alpha: false, willReadFrequently: true });
let detector, reader;
let turn = 0; // what is shown; a newer one ends what an older one is doing

/** The faces of a picture, from left to right, with all that is known of each. */
async function look(picture, width, height, live) {
  if (scratch.width !== width || scratch.height !== height) {
    Object.assign(scratch, { width, height });
  }
  pen.drawImage(picture, 0, 0, width, height);
  const image = pen.getImageData(0, 0, width, height);
  const boxes = (await detector.find(image, live)).map(frame);
  if (!boxes.length) {
    return [];
  }
  boxes.sort((a, b) => a[0] - b[0]);
  const seen = boxes.map((box) => crop(image, box, reader.side));
  const answers = await reader.read(seen);
  return boxes.map((box, i) => {
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

function show(found, mirror) {
  view.draw(scratch, found, reader.points, mirror);
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
  const found = await look(picture, width, height, false);
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
  const times = [];
  let began = 0;
  while (mine === turn) {
    await nextFrame(began);
    began = performance.now();
    const found = await look(video, video.videoWidth, video.videoHeight, true);
    if (mine !== turn) {
      return;
    }
    show(found, true);
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
  [detector, reader] = [await Detector.open(), await Reader.open()];
  listen();
  [file, button].forEach((control) => (control.disabled = false));
  view.tell("Ready.");
} catch (error) {
  view.tell(`The page could not be loaded whole: ${error.message}`, true);
}
get("progress").hidden = true;
