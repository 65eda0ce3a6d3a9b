// Top-down networks: a box in, keypoints out. edgehr/tasks/pose/top_down.py.

import { placement, toImage, windowOf } from "./boxes.js";
import { cutOut, normalize } from "./crop.js";
import { decode } from "./heatmaps.js";
import { cutWholePixels } from "./whole_pixels.js";

/** @typedef {import("./types.js").Box} Box */
/** @typedef {import("./types.js").Card} Card */
/** @typedef {import("./types.js").Engine} Engine */
/** @typedef {import("./types.js").Image} Image */
/** @typedef {import("./types.js").KeypointSet} KeypointSet */
/** @typedef {import("./types.js").Measure} Measure */
/** @typedef {import("./types.js").Pose} Pose */
/** @typedef {import("./types.js").Tensor} Tensor */

/** A network with its card: estimates the keypoints in one box after the other. */
export class TopDown {
  /**
   * @param {Engine} engine
   * @param {Card} card
   * @param {Measure} measure
   */
  constructor(engine, card, measure) {
    this.engine = engine;
    this.card = card;
    this.measure = measure;
    this.output = card.outputs[0].name;
    this.stage = card.task; // as Python calls it too
    this.input = new Float32Array(3 * card.input.width * card.input.height);
    /** @type {KeypointSet} */
    this.keypoints = card.spec.keypoints;
  }

  /**
   * @param {Image} image
   * @param {Box} box
   * @returns {Promise<Pose>}
   */
  async estimate(image, box) {
    const { input, window } = await this.measure("crop", () => preprocess(image, box, this.card, this.input));
    const outputs = await this.measure(this.stage, () => this.engine.run(input));
    return this.measure("decode", () => ({ box, id: -1, ...postprocess(outputs[this.output], window, this.card) }));
  }
}

/**
 * Cut a box out of an image and normalize it.
 * @param {Image} image
 * @param {Box} box
 * @param {Card} card
 * @param {Float32Array} input  what to fill
 */
export function preprocess(image, box, card, input) {
  const { width, height } = card.input;
  const window = windowOf(box, width / height, card.spec.padding);
  const { warp } = card.spec.decoding;
  const pixels =
    warp === "hrnet_face"
      ? cutWholePixels(image, window.center, Math.max(...window.size), width)
      : cutOut(image, placement(window, width, height, warp), width, height);
  return { input: normalize(pixels, width, height, card, input), window };
}

/**
 * Decode heatmaps into keypoints in image pixels.
 * @param {Tensor} heatmaps  of one item
 * @param {{center: number[], size: number[]}} window
 * @param {Card} card
 */
export function postprocess(heatmaps, window, card) {
  const { decoding, keypoints } = card.spec;
  const last = card.layout === "nhwc";
  const [height, width] = last ? heatmaps.shape.slice(1, 3) : heatmaps.shape.slice(2, 4);
  const count = last ? heatmaps.shape[3] : heatmaps.shape[1];
  if (heatmaps.shape.length !== 4 || count !== keypoints.names.length) {
    throw new Error(`${card.name} returned heatmaps of ${heatmaps.shape.join("x")}, which do not fit its card`);
  }
  const maps = last ? channelsFirst(heatmaps.data, count) : heatmaps.data;
  const { points, scores } = decode(maps, width, height, decoding);
  return { points: toImage(points, window, width, height, decoding.warp), scores };
}

/**
 * Move the channels of one item from last to first.
 * @param {Float32Array} data
 * @param {number} count  of channels
 */
export function channelsFirst(data, count) {
  const size = data.length / count;
  const moved = new Float32Array(data.length);
  for (let channel = 0; channel < count; channel += 1) {
    for (let at = 0; at < size; at += 1) moved[channel * size + at] = data[at * count + channel];
  }
  return moved;
}

/** @param {ArrayLike<number>} values */
export function mean(values) {
  let sum = 0;
  for (let at = 0; at < values.length; at += 1) sum += values[at];
  return sum / values.length;
}
