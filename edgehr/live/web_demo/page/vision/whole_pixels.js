// Face crops as HRNet-Facial-Landmark-Detection cuts them: edgehr/tasks/image/whole_pixels.py, which says why.

/** @typedef {import("./types.js").Image} Image */

const SHRINK_FROM = 2; // window pixels per crop pixel from which the image is shrunk before it is cut

/** @typedef {{start: number, weights: Float32Array}[]} Rows  the first pixel of each, and how much each counts */

/**
 * Cut a square window out of an image, black where it reaches over it.
 * @param {Image} image
 * @param {number[]} middle  of the window, image pixels
 * @param {number} length  of its side, image pixels
 * @param {number} size  of the crop
 * @returns {Uint8ClampedArray} red, green and blue of each pixel
 */
export function cutWholePixels(image, middle, length, size) {
  const shrink = length / size;
  const shrinks = shrink >= SHRINK_FROM;
  const [center, side] = shrinks ? [middle.map((value) => value / shrink), size] : [middle, length];
  const width = shrinks ? Math.trunc(image.width / shrink) : image.width;
  const height = shrinks ? Math.trunc(image.height / shrink) : image.height;
  if (Math.min(width, height) < 1 || Math.max(width, height) < 2) return new Uint8ClampedArray(3 * size * size);
  // The repository counts pixels from 1, which moves the window's corners by a pixel of the crop.
  const corner = center.map((value) => value - side / 2 - side / size);
  const [left, top] = corner.map((value) => Math.trunc(value) + 1);
  const right = Math.max(Math.trunc(corner[0] + side) + 1, left + 1);
  const bottom = Math.max(Math.trunc(corner[1] + side) + 1, top + 1);
  const across = { first: Math.max(left, 0), last: Math.min(right, width) };
  const down = { first: Math.max(top, 0), last: Math.min(bottom, height) };
  const window = new Uint8ClampedArray(3 * (right - left) * (bottom - top));
  if (across.last > across.first && down.last > down.first) {
    const source = colors(image);
    const part = shrinks
      ? resample(
          stretch(source),
          image.width,
          weigh(image.width, width, across.first, across.last),
          weigh(image.height, height, down.first, down.last),
        )
      : cut(source, image.width, across, down);
    const count = 3 * (across.last - across.first);
    for (let y = down.first; y < down.last; y += 1) {
      const from = (y - down.first) * count;
      window.set(part.subarray(from, from + count), 3 * ((y - top) * (right - left) + across.first - left));
    }
  }
  return resample(
    stretch(window),
    right - left,
    weigh(right - left, size, 0, size),
    weigh(bottom - top, size, 0, size),
  );
}

/**
 * Leave alpha out.
 * @param {Image} image
 */
function colors({ data, width, height }) {
  const found = new Uint8ClampedArray(3 * width * height);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    found[to] = data[from];
    found[to + 1] = data[from + 1];
    found[to + 2] = data[from + 2];
  }
  return found;
}

/**
 * @param {Uint8ClampedArray} pixels
 * @param {number} width
 * @param {{first: number, last: number}} across
 * @param {{first: number, last: number}} down
 */
function cut(pixels, width, across, down) {
  const count = 3 * (across.last - across.first);
  const part = new Uint8ClampedArray(count * (down.last - down.first));
  for (let y = down.first; y < down.last; y += 1) {
    const from = 3 * (y * width + across.first);
    part.set(pixels.subarray(from, from + count), (y - down.first) * count);
  }
  return part;
}

/**
 * Stretch gray levels to 0 to 255.
 * @param {Uint8ClampedArray} pixels
 */
function stretch(pixels) {
  let low = 255;
  let high = 0;
  for (const value of pixels) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const factor = 255 / Math.max(high - low, 1);
  const table = Uint8Array.from({ length: 256 }, (_, level) =>
    Math.min(Math.max((level - low) * factor, 0), 255) + 0.5,
  );
  return pixels.map((value) => table[value]);
}

/**
 * Weigh pixels for a resize, by a triangle as wide as it shrinks.
 * @param {number} length  pixels
 * @param {number} count  that they become
 * @param {number} first  of these that is wanted
 * @param {number} last  behind the last one
 * @returns {Rows}
 */
function weigh(length, count, first, last) {
  const ratio = length / count;
  const radius = Math.max(ratio, 1);
  return Array.from({ length: last - first }, (_, at) => {
    const middle = (first + at + 0.5) * ratio;
    const start = Math.max(Math.trunc(middle - radius + 0.5), 0);
    const stop = Math.min(Math.trunc(middle + radius + 0.5), length);
    const weights = Float32Array.from({ length: stop - start }, (_none, place) =>
      Math.max(1 - Math.abs((start + place + 0.5 - middle) / radius), 0),
    );
    const sum = weights.reduce((one, other) => one + other, 0);
    return { start, weights: weights.map((value) => value / sum) };
  });
}

/**
 * Weigh pixels along both sides, each time rounded: first along rows, as Pillow does.
 * @param {Uint8ClampedArray} pixels  red, green and blue
 * @param {number} width
 * @param {Rows} columns
 * @param {Rows} rows
 */
function resample(pixels, width, columns, rows) {
  const low = Math.min(...rows.map(({ start }) => start));
  const high = Math.max(...rows.map(({ start, weights }) => start + weights.length));
  const count = columns.length;
  const narrow = new Uint8ClampedArray(3 * count * (high - low));
  for (let y = low, to = 0; y < high; y += 1) {
    for (const { start, weights } of columns) {
      for (let channel = 0; channel < 3; channel += 1, to += 1) {
        let sum = 0.5;
        for (let at = 0; at < weights.length; at += 1) {
          sum += weights[at] * pixels[3 * (y * width + start + at) + channel];
        }
        narrow[to] = Math.floor(sum);
      }
    }
  }
  const result = new Uint8ClampedArray(3 * count * rows.length);
  const line = 3 * count;
  for (let y = 0, to = 0; y < rows.length; y += 1) {
    const { start, weights } = rows[y];
    for (let x = 0; x < line; x += 1, to += 1) {
      let sum = 0.5;
      for (let at = 0; at < weights.length; at += 1) sum += weights[at] * narrow[(start - low + at) * line + x];
      result[to] = Math.floor(sum);
    }
  }
  return result;
}
