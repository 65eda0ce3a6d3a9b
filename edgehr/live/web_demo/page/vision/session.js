// The models of a folder at work on frames: opened once, then one frame after the other. For the page's worker.

import { Detector } from "./detection.js";
import { openEngine, openFastest } from "./engines.js";
import { FaceSequence } from "./faces.js";
import { Segmenter } from "./segmentation.js";
import { PoseSequence } from "./sequence.js";
import { TopDown } from "./top_down.js";

/** @typedef {import("./types.js").Engine} Engine */
/** @typedef {import("./types.js").Image} Image */
/** @typedef {import("./types.js").ModelFile} ModelFile */
/** @typedef {import("./types.js").Pose} Pose */

/**
 * @typedef {object} Options
 * @property {"auto" | "wasm" | "webgpu"} run
 * @property {number} threads
 *
 * @typedef {object} Frame
 * @property {Image} image
 * @property {number} time  seconds
 * @property {boolean} independent  a single picture, which has nothing to do with others
 *
 * @typedef {object} Result
 * @property {Pose[]} poses  of people, or faces
 * @property {import("./segmentation.js").Mask | null} mask  of people
 * @property {Record<string, number>} times  ms that each stage took
 */

export class Session {
  /**
   * Download and open the models.
   * @param {Record<string, ModelFile>} models  by what they are for
   * @param {URL | string} base  where the folder is
   * @param {Options} options
   * @param {(loaded: number, total: number) => void} tell  of bytes
   */
  static async open(models, base, options, tell) {
    const total = Object.values(models).reduce((sum, { bytes }) => sum + bytes, 0);
    let loaded = 0;
    /** @type {Record<string, Engine>} */
    const engines = {};
    for (const [role, model] of Object.entries(models)) {
      const bytes = await download(new URL(model.file, base), model.bytes, (more) => tell((loaded += more), total));
      engines[role] = await open(model, bytes, options);
    }
    return new Session(models, engines);
  }

  /**
   * @param {Record<string, ModelFile>} models
   * @param {Record<string, Engine>} engines
   */
  constructor(models, engines) {
    /** @type {Record<string, number>} */
    this.times = {};
    this.runs = Object.fromEntries(Object.entries(engines).map(([role, engine]) => [role, engine.runs]));
    const measure = this.measure.bind(this);
    const { pose, landmarks, detector, segmenter } = models;
    const finder = (/** @type {string} */ name) =>
      detector ? new Detector(engines.detector, detector.card, measure, name) : null;
    /** @type {PoseSequence | FaceSequence | null} */
    this.people = null;
    if (pose) {
      const network = new TopDown(engines.pose, pose.card, measure);
      this.people = new PoseSequence(network, finder("person"), measure);
    } else if (landmarks) {
      const network = new TopDown(engines.landmarks, landmarks.card, measure);
      this.people = new FaceSequence(network, finder("face"), measure);
    }
    this.segmenter = segmenter ? new Segmenter(engines.segmenter, segmenter.card, measure) : null;
  }

  /**
   * @param {Frame} frame
   * @returns {Promise<Result>}
   */
  async step({ image, time, independent }) {
    this.times = {};
    const poses = this.people ? await this.people.step(image, time, independent) : [];
    const mask = this.segmenter ? await this.segmenter.find(image) : null;
    return { poses, mask, times: this.times };
  }

  /** Forget everybody: another source. */
  reset() {
    this.people?.reset();
  }

  /**
   * Add what a piece of work took to the time of its stage.
   * @template T
   * @param {string} name
   * @param {() => T | Promise<T>} work
   */
  async measure(name, work) {
    const start = performance.now();
    const done = await work();
    this.times[name] = (this.times[name] ?? 0) + performance.now() - start;
    return done;
  }
}

/**
 * @param {ModelFile} model
 * @param {Uint8Array} bytes
 * @param {Options} options
 */
async function open(model, bytes, { run, threads }) {
  try {
    return run === "auto"
      ? await openFastest(model, bytes, threads)
      : await openEngine(model, bytes, { on: run, threads });
  } catch (error) {
    const where = run === "webgpu" ? "with WebGPU: open the page without run=webgpu" : "in this browser";
    const why = error instanceof Error ? error.message : error;
    throw new Error(`${model.card.name} does not run ${where} (${why})`, { cause: error });
  }
}

/**
 * @param {URL} address
 * @param {number} length  in bytes that is expected
 * @param {(more: number) => void} tell
 */
async function download(address, length, tell) {
  const answer = await fetch(address).catch(() => null);
  if (!answer?.ok || !answer.body) {
    const why = answer ? `the server answers ${answer.status}` : "the server does not answer";
    throw new Error(`${address.pathname} cannot be loaded: ${why}`);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const reader = answer.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at + value.length <= length) bytes.set(value, at);
    at += value.length;
    tell(value.length);
  }
  if (at !== length) {
    throw new Error(`${address.pathname} has ${at} bytes in place of ${length}: copy the folder again`);
  }
  return bytes;
}
