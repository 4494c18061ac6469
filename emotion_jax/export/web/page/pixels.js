// Gray levels and sizes, bit for bit as Pillow makes them: so the network sees here what
// it saw in training. An image is {data, width, height, channels}, its data in bytes.

const BITS = 22; // of a weight's fraction, as in Pillow

/** What a canvas gives, without its alpha. */
export function rgb({ data, width, height }) {
  const made = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < made.length; from += 4, to += 3) {
    made[to] = data[from];
    made[to + 1] = data[from + 1];
    made[to + 2] = data[from + 2];
  }
  return { data: made, width, height, channels: 3 };
}

/** Pillow's L: the luma of ITU-R 601-2, in 16 bits. */
export function gray({ data, width, height }) {
  const made = new Uint8Array(width * height);
  for (let from = 0, to = 0; to < made.length; from += 3, to += 1) {
    made[to] =
      (19595 * data[from] + 38470 * data[from + 1] + 7471 * data[from + 2] + 32768) >> 16;
  }
  return { data: made, width, height, channels: 1 };
}

/** Pillow's BILINEAR of a box, [left, top, right, bottom]: half-pixel centres, and a
 * wider triangle when shrinking. */
export function resize(image, width, height, box = [0, 0, image.width, image.height]) {
  const across = taps(image.width, box[0], box[2], width);
  const down = taps(image.height, box[1], box[3], height);
  const { channels } = image;
  const top = down[0].first;
  const bottom = Math.max(...down.map((tap) => tap.first + tap.weights.length));

  const narrow = new Uint8Array(width * (bottom - top) * channels);
  for (let y = top, to = 0; y < bottom; y += 1) {
    for (const { first, weights } of across) {
      const from = (y * image.width + first) * channels;
      for (let c = 0; c < channels; c += 1, to += 1) {
        narrow[to] = weighted(image.data, from + c, channels, weights);
      }
    }
  }
  const made = new Uint8Array(width * height * channels);
  const row = width * channels;
  let to = 0;
  for (const { first, weights } of down) {
    const from = (first - top) * row;
    for (let x = 0; x < row; x += 1, to += 1) {
      made[to] = weighted(narrow, from + x, row, weights);
    }
  }
  return { data: made, width, height, channels };
}

/** For each pixel of a resized line: the first pixel it is made of, and the weights. */
function taps(size, start, end, count) {
  const scale = (end - start) / count;
  const reach = Math.max(scale, 1);
  return Array.from({ length: count }, (_, i) => {
    const centre = start + (i + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const last = Math.min(Math.trunc(centre + reach + 0.5), size);
    const heights = [];
    for (let x = first; x < last; x += 1) {
      heights.push(Math.max(1 - Math.abs((x - centre + 0.5) * (1 / reach)), 0));
    }
    const total = heights.reduce((sum, height) => sum + height, 0);
    const weights = heights.map((height) => Math.trunc(0.5 + (height / total) * 2 ** BITS));
    return { first, weights: Int32Array.from(weights) };
  });
}

function weighted(data, from, step, weights) {
  let sum = 1 << (BITS - 1);
  for (let i = 0, at = from; i < weights.length; i += 1, at += step) {
    sum += data[at] * weights[i];
  }
  return sum >> BITS;
}
