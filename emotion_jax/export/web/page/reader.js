// The network: from gray faces to each one's probabilities and points.

import * as ort from "./ort.js";

/** Loads a file of this folder, wherever the folder is. */
export async function load(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) {
    throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
  }
  return answer;
}

/** Starts the runtime. Its program is passed as bytes, so that the server need not know
 * its file type; a single thread needs no isolation headers. */
export async function start() {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await (await load("ort.wasm")).arrayBuffer();
}

export async function session(name) {
  const bytes = new Uint8Array(await (await load(name)).arrayBuffer());
  return ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
}

export { Tensor } from "./ort.js";

/** A network for faces of its `side`; its `classes` and `points` are names by task. */
export class Reader {
  static async open() {
    const told = await (await load("model.json")).json();
    return Object.assign(new Reader(), told, { session: await session("model.onnx") });
  }

  /** The network's outputs for faces in gray, of its own side: one object per face. */
  async read(faces) {
    const { side } = this;
    const pixels = new Uint8Array(faces.length * side * side);
    faces.forEach((face, i) => pixels.set(face, i * side * side));
    const image = new ort.Tensor("uint8", pixels, [faces.length, side, side, 1]);
    const answers = await this.session.run({ image });
    return faces.map((_, i) =>
      Object.fromEntries(
        Object.entries(answers).map(([name, { data }]) => {
          const size = data.length / faces.length;
          return [name, data.slice(i * size, (i + 1) * size)];
        }),
      ),
    );
  }
}
