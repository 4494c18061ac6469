// Finds faces beside the page, which goes on meanwhile: one picture after the other.

import { Detector } from "./detector.js";
import { start } from "./reader.js";

const opening = start().then(Detector.open);
let last = opening.then(
  () => postMessage({}),
  (error) => postMessage({ wrong: error.message }),
);

addEventListener("message", ({ data: { image, live } }) => {
  last = last.then(async () => {
    const detector = await opening;
    postMessage({ boxes: await detector.find(image, live) });
  });
});
