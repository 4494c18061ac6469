// Gray levels and resizing as in Pillow, so that the network sees here what it saw in
// training. An image is what a canvas gives: {data, width, height}, four bytes per
// pixel, of which the last is ignored.

const BITS = 22; // in a weight's fraction, as in Pillow
const HALF = 1 << (BITS - 1);

/** Replaces each color by Pillow's L, the luma of ITU-R 601-2. */
export function gray({ data, width, height }) {
  const made = new Uint8ClampedArray(data.length);
  for (let i = 0; i < data.length; i += 4) {
    const level = (19595 * data[i] + 38470 * data[i + 1] + 7471 * data[i + 2] + 32768) >> 16;
    made[i] = made[i + 1] = made[i + 2] = level;
  }
  return { data: made, width, height };
}

/** A window of an image, [x, y, width, height], resized by Pillow's BILINEAR, three bytes
 * per pixel: half-pixel centres, a wider triangle when shrinking, first horizontally,
 * then vertically, rounded after each. */
export function resize(image, width, height, window = [0, 0, image.width, image.height]) {
  const down = taps(window[3], height);
  const narrow = across(image, window, taps(window[2], width));

  const row = 3 * width;
  const made = new Uint8Array(row * height);
  const sums = new Int32Array(row);
  for (let y = 0; y < height; y += 1) {
    sums.fill(HALF);
    for (let i = 0; i < down.size[y]; i += 1) {
      const weight = down.weights[y * down.most + i];
      const from = (down.first[y] + i) * row;
      for (let x = 0; x < row; x += 1) {
        sums[x] += Math.imul(narrow[from + x], weight);
      }
    }
    for (let x = 0; x < row; x += 1) {
      made[y * row + x] = sums[x] >> BITS;
    }
  }
  return made;
}

/** The window's lines, resized: the loop that takes the time. */
function across({ data, width }, [left, top, , height], { first, size, most, weights }) {
  const made = new Uint8Array(3 * first.length * height);
  let to = 0;
  for (let y = top; y < top + height; y += 1) {
    for (let x = 0; x < first.length; x += 1) {
      let [r, g, b] = [HALF, HALF, HALF];
      let at = 4 * (y * width + left + first[x]);
      const end = x * most + size[x];
      for (let i = x * most; i < end; i += 1, at += 4) {
        r = (r + data[at] * weights[i]) | 0;
        g = (g + data[at + 1] * weights[i]) | 0;
        b = (b + data[at + 2] * weights[i]) | 0;
      }
      made[to] = r >> BITS;
      made[to + 1] = g >> BITS;
      made[to + 2] = b >> BITS;
      to += 3;
    }
  }
  return made;
}

/** For each of the `count` pixels that a line of this length is resized to: the first
 * pixel it is made of and their number; also the largest number, and the weights. */
function taps(length, count) {
  const scale = length / count;
  const reach = Math.max(scale, 1);
  const most = 2 * Math.ceil(reach) + 1;
  const first = new Int32Array(count);
  const size = new Int32Array(count);
  const weights = new Int32Array(count * most);
  for (let i = 0; i < count; i += 1) {
    const centre = (i + 0.5) * scale;
    first[i] = Math.max(Math.trunc(centre - reach + 0.5), 0);
    size[i] = Math.min(Math.trunc(centre + reach + 0.5), length) - first[i];
    const heights = Array.from({ length: size[i] }, (_, k) =>
      Math.max(1 - Math.abs((first[i] + k - centre + 0.5) * (1 / reach)), 0),
    );
    const total = heights.reduce((sum, height) => sum + height, 0);
    heights.forEach((height, k) => {
      weights[i * most + k] = Math.trunc(0.5 + (height / total) * 2 ** BITS);
    });
  }
  return { first, size, most, weights };
}

/** The gray levels in a box, [x, y, width, height], resized to a side, as the network
 * takes them. The picture's edge is repeated where the box extends beyond it. */
export function crop({ data, width, height }, [left, top, w, h], side) {
  const part = { data: new Uint8ClampedArray(4 * w * h), width: w, height: h };
  for (let y = 0, to = 0; y < h; y += 1) {
    const line = width * Math.min(Math.max(top + y, 0), height - 1);
    for (let x = 0; x < w; x += 1, to += 4) {
      const from = 4 * (line + Math.min(Math.max(left + x, 0), width - 1));
      part.data[to] = data[from];
      part.data[to + 1] = data[from + 1];
      part.data[to + 2] = data[from + 2];
    }
  }
  return resize(gray(part), side, side).filter((_, i) => i % 3 === 0);
}
