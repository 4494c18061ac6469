// The page's handle on the worker that finds faces.

export class Finder {
  /** Resolves once the worker is ready. */
  static open() {
    const finder = new Finder();
    finder.waiting = []; // resolvers for the worker's answers, which come in order
    finder.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    finder.worker.onmessage = ({ data: { boxes, wrong } }) => {
      const { resolve, reject } = finder.waiting.shift();
      wrong ? reject(new Error(wrong)) : resolve(boxes);
    };
    finder.worker.onerror = ({ message }) => {
      finder.waiting.forEach(({ reject }) => reject(new Error(message || "worker.js")));
    };
    return finder.answer().then(() => finder);
  }

  /** The boxes of the faces of a picture, found as detector.js does. */
  find(image, live) {
    this.worker.postMessage({ image, live });
    return this.answer();
  }

  answer() {
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }
}
