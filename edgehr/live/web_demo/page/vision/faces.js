// Faces and their landmarks: edgehr/live/predictors/landmarks.py.

import { Tracker } from "./tracker.js";

/** @typedef {import("./types.js").Box} Box */
/** @typedef {import("./types.js").Image} Image */
/** @typedef {import("./types.js").Measure} Measure */
/** @typedef {import("./types.js").Pose} Pose */

const MAX_FACES = 20;
// Detectors box a face from the hair to the chin; data sets of landmarks what is between eyebrows and chin.
const CENTER = 0.6;
const SIDE = 0.88;

/** Finds the landmarks of faces in one frame after the other. */
export class FaceSequence {
  /**
   * @param {import("./top_down.js").TopDown} network
   * @param {import("./detection.js").Detector | null} detector  null takes the whole image for one face
   * @param {Measure} measure
   */
  constructor(network, detector, measure) {
    this.network = network;
    this.detector = detector;
    this.measure = measure;
    this.tracker = new Tracker([]);
  }

  /** Forget everybody: the next frame has nothing to do with the last. */
  reset() {
    this.tracker.reset();
  }

  /**
   * @param {Image} image
   * @param {number} time  when it was taken, seconds
   * @param {boolean} independent  a single picture: nobody is followed
   * @returns {Promise<Pose[]>}
   */
  async step(image, time, independent) {
    /** @type {Box[]} */
    const boxes = this.detector
      ? (await this.detector.find(image)).boxes.slice(0, MAX_FACES).map(faceBox)
      : [[0, 0, image.width, image.height]];
    /** @type {Pose[]} */
    const faces = [];
    for (const box of boxes) faces.push(await this.network.estimate(image, box));
    if (independent) return faces;
    return this.measure("track", () => {
      const tracked = this.tracker.step(
        faces.map((face) => ({ ...face, box: extent(face.points) })),
        time,
      );
      return tracked.map((face, number) => ({ ...face, box: faces[number].box }));
    });
  }
}

/**
 * Make a box as data sets of landmarks have it from a detector's.
 * @param {Box} box
 * @returns {Box}
 */
export function faceBox([x1, y1, x2, y2]) {
  const half = (SIDE / 2) * (y2 - y1);
  const [x, y] = [(x1 + x2) / 2, y1 + CENTER * (y2 - y1)];
  return [x - half, y - half, x + half, y + half];
}

/**
 * Box landmarks, at least a pixel wide and high.
 * @param {Float32Array} points
 * @returns {Box}
 */
export function extent(points) {
  const [xs, ys] = [points.filter((_, at) => at % 2 === 0), points.filter((_, at) => at % 2 === 1)];
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  return [x, y, Math.max(...xs, x + 1), Math.max(...ys, y + 1)];
}
