// One person without a detector: the crop follows the person's own keypoints. edgehr/live/predictors/single_person.py.

import { overlap } from "./boxes.js";
import { keypointBox } from "./people.js";
import { mean } from "./top_down.js";

/** @typedef {import("./types.js").Box} Box */
/** @typedef {import("./types.js").Image} Image */
/** @typedef {import("./types.js").Pose} Pose */

const MAX_REFINEMENTS = 2;
const SETTLED = 0.9; // overlap of the next box with the last above which a closer look would give the same
// Mean score of all keypoints: a person well in the crop scores above the first, furniture below the second.
const CONVINCING = 0.55;
const ACCEPTABLE = 0.45;
const LOST = 0.3;
const MAX_WINDOWS = 32;
const WINDOWS_PER_FRAME = 8;

/** Finds one person in a frame and follows them through the next ones. */
export class SinglePerson {
  /** @param {import("./top_down.js").TopDown} network */
  constructor(network) {
    this.network = network;
    /** @type {Box | null} */
    this.box = null;
    this.tried = 0;
  }

  reset() {
    this.box = null;
    this.tried = 0;
  }

  /**
   * @param {Image} image
   * @param {boolean} [thorough]  search as long as it takes: for single pictures
   * @returns {Promise<Pose[]>} of one person or of none
   */
  async step(image, thorough = false) {
    if (this.box) {
      const pose = await this.network.estimate(image, this.box);
      this.box = keypointBox(pose, image.width, image.height);
      if (this.box && mean(pose.scores) > LOST) return [pose];
    }
    const pose = await this.search(image, thorough);
    const found = mean(pose.scores) >= ACCEPTABLE;
    this.box = found ? keypointBox(pose, image.width, image.height) : null;
    return found ? [pose] : [];
  }

  /**
   * Find the best pose of the whole frame or, if that does not convince, of windows over it.
   * @param {Image} image
   * @param {boolean} thorough
   */
  async search(image, thorough) {
    const whole = await this.closer(image, [0, 0, image.width, image.height]);
    if (mean(whole.scores) >= CONVINCING) return whole;
    const windows = personWindows(image.width, image.height);
    const count = thorough ? windows.length : Math.min(WINDOWS_PER_FRAME, windows.length);
    let best = null;
    for (let number = 0; number < count; number += 1) {
      const pose = await this.network.estimate(image, windows[(this.tried + number) % windows.length]);
      if (!best || mean(pose.scores) > mean(best.scores)) best = pose;
    }
    this.tried += count;
    const refined = best ? await this.refine(image, best) : whole;
    return mean(refined.scores) > mean(whole.scores) ? refined : whole;
  }

  /**
   * @param {Image} image
   * @param {Box} box
   */
  async closer(image, box) {
    return this.refine(image, await this.network.estimate(image, box));
  }

  /**
   * Estimate again in the box of the keypoints, as long as that helps.
   * @param {Image} image
   * @param {Pose} pose
   */
  async refine(image, pose) {
    for (let count = 0; count < MAX_REFINEMENTS; count += 1) {
      const box = keypointBox(pose, image.width, image.height);
      if (!box || overlap(pose.box, box) > SETTLED) break;
      const again = await this.network.estimate(image, box);
      if (mean(again.scores) < mean(pose.scores)) break; // a closer look may cut the person off
      pose = again;
    }
    return pose;
  }
}

/**
 * Cover a frame with windows of a standing person's shape: full height, then half height, overlapping by half.
 * @param {number} width
 * @param {number} height
 * @returns {Box[]}
 */
export function personWindows(width, height) {
  /** @type {Box[]} */
  const windows = [];
  for (const share of [1, 0.5]) {
    const across = Math.min(0.75 * share * height, width);
    const down = share * height;
    const columns = 1 + Math.ceil((2 * (width - across)) / across);
    const rows = 1 + Math.ceil((2 * (height - down)) / down);
    for (let row = 0; row < rows; row += 1) {
      const y = rows > 1 ? ((height - down) * row) / (rows - 1) : 0;
      for (let column = 0; column < columns; column += 1) {
        const x = columns > 1 ? ((width - across) * column) / (columns - 1) : 0;
        windows.push([x, y, x + across, y + down]);
      }
    }
  }
  const step = Math.ceil(windows.length / MAX_WINDOWS);
  return windows.filter((_, number) => number % step === 0);
}
