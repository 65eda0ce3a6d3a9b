// Boxes, and the geometry between an image and the crop that a top-down network takes: edgehr/tasks/image/boxes.py.

/** @typedef {import("./types.js").Box} Box */

/**
 * Pad a box, and widen it to the proportions of the network's input.
 * @param {Box} box
 * @param {number} aspect  width / height
 * @param {number} padding
 */
export function windowOf([x1, y1, x2, y2], aspect, padding) {
  const width = (x2 - x1) * padding;
  const height = (y2 - y1) * padding;
  return {
    center: [(x1 + x2) / 2, (y1 + y2) / 2],
    size: [Math.max(width, height * aspect), Math.max(height, width / aspect)],
  };
}

/**
 * Say how a window lies on a crop: crop pixel = scale * image pixel + shift, on each axis.
 * @param {{center: number[], size: number[]}} window
 * @param {number} width
 * @param {number} height
 * @param {string} warp  `affine`, `udp` or `hrnet_face`
 */
export function placement({ center, size }, width, height, warp) {
  const crop = [width, height];
  const scale = crop.map((length, axis) => (warp === "udp" ? length - 1 : length) / size[axis]);
  if (warp === "affine") scale[1] = scale[0]; // they differ by rounding only
  const shift = crop.map((length, axis) => (warp === "affine" ? length : length - 1) / 2 - center[axis] * scale[axis]);
  return { scale, shift };
}

/**
 * Carry keypoints from heatmap pixels to image pixels, in place.
 * @param {Float32Array} points  x and y in turn
 * @param {{center: number[], size: number[]}} window
 * @param {number} width  of the heatmap
 * @param {number} height
 * @param {string} warp
 */
export function toImage(points, { center, size }, width, height, warp) {
  const cells = warp === "udp" ? [width - 1, height - 1] : [width, height];
  for (let at = 0; at < points.length; at += 1) {
    const axis = at % 2;
    const place = (points[at] / cells[axis]) * size[axis] + center[axis] - size[axis] / 2;
    points[at] = warp === "hrnet_face" ? Math.trunc(place) + 1 : place; // whole pixels, counted from 1
  }
  return points;
}

/** @param {Box} box */
export function area([x1, y1, x2, y2]) {
  return (x2 - x1) * (y2 - y1);
}

/**
 * Compute the intersection over union of two boxes, 0 to 1.
 * @param {Box} one
 * @param {Box} other
 */
export function overlap(one, other) {
  const width = Math.min(one[2], other[2]) - Math.max(one[0], other[0]);
  const height = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
  const shared = Math.max(width, 0) * Math.max(height, 0);
  return shared / Math.max(area(one) + area(other) - shared, 1e-9);
}

/**
 * Drop every box that overlaps a surer one that stays.
 * @param {Box[]} boxes
 * @param {ArrayLike<number>} scores
 * @param {number} threshold  intersection over union above which the less certain goes
 * @returns {number[]} indices of those that stay, the surest first
 */
export function suppress(boxes, scores, threshold) {
  const order = [...boxes.keys()].sort((a, b) => scores[b] - scores[a] || a - b);
  /** @type {number[]} */
  const kept = [];
  for (const index of order) {
    if (kept.every((other) => overlap(boxes[other], boxes[index]) <= threshold)) kept.push(index);
  }
  return kept;
}
