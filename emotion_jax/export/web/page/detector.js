// Finds faces with BlazeFace, in the steps that emotion_jax/photo/detect.py describes.
// Boxes are [left, top, right, bottom] in pixels, (0, 0) the picture's top left corner.

import { resize } from "./pixels.js";
import { session, Tensor } from "./reader.js";

const SIDE = 256;
const GRIDS = [[16, 2], [8, 6]]; // cells per side, anchors per cell
const SAME = 0.3; // overlap above which two boxes are one face
const [CLOSER, OVERLAP, LOOKS, CONTEXT] = [0.4, 0.25, 3, 2];
const [SCALE, SHIFT] = [1.14, 0.085];
const ANCHORS = GRIDS.flatMap(([cells, each]) =>
  Array.from({ length: cells * cells * each }, (_, i) => {
    const cell = Math.floor(i / each);
    return [((cell % cells) + 0.5) / cells, (Math.floor(cell / cells) + 0.5) / cells];
  }),
);
const round = (value) => Math.floor(value + 0.5);
const area = ([left, top, right, bottom]) =>
  Math.max(right - left, 0) * Math.max(bottom - top, 0);
const shared = (a, b) =>
  area([0, 1, 2, 3].map((i) => (i < 2 ? Math.max : Math.min)(a[i], b[i])));
const covers = (a, b) => shared(a, b) > SAME * Math.min(area(a), area(b));

export class Detector {
  static async open() {
    const detector = new Detector();
    detector.session = await session("detector.onnx");
    return detector;
  }

  /** The boxes of an image's faces. A photo gets closer looks, and each face a second
   * one; in a live picture the next frame serves as that. */
  async find(image, live = false) {
    let faces = [];
    for (const look of windows(image.width, image.height, live ? 1 : LOOKS)) {
      const found = [];
      for (const window of look) {
        found.push(...whole(await this.lookAt(image, window), window, image));
      }
      faces.push(...merge(found));
    }
    faces = apart(faces);
    if (!live) {
      const again = [];
      for (const face of faces) {
        again.push(...(await this.second(image, face)));
      }
      faces = apart(again);
    }
    return faces.map(({ box }) => box);
  }

  /** The face as a second look at it alone finds it; empty if it finds none. */
  async second(image, { box }) {
    const reach = (Math.max(box[2] - box[0], box[3] - box[1]) * CONTEXT) / 2;
    const [x, y] = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
    const [left, top] = [x, y].map((v) => Math.max(0, round(v - reach)));
    const right = Math.min(image.width, round(x + reach));
    const bottom = Math.min(image.height, round(y + reach));
    const window = [left, top, right - left, bottom - top];
    const found = merge(await this.lookAt(image, window));
    return found.filter((face) => covers(face.box, box)).slice(0, 1);
  }

  /** The boxes and scores found in one window. */
  async lookAt(image, window) {
    const [x, y, width, height] = window;
    const k = SIDE / Math.max(width, height);
    const [w, h] = [width, height].map((size) => Math.max(1, round(size * k)));
    const small = resize(image, w, h, window);
    const square = new Float32Array(SIDE * SIDE * 3).fill(-1);
    for (let row = 0; row < h; row += 1) {
      for (let i = 0; i < 3 * w; i += 1) {
        square[row * SIDE * 3 + i] = small[row * w * 3 + i] / 127.5 - 1;
      }
    }
    const input = new Tensor("float32", square, [1, SIDE, SIDE, 3]);
    const { regressors, classificators } = await this.session.run({ input });
    const found = [];
    classificators.data.forEach((logit, i) => {
      if (logit > 0) {
        const [cx, cy, bw, bh] = regressors.data.slice(16 * i, 16 * i + 4).map((v) => v / SIDE);
        const middle = [ANCHORS[i][0] + cx, ANCHORS[i][1] + cy];
        const box = [
          x + ((middle[0] - bw / 2) * SIDE * width) / w,
          y + ((middle[1] - bh / 2) * SIDE * height) / h,
          x + ((middle[0] + bw / 2) * SIDE * width) / w,
          y + ((middle[1] + bh / 2) * SIDE * height) / h,
        ];
        found.push({ score: 1 / (1 + Math.exp(-logit)), box });
      }
    });
    return found;
  }
}

/** The faces that no inner edge of their window cuts. */
function whole(found, [x, y, width, height], image) {
  return found.filter(
    ({ box }) =>
      (box[0] > x || x === 0) &&
      (box[1] > y || y === 0) &&
      (box[2] < x + width || x + width === image.width) &&
      (box[3] < y + height || y + height === image.height),
  );
}

/** The faces that overlap none with a higher score. */
function apart(faces) {
  const kept = [];
  for (const face of faces.toSorted((a, b) => b.score - a.score)) {
    if (!kept.some(({ box }) => covers(box, face.box))) {
      kept.push(face);
    }
  }
  return kept;
}

/** The square in which a training set would show a face, [x, y, side, side], as
 * described in emotion_jax/photo/crop.py. */
export function frame([left, top, right, bottom]) {
  const size = (right - left + bottom - top) / 2;
  const side = Math.max(1, round(size * SCALE));
  const x = round((left + right) / 2 - side / 2);
  const y = round((top + bottom) / 2 - size * SHIFT - side / 2);
  return [x, y, side, side];
}

/** One face for each cluster of overlapping answers, the highest score first. */
function merge(found) {
  let rest = found.toSorted((a, b) => b.score - a.score);
  const faces = [];
  while (rest.length) {
    const [{ box: best, score }] = rest;
    const same = ({ box }, i) => {
      const both = shared(box, best);
      return i === 0 || both > SAME * (area(box) + area(best) - both);
    };
    const heap = rest.filter(same);
    const total = heap.reduce((sum, one) => sum + one.score, 0);
    const mean = (i) => heap.reduce((sum, one) => sum + one.score * one.box[i], 0) / total;
    faces.push({ score, box: [0, 1, 2, 3].map(mean) });
    rest = rest.filter((one, i) => !same(one, i));
  }
  return faces;
}

/** The windows of each look, [x, y, width, height], the whole picture first. */
function windows(width, height, looks) {
  const made = [[[0, 0, width, height]]];
  let side = Math.max(width, height);
  while (made.length < looks) {
    side = round(side * CLOSER);
    if (side < SIDE) {
      break;
    }
    const columns = places(width, side);
    const size = [Math.min(side, width), Math.min(side, height)];
    made.push(
      places(height, side).flatMap((y) => columns.map((x) => [x, y, ...size])),
    );
  }
  return made;
}

/** The starts of evenly spread windows that cover a length and overlap. */
function places(length, side) {
  const free = Math.max(length - side, 0);
  const steps = Math.ceil(free / (side * (1 - OVERLAP)));
  return Array.from({ length: steps + 1 }, (_, i) =>
    round((free * i) / Math.max(steps, 1)),
  );
}
