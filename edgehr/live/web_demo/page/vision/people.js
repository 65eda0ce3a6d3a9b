// Boxes of people from their keypoints, and how alike two poses are: edgehr/live/tracking/boxes.py, tasks/pose/oks.py.

import { area } from "./boxes.js";
import { mean } from "./top_down.js";

/** @typedef {import("./types.js").Box} Box */
/** @typedef {import("./types.js").Pose} Pose */

export const MIN_SCORE = 0.3; // under which a keypoint says nothing of where the person is
const MARGIN = 0.15; // half a head above the eyes, a hand beyond the wrist
const MIN_KEYPOINTS = 4;
const MIN_SEEN = 4; // fewer sure keypoints than these do not tell two people apart
const DEFAULT_SIGMA = 0.07; // where a data set publishes no constants for OKS
const DUPLICATE_OKS = 0.65;
const MIN_MEAN_SCORE = 0.3; // of all keypoints, below which there is nobody in a box

/**
 * Box a person's seen keypoints, with a margin; null where too few are seen, or in one spot.
 * @param {Pose} pose
 * @param {number} width  of the image; the box stays inside
 * @param {number} height
 * @returns {Box | null}
 */
export function keypointBox({ points, scores }, width, height) {
  let [x1, y1, x2, y2, seen] = [Infinity, Infinity, -Infinity, -Infinity, 0];
  for (let number = 0; number < scores.length; number += 1) {
    if (scores[number] <= MIN_SCORE) continue;
    seen += 1;
    x1 = Math.min(x1, points[2 * number]);
    x2 = Math.max(x2, points[2 * number]);
    y1 = Math.min(y1, points[2 * number + 1]);
    y2 = Math.max(y2, points[2 * number + 1]);
  }
  if (seen < MIN_KEYPOINTS) return null;
  const margin = MARGIN * Math.max(x2 - x1, y2 - y1);
  /** @type {(value: number, limit: number) => number} */
  const inside = (value, limit) => Math.min(Math.max(value, 0), limit);
  const box = /** @type {Box} */ ([
    inside(x1 - margin, width),
    inside(y1 - margin, height),
    inside(x2 + margin, width),
    inside(y2 + margin, height),
  ]);
  return Math.min(box[2] - box[0], box[3] - box[1]) >= 2 ? box : null;
}

/**
 * Compute the object keypoint similarity of COCO, 0 to 1.
 * @param {ArrayLike<number>} points
 * @param {ArrayLike<number>} others
 * @param {number} size  area of the person, square pixels
 * @param {ArrayLike<number>} sigmas
 * @param {(number: number) => boolean} [counts]  which keypoints count
 */
export function similarity(points, others, size, sigmas, counts = () => true) {
  let sum = 0;
  let counted = 0;
  for (let number = 0; number < points.length / 2; number += 1) {
    if (!counts(number)) continue;
    const dx = points[2 * number] - others[2 * number];
    const dy = points[2 * number + 1] - others[2 * number + 1];
    const variance = (2 * sigmas[number]) ** 2;
    sum += Math.exp(-(dx * dx + dy * dy) / (2 * variance * (size + Number.EPSILON)));
    counted += 1;
  }
  return sum / counted;
}

/**
 * Return the constants of the similarity: the published ones, or the same for every keypoint.
 * @param {number[]} published
 * @param {number} count
 */
export function oksSigmas(published, count) {
  return published.length ? published : new Array(count).fill(DEFAULT_SIGMA);
}

/**
 * Leave out boxes that hold nobody, and the less certain of two poses that are nearly the same.
 * @param {Pose[]} poses
 * @param {number[]} published  constants of the similarity
 */
export function realPeople(poses, published) {
  const there = poses
    .map((pose, order) => ({ pose, order, score: mean(pose.scores), size: 0 }))
    .filter(({ score }) => score >= MIN_MEAN_SCORE);
  for (const each of there) {
    const box = keypointBox(each.pose, 2 ** 20, 2 ** 20);
    each.size = box ? area(box) : 0;
  }
  /** @type {typeof there} */
  const kept = [];
  for (const each of [...there].sort((one, other) => other.score - one.score || one.order - other.order)) {
    if (kept.every((surer) => !isSame(surer, each, published))) kept.push(each);
  }
  return kept.sort((one, other) => one.order - other.order).map(({ pose }) => pose);
}

/**
 * @param {{pose: Pose, size: number}} one
 * @param {{pose: Pose, size: number}} other
 * @param {number[]} published
 */
function isSame(one, other, published) {
  const scores = [one.pose.scores, other.pose.scores];
  /** @type {(number: number) => boolean} */
  const both = (number) => scores.every((each) => each[number] > MIN_SCORE);
  const seen = [...scores[0].keys()].filter(both).length;
  const sigmas = oksSigmas(published, scores[0].length);
  const size = (one.size + other.size) / 2;
  const counts = seen < MIN_SEEN ? undefined : both;
  return similarity(one.pose.points, other.pose.points, size, sigmas, counts) > DUPLICATE_OKS;
}
