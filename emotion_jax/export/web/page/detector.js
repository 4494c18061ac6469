// BlazeFace, step for step as emotion_jax/photo does it in Python.

import { resize } from "./pixels.js";
import { session, Tensor } from "./reader.js";

const SIDE = 256;
const LAYERS = [[16, 2], [8, 6]]; // cells a side, anchors a cell
const LEAST = 0.5; // score of a face
const OVERLAP = 0.3; // from which on two boxes are one face
const ANCHORS = LAYERS.flatMap(([cells, each]) =>
  Array.from({ length: cells * cells * each }, (_, i) => {
    const cell = Math.floor(i / each);
    return [((cell % cells) + 0.5) / cells, (Math.floor(cell / cells) + 0.5) / cells];
  }),
);

export class Detector {
  static async open() {
    const detector = new Detector();
    detector.session = await session("detector.onnx");
    return detector;
  }

  /** The boxes of an RGB image's faces, [left, top, right, bottom] in its pixels. */
  async find(image) {
    const longer = Math.max(image.width, image.height);
    const [width, height] = [image.width, image.height].map((size) =>
      Math.max(1, Math.round((size * SIDE) / longer)),
    );
    const small = resize(image, width, height);
    const input = new Float32Array(SIDE * SIDE * 3).fill(-1);
    for (let y = 0; y < height; y += 1) {
      for (let i = 0; i < width * 3; i += 1) {
        input[y * SIDE * 3 + i] = small[y * width * 3 + i] / 127.5 - 1;
      }
    }
    const shape = [1, SIDE, SIDE, 3];
    const { regressors, classificators } = await this.session.run({
      input: new Tensor("float32", input, shape),
    });
    const found = decode(regressors.data, classificators.data);
    return suppress(found).map(({ box }) => box.map((x) => x * longer));
  }
}

function decode(values, logits) {
  const found = [];
  ANCHORS.forEach(([x, y], i) => {
    const score = 1 / (1 + Math.exp(-logits[i]));
    if (score < LEAST) {
      return;
    }
    const [dx, dy, w, h] = values.subarray(16 * i, 16 * i + 4).map((v) => v / SIDE);
    const box = [x + dx - w / 2, y + dy - h / 2, x + dx + w / 2, y + dy + h / 2];
    found.push({ score, box });
  });
  return found.sort((a, b) => b.score - a.score);
}

/** One box a face: the mean of those that overlap the best, weighed by their scores. */
function suppress(rest) {
  const kept = [];
  while (rest.length) {
    const best = rest[0];
    const same = rest.filter(({ box }) => overlap(box, best.box) >= OVERLAP);
    rest = rest.filter((one) => !same.includes(one));
    const total = same.reduce((sum, { score }) => sum + score, 0);
    const box = best.box.map(
      (_, i) => same.reduce((sum, one) => sum + one.score * one.box[i], 0) / total,
    );
    kept.push({ score: best.score, box });
  }
  return kept;
}

function overlap(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const both = Math.max(width, 0) * Math.max(height, 0);
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  return both / (area(a) + area(b) - both);
}
