// From heatmaps to keypoints: edgehr/tasks/pose/heatmaps.py, which says where each method comes from.

/** @typedef {import("./types.js").Decoding} Decoding */

/**
 * @typedef {object} Heatmap
 * @property {Float32Array} values  row by row
 * @property {number} width
 * @property {number} height
 */

const FAR = 3; // pixels; a step beyond comes from a nearly singular Hessian, whose rounding it multiplies
const EPSILON = 2 ** -23; // of float32: the reference regularizes the Hessian's diagonal with it
/** OpenCV has tables for the small kernels. @type {Record<number, number[]>} */
const SMALL_KERNELS = {
  1: [1],
  3: [4, 8].map((part) => part / 16),
  5: [1, 4, 6].map((part) => part / 16),
  7: [4, 14, 28, 36].map((part) => part / 128),
  9: [4, 13, 30, 51, 60].map((part) => part / 256),
};

/** @type {Record<string, (map: Heatmap, x: number, y: number, kernel: number) => [number, number]>} */
const REFINEMENTS = { msra: quarterOffset, dark: darkOffset, udp: udpOffset, hrnet_face: hrnetFaceOffset };

/**
 * Find one keypoint in each heatmap.
 * @param {Float32Array} maps  (K, height, width)
 * @param {number} width
 * @param {number} height
 * @param {Decoding} decoding
 * @returns {{points: Float32Array, scores: Float32Array}} x and y of each in turn, heatmap pixels; and its maximum
 */
export function decode(maps, width, height, decoding) {
  const size = width * height;
  const count = maps.length / size;
  const points = new Float32Array(2 * count);
  const scores = new Float32Array(count);
  const refine = REFINEMENTS[decoding.method];
  for (let number = 0; number < count; number += 1) {
    const values = maps.subarray(number * size, (number + 1) * size);
    const peak = highest(values);
    scores[number] = values[peak];
    if (scores[number] > 0) {
      const x = peak % width;
      const y = (peak - x) / width;
      const [dx, dy] = refine({ values, width, height }, x, y, decoding.blur_kernel);
      points[2 * number] = x + dx;
      points[2 * number + 1] = y + dy;
    } else {
      points[2 * number] = points[2 * number + 1] = -1;
    }
  }
  return { points, scores };
}

/** @param {Float32Array} values */
function highest(values) {
  let best = 0;
  for (let at = 1; at < values.length; at += 1) if (values[at] > values[best]) best = at;
  return best;
}

/**
 * Step a quarter pixel towards the higher neighbor on each axis.
 * @param {Heatmap} map
 * @param {number} x
 * @param {number} y
 * @returns {[number, number]}
 */
function quarterStep({ values, width, height }, x, y) {
  const right = values[y * width + Math.min(x + 1, width - 1)];
  const left = values[y * width + Math.max(x - 1, 0)];
  const below = values[Math.min(y + 1, height - 1) * width + x];
  const above = values[Math.max(y - 1, 0) * width + x];
  return [Math.sign(right - left) / 4, Math.sign(below - above) / 4];
}

/**
 * Peaks on the first two or the last columns (rows) stay where they are, as in mmpose.
 * @type {(typeof REFINEMENTS)["msra"]}
 */
function quarterOffset(map, x, y) {
  const [dx, dy] = quarterStep(map, x, y);
  return [
    x > 1 && x < map.width - 1 && y > 0 ? dx : 0,
    y > 1 && y < map.height - 1 && x > 0 ? dy : 0,
  ];
}

/** @type {(typeof REFINEMENTS)["msra"]} */
function hrnetFaceOffset(map, x, y) {
  const inner = x > 0 && x < map.width - 1 && y > 0 && y < map.height - 1;
  const [dx, dy] = quarterStep(map, x, y);
  return inner ? [dx + 0.5, dy + 0.5] : [0.5, 0.5];
}

/** @type {(typeof REFINEMENTS)["msra"]} */
function darkOffset(map, x, y, kernel) {
  const inner = x > 1 && x < map.width - 2 && y > 1 && y < map.height - 2;
  const method = { radius: 2, floor: 1e-10, ceiling: Infinity, step: darkStep };
  return inner ? newtonOffset(map, x, y, kernel, method) : [0, 0];
}

/** @type {(typeof REFINEMENTS)["msra"]} */
function udpOffset(map, x, y, kernel) {
  return newtonOffset(map, x, y, kernel, { radius: 1, floor: 1e-3, ceiling: 50, step: udpStep });
}

/**
 * Take a Newton step on the logarithm of the smoothed map.
 *
 * The reference smooths the whole map, rescales it to its old maximum and clips it. Rescaling adds a constant to the
 * logarithm, which no derivative sees, so the whole map is smoothed only where clipping can bite or the step is far.
 * @param {Heatmap} map
 * @param {number} x
 * @param {number} y
 * @param {number} kernel
 * @param {{radius: number, floor: number, ceiling: number, step: (p: number[]) => [number, number]}} method
 */
function newtonOffset(map, x, y, kernel, { radius, floor, ceiling, step }) {
  const weights = gaussian(kernel);
  const patch = around(map, x, y, radius, (column, row) => smoothed(map, column, row, weights));
  if (Math.min(...patch) > floor && map.values[y * map.width + x] < ceiling) {
    const near = step(patch.map(Math.log).map(Math.fround));
    if (Math.max(...near.map(Math.abs)) <= FAR) return near;
  }
  const whole = rescaled(map, weights);
  const exact = around(map, x, y, radius, (column, row) => whole[row * map.width + column]);
  return step(exact.map((value) => Math.fround(Math.log(Math.min(Math.max(value, floor), ceiling)))));
}

/**
 * List what lies around a peak, row by row; over the edge of the map, that repeats.
 * @param {Heatmap} map
 * @param {number} x
 * @param {number} y
 * @param {number} radius
 * @param {(x: number, y: number) => number} value
 */
function around({ width, height }, x, y, radius, value) {
  const found = [];
  for (let dy = -radius; dy <= radius; dy += 1) {
    const row = Math.min(Math.max(y + dy, 0), height - 1);
    for (let dx = -radius; dx <= radius; dx += 1) {
      found.push(Math.fround(value(Math.min(Math.max(x + dx, 0), width - 1), row)));
    }
  }
  return found;
}

/**
 * Smooth one pixel of a map, with zeros outside of it.
 * @param {Heatmap} map
 * @param {number} x
 * @param {number} y
 * @param {number[]} weights
 */
function smoothed({ values, width, height }, x, y, weights) {
  const reach = (weights.length - 1) / 2;
  let sum = 0;
  for (let row = Math.max(y - reach, 0); row <= Math.min(y + reach, height - 1); row += 1) {
    let line = 0;
    for (let column = Math.max(x - reach, 0); column <= Math.min(x + reach, width - 1); column += 1) {
      line += weights[column - x + reach] * values[row * width + column];
    }
    sum += weights[row - y + reach] * line;
  }
  return sum;
}

/**
 * Smooth a whole map and rescale it to its old maximum.
 * @param {Heatmap} map
 * @param {number[]} weights
 */
function rescaled(map, weights) {
  const whole = map.values.map((_, at) => smoothed(map, at % map.width, Math.floor(at / map.width), weights));
  const maximum = whole[highest(whole)];
  const factor = map.values[highest(map.values)] / (maximum > 0 ? maximum : 1);
  return whole.map((value) => value * factor);
}

/**
 * Make a Gaussian kernel as OpenCV does for a size alone.
 * @param {number} size
 */
export function gaussian(size) {
  const half = SMALL_KERNELS[size];
  if (half) return [...half, ...half.slice(0, -1).reverse()];
  const sigma = 0.3 * ((size - 1) / 2 - 1) + 0.8;
  const raw = Array.from({ length: size }, (_, at) => Math.exp(-((at - (size - 1) / 2) ** 2) / (2 * sigma * sigma)));
  const sum = raw.reduce((one, other) => one + other);
  return raw.map((value) => value / sum);
}

/**
 * @param {number[]} p  5 x 5 logarithms
 * @returns {[number, number]}
 */
function darkStep(p) {
  /** @type {(row: number, column: number) => number} */
  const at = (row, column) => p[5 * row + column];
  const dxy = (at(3, 3) - at(1, 3) - at(3, 1) + at(1, 1)) / 4;
  const dxx = (at(2, 4) - 2 * at(2, 2) + at(2, 0)) / 4;
  const dyy = (at(4, 2) - 2 * at(2, 2) + at(0, 2)) / 4;
  return solve((at(2, 3) - at(2, 1)) / 2, (at(3, 2) - at(1, 2)) / 2, dxx, dyy, dxy);
}

/**
 * @param {number[]} p  3 x 3 logarithms
 * @returns {[number, number]}
 */
function udpStep([first, above, , left, here, right, , below, last]) {
  const dxy = (last - right - below + here + here - left - above + first) / 2;
  const dxx = right - 2 * here + left + EPSILON;
  const dyy = below - 2 * here + above + EPSILON;
  return solve((right - left) / 2, (below - above) / 2, dxx, dyy, dxy);
}

/**
 * Return minus the inverse Hessian times the gradient; where the Hessian is singular, do not move.
 * @param {number} dx
 * @param {number} dy
 * @param {number} dxx
 * @param {number} dyy
 * @param {number} dxy
 * @returns {[number, number]}
 */
function solve(dx, dy, dxx, dyy, dxy) {
  const determinant = dxx * dyy - dxy * dxy;
  const x = (dxy * dy - dyy * dx) / determinant;
  const y = (dxy * dx - dxx * dy) / determinant;
  return determinant !== 0 && Number.isFinite(x) && Number.isFinite(y) ? [x, y] : [0, 0];
}
