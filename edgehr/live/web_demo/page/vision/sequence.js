// Frames that belong together: people found once, followed from then on. edgehr/live/predictors/pose_sequence.py.

import { overlap } from "./boxes.js";
import { keypointBox, realPeople } from "./people.js";
import { SinglePerson } from "./single_person.js";
import { Tracker } from "./tracker.js";

/** @typedef {import("./types.js").Box} Box */
/** @typedef {import("./types.js").Image} Image */
/** @typedef {import("./types.js").Pose} Pose */
/** @typedef {import("./types.js").Measure} Measure */

const SAME_BOX = 0.5; // a detected box that overlaps a tracked one by more is the same person
const MAX_PEOPLE = 20;
export const DETECT_EVERY = 5;

/** Estimates the poses in one frame after the other. */
export class PoseSequence {
  /**
   * @param {import("./top_down.js").TopDown} network
   * @param {import("./detection.js").Detector | null} detector
   * @param {Measure} measure
   */
  constructor(network, detector, measure) {
    this.network = network;
    this.detector = detector;
    this.measure = measure;
    this.single = detector ? null : new SinglePerson(network);
    this.tracker = new Tracker(network.keypoints.sigmas);
    /** @type {Box[]} */
    this.boxes = [];
    this.frame = 0;
  }

  /** Forget everybody: the next frame has nothing to do with the last. */
  reset() {
    this.boxes = [];
    this.frame = 0;
    this.tracker.reset();
    this.single?.reset();
  }

  /**
   * @param {Image} image
   * @param {number} time  when it was taken, seconds
   * @param {boolean} independent  a single picture: nobody is followed
   * @returns {Promise<Pose[]>}
   */
  async step(image, time, independent) {
    if (independent) this.reset();
    const poses = this.single ? await this.single.step(image, independent) : await this.everybody(image);
    return this.measure("track", () => {
      const boxes = poses.map((pose) => keypointBox(pose, image.width, image.height));
      this.boxes = /** @type {Box[]} */ (boxes.filter(Boolean));
      const followed = poses.map((pose, person) => ({ ...pose, box: boxes[person] ?? pose.box }));
      return independent ? followed : this.tracker.step(followed, time);
    });
  }

  /** @param {Image} image */
  async everybody(image) {
    const detects = this.frame % DETECT_EVERY === 0;
    this.frame += 1;
    const found = detects && this.detector ? (await this.detector.find(image)).boxes : [];
    const missed = this.boxes.filter((box) => found.every((other) => overlap(box, other) < SAME_BOX));
    /** @type {Pose[]} */
    const poses = [];
    for (const box of [...found, ...missed].slice(0, MAX_PEOPLE)) poses.push(await this.network.estimate(image, box));
    return realPeople(poses, this.network.keypoints.sigmas);
  }
}
