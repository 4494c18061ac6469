// Finds faces one picture at a time, without blocking the page.

import { Detector } from "./detector.js";
import { start } from "./reader.js";

const opening = start().then(Detector.open);
const fail = (error) => postMessage({ wrong: error.message || String(error) });
let last = opening.then(() => postMessage({}), fail);

addEventListener("message", ({ data: { image, live } }) => {
  const look = async () => {
    const detector = await opening;
    postMessage({ boxes: await detector.find(image, live) });
  };
  last = last.then(look).catch(fail); // otherwise no later picture would get its turn
});
