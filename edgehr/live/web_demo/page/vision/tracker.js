// Identities and smooth keypoints of people from frame to frame: edgehr/live/tracking, which says where both come from.

import { area, overlap } from "./boxes.js";
import { oksSigmas, similarity } from "./people.js";

/** @typedef {import("./types.js").Box} Box */
/** @typedef {import("./types.js").Pose} Pose */

const MIN_SIMILARITY = 0.3;
const MAX_AGE_S = 1;
const CONFIRMED_AFTER = 3; // frames in a row
const MIN_CUTOFF = 1.5; // hertz
const DERIVATIVE_CUTOFF = 1;
const BETA = 12; // hertz for a speed of one person's size a second

/** The one-euro filter (Casiez, Roussel, Vogel, CHI 2012) on all keypoints of a person at once. */
export class OneEuroFilter {
  constructor() {
    /** @type {Float32Array | null} */
    this.points = null;
    this.speed = new Float32Array(0);
    this.time = 0;
  }

  /**
   * @param {Float32Array} points
   * @param {number} time  seconds
   * @param {number} size  of the person, pixels
   */
  filter(points, time, size) {
    const step = time - this.time;
    if (!this.points || step <= 0) {
      this.points = points;
      this.speed = new Float32Array(points.length);
      this.time = Math.max(time, this.time);
      return points;
    }
    const result = new Float32Array(points.length);
    const keep = share(DERIVATIVE_CUTOFF, step);
    for (let at = 0; at < points.length; at += 2) {
      for (const axis of [at, at + 1]) {
        const speed = (points[axis] - this.points[axis]) / (step * Math.max(size, 1));
        this.speed[axis] += keep * (speed - this.speed[axis]);
      }
      const part = share(MIN_CUTOFF + BETA * Math.hypot(this.speed[at], this.speed[at + 1]), step);
      for (const axis of [at, at + 1]) {
        result[axis] = this.points[axis] + part * (points[axis] - this.points[axis]);
      }
    }
    this.points = result;
    this.time = time;
    return result;
  }
}

/**
 * Compute how much of a new value a first-order low-pass filter takes over after some seconds.
 * @param {number} cutoff
 * @param {number} step
 */
function share(cutoff, step) {
  const rate = 2 * Math.PI * cutoff * step;
  return rate / (rate + 1);
}

/**
 * @typedef {object} Track  a person who is followed
 * @property {number} id
 * @property {Box} box
 * @property {Float32Array} points  unsmoothed
 * @property {number} last  when they were seen, seconds
 * @property {number} frames  in how many; in a row, as long as the track is not confirmed
 * @property {OneEuroFilter} smooth
 */

/** Gives people ids and smooths their keypoints. */
export class Tracker {
  /** @param {number[]} sigmas  constants of OKS, or none */
  constructor(sigmas) {
    this.sigmas = sigmas;
    this.nextId = 1;
    this.last = -Infinity;
    /** @type {Track[]} */
    this.tracks = [];
  }

  reset() {
    this.tracks = [];
  }

  /**
   * @param {Pose[]} poses  with boxes around their keypoints
   * @param {number} time  seconds
   * @returns {Pose[]} the same people with ids, smoothed
   */
  step(poses, time) {
    const oldest = Math.min(time - MAX_AGE_S, this.last);
    this.tracks = this.tracks.filter((track) => track.last >= oldest);
    this.last = time;
    const matches = this.match(poses);
    const found = poses.map((pose, person) => {
      const track = matches[person] ?? this.begin(pose, time);
      track.box = pose.box;
      track.points = pose.points;
      track.last = time;
      track.frames += 1;
      const points = track.smooth.filter(pose.points, time, Math.sqrt(area(pose.box)));
      return { ...pose, id: track.id, points };
    });
    for (const track of this.tracks) if (track.last < time && !isConfirmed(track)) track.frames = 0;
    return found;
  }

  /**
   * @param {Pose} pose
   * @param {number} time
   * @returns {Track}
   */
  begin(pose, time) {
    const smooth = new OneEuroFilter();
    const track = { id: this.nextId, box: pose.box, points: pose.points, last: time, frames: 0, smooth };
    this.nextId += 1;
    this.tracks.push(track);
    return track;
  }

  /**
   * Find the track of each person, the most similar pairs first: with confirmed tracks, then with new ones.
   * @param {Pose[]} poses
   * @returns {(Track | undefined)[]}
   */
  match(poses) {
    /** @type {(Track | undefined)[]} */
    const matches = poses.map(() => undefined);
    const pairs = poses.flatMap((pose, person) =>
      this.tracks.map((track) => ({ person, track, alike: this.alike(pose, track) })),
    );
    pairs.sort((one, other) => other.alike - one.alike);
    const taken = new Set();
    for (const confirmed of [true, false]) {
      for (const { person, track, alike } of pairs) {
        if (alike < MIN_SIMILARITY || matches[person] || taken.has(track) || isConfirmed(track) !== confirmed) continue;
        matches[person] = track;
        taken.add(track);
      }
    }
    return matches;
  }

  /**
   * Average the overlap and the keypoint similarity of a person and a track.
   * @param {Pose} pose
   * @param {Track} track
   */
  alike(pose, track) {
    const sigmas = oksSigmas(this.sigmas, pose.scores.length);
    return (overlap(pose.box, track.box) + similarity(pose.points, track.points, area(pose.box), sigmas)) / 2;
  }
}

/** @param {Track} track */
function isConfirmed(track) {
  return track.frames >= CONFIRMED_AFTER;
}
