// From pixels to a network's input: cut, scale, normalize, put channels in order. Bilinear, to the gray levels that
// OpenCV's `warpAffine` and `resize` give.

/** @typedef {import("./types.js").Image} Image */
/** @typedef {import("./types.js").Card} Card */

/** @typedef {{near: Int32Array, far: Int32Array, share: Float32Array, inside: Uint8Array}} Taps */

/**
 * Say between which two pixels of a line each pixel of the crop lies.
 * @param {number} count  pixels of the crop
 * @param {number} length  pixels of the line
 * @param {number} scale  crop pixels per pixel
 * @param {number} shift
 * @returns {Taps}
 */
function taps(count, length, scale, shift) {
  const found = {
    near: new Int32Array(count),
    far: new Int32Array(count),
    share: new Float32Array(count),
    inside: new Uint8Array(count),
  };
  for (let at = 0; at < count; at += 1) {
    const place = (at - shift) / scale;
    const low = Math.floor(place);
    found.share[at] = place - low;
    // 1: the nearer pixel is in the image, 2: the farther one
    found.inside[at] = (low >= 0 && low < length ? 1 : 0) + (low + 1 >= 0 && low + 1 < length ? 2 : 0);
    found.near[at] = Math.min(Math.max(low, 0), length - 1);
    found.far[at] = Math.min(Math.max(low + 1, 0), length - 1);
  }
  return found;
}

/**
 * Interpolate a crop, black where it reaches over the image.
 * @param {Image} image
 * @param {Taps} columns
 * @param {Taps} rows
 * @returns {Uint8ClampedArray} red, green and blue of each pixel
 */
function interpolate(image, columns, rows) {
  const width = columns.near.length;
  const height = rows.near.length;
  const crop = new Uint8ClampedArray(3 * width * height);
  const pixels = image.data;
  const weights = [0, 0, 0, 0];
  for (let y = 0, to = 0; y < height; y += 1) {
    const upper = rows.near[y] * image.width;
    const lower = rows.far[y] * image.width;
    const lowerShare = rows.inside[y] & 2 ? rows.share[y] : 0;
    const upperShare = rows.inside[y] & 1 ? 1 - rows.share[y] : 0;
    for (let x = 0; x < width; x += 1, to += 3) {
      const right = columns.inside[x] & 2 ? columns.share[x] : 0;
      const left = columns.inside[x] & 1 ? 1 - columns.share[x] : 0;
      const near = columns.near[x];
      const far = columns.far[x];
      weights[0] = upperShare * left;
      weights[1] = upperShare * right;
      weights[2] = lowerShare * left;
      weights[3] = lowerShare * right;
      const a = 4 * (upper + near);
      const b = 4 * (upper + far);
      const c = 4 * (lower + near);
      const d = 4 * (lower + far);
      for (let channel = 0; channel < 3; channel += 1) {
        // The array itself would round a half to the even number.
        crop[to + channel] = Math.floor(
          weights[0] * pixels[a + channel] +
            weights[1] * pixels[b + channel] +
            weights[2] * pixels[c + channel] +
            weights[3] * pixels[d + channel] +
            0.5,
        );
      }
    }
  }
  return crop;
}

/**
 * Cut a window out of an image: `cv2.warpAffine`, bilinear, black beyond the image.
 * @param {Image} image
 * @param {{scale: number[], shift: number[]}} place  of the window on the crop
 * @param {number} width
 * @param {number} height
 */
export function cutOut(image, { scale, shift }, width, height) {
  return interpolate(
    image,
    taps(width, image.width, scale[0], shift[0]),
    taps(height, image.height, scale[1], shift[1]),
  );
}

/** @typedef {{near: Int32Array, far: Int32Array, nearPart: Int32Array, farPart: Int32Array}} FixedTaps */

/**
 * Say how much, in 2048ths, two pixels of a line count for each pixel that it becomes; its ends repeat.
 * @param {number} count
 * @param {number} length
 * @returns {FixedTaps}
 */
function fixedTaps(count, length) {
  const [near, far, nearPart, farPart] = [0, 1, 2, 3].map(() => new Int32Array(count));
  for (let at = 0; at < count; at += 1) {
    const place = Math.fround((at + 0.5) * (length / count) - 0.5);
    const low = Math.floor(place);
    const share = low < 0 || low >= length - 1 ? 0 : Math.fround(place - low);
    near[at] = Math.min(Math.max(low, 0), length - 1);
    far[at] = Math.min(near[at] + 1, length - 1);
    nearPart[at] = roundHalfToEven((1 - share) * 2048);
    farPart[at] = roundHalfToEven(share * 2048);
  }
  return { near, far, nearPart, farPart };
}

/** @param {number} value  not negative */
function roundHalfToEven(value) {
  const low = Math.floor(value);
  return low + (value - low > 0.5 || (value - low === 0.5 && low % 2 === 1) ? 1 : 0);
}

/**
 * Resize an image: `cv2.resize`, bilinear, in the same whole numbers.
 * @param {Image} image
 * @param {number} width
 * @param {number} height
 * @returns {Uint8ClampedArray} red, green and blue of each pixel
 */
export function resize(image, width, height) {
  const resized = new Uint8ClampedArray(3 * width * height);
  const columns = fixedTaps(width, image.width);
  const rows = fixedTaps(height, image.height);
  const pixels = image.data;
  for (let y = 0, to = 0; y < height; y += 1) {
    const upper = 4 * rows.near[y] * image.width;
    const lower = 4 * rows.far[y] * image.width;
    for (let x = 0; x < width; x += 1, to += 3) {
      const [a, b] = [4 * columns.near[x], 4 * columns.far[x]];
      for (let channel = 0; channel < 3; channel += 1) {
        const [left, right] = [a + channel, b + channel];
        const above = pixels[upper + left] * columns.nearPart[x] + pixels[upper + right] * columns.farPart[x];
        const below = pixels[lower + left] * columns.nearPart[x] + pixels[lower + right] * columns.farPart[x];
        const sum = ((rows.nearPart[y] * (above >> 4)) >> 16) + ((rows.farPart[y] * (below >> 4)) >> 16);
        resized[to + channel] = (sum + 2) >> 2;
      }
    }
  }
  return resized;
}

/**
 * Normalize pixels into the upper left of a network's input; the rest of that keeps what it holds.
 * @param {Uint8ClampedArray} pixels  red, green and blue
 * @param {number} width  of the pixels
 * @param {number} height
 * @param {Card} card
 * @param {Float32Array} input  of the card's size and layout
 */
export function normalize(pixels, width, height, card, input) {
  const { width: full, height: tall, color, mean, std } = card.input;
  const [step, plane] = card.layout === "nhwc" ? [3, 1] : [1, full * tall];
  for (let channel = 0; channel < 3; channel += 1) {
    const from = color === "rgb" ? channel : 2 - channel;
    const scale = 1 / std[channel];
    const bias = mean[channel] / std[channel];
    for (let y = 0; y < height; y += 1) {
      let at = 3 * y * width + from;
      let to = channel * plane + y * full * step;
      for (let x = 0; x < width; x += 1, at += 3, to += step) input[to] = pixels[at] * scale - bias;
    }
  }
  return input;
}
