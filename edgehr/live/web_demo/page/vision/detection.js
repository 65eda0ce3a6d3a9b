// Detectors: a whole image in, boxes out. edgehr/tasks/detection, which says where each decoder comes from.

import { suppress } from "./boxes.js";
import { normalize, resize } from "./crop.js";

/** @typedef {import("./types.js").Box} Box */
/** @typedef {import("./types.js").Card} Card */
/** @typedef {import("./types.js").Detections} Detections */
/** @typedef {import("./types.js").Engine} Engine */
/** @typedef {import("./types.js").Image} Image */
/** @typedef {import("./types.js").Measure} Measure */
/** @typedef {import("./types.js").Tensor} Tensor */
/** @typedef {{x: number, y: number, stride: number}} Place */

/**
 * How an architecture's outputs are read.
 * @typedef {object} Decoder
 * @property {number} threshold  the smallest score of an object
 * @property {number} nms  the largest overlap of two
 * @property {(outputs: Record<string, Tensor>, card: Card, wanted: number) => Reader} read
 *
 * @typedef {object} Reader
 * @property {(at: number) => number} score  of the wanted class
 * @property {(at: number, place: Place) => Box} box  in input pixels
 */

/** @type {Record<string, Decoder>} */
const DECODERS = {
  rtmdet: {
    threshold: 0.35,
    nms: 0.5,
    read(outputs, card, wanted) {
      const { data, width } = rows(outputs, card);
      return {
        score: (at) => 1 / (1 + Math.exp(-data[at * width + 4 + wanted])),
        box(at, { x, y, stride }) {
          const [left, up, right, down] = data.subarray(at * width, at * width + 4);
          return [(x - left) * stride, (y - up) * stride, (x + right) * stride, (y + down) * stride];
        },
      };
    },
  },
  yolox: {
    threshold: 0.4,
    nms: 0.5,
    read(outputs, card, wanted) {
      const { data, width } = rows(outputs, card);
      return {
        score: (at) => data[at * width + 4] * data[at * width + 5 + wanted],
        box: (at, place) => aroundPlace(data.subarray(at * width, at * width + 4), place),
      };
    },
  },
  yunet: {
    threshold: 0.75,
    nms: 0.3,
    read(outputs, card) {
      const [face, object, boxes] = ["cls", "obj", "bbox"].map((kind) =>
        joined(card.spec.strides.map((/** @type {number} */ stride) => outputs[`${kind}_${stride}`].data)),
      );
      /** @type {(value: number) => number} */
      const within = (value) => Math.min(Math.max(value, 0), 1);
      return {
        score: (at) => Math.sqrt(within(face[at]) * within(object[at])),
        box: (at, place) => aroundPlace(boxes.subarray(4 * at, 4 * at + 4), place),
      };
    },
  },
};

export const DETECTORS = Object.keys(DECODERS);

/** Finds the objects of one class in images. */
export class Detector {
  /**
   * @param {Engine} engine
   * @param {Card} card
   * @param {Measure} measure
   * @param {string} name  of the class
   */
  constructor(engine, card, measure, name) {
    this.engine = engine;
    this.card = card;
    this.measure = measure;
    this.wanted = card.spec.classes.indexOf(name);
    this.places = placesOf(card);
  }

  /**
   * @param {Image} image
   * @returns {Promise<Detections>}
   */
  find(image) {
    return this.measure("detect", async () => {
      const { input, scale } = letterbox(image, this.card);
      const outputs = await this.engine.run(input);
      return this.read(outputs, image, scale);
    });
  }

  /**
   * Turn outputs into boxes in image pixels, the surest first.
   * @param {Record<string, Tensor>} outputs
   * @param {{width: number, height: number}} image
   * @param {number[]} scale  input pixels per image pixel
   * @returns {Detections}
   */
  read(outputs, { width, height }, scale) {
    const { threshold, nms, read } = DECODERS[this.card.architecture];
    const { score, box } = read(outputs, this.card, this.wanted);
    /** @type {Box[]} */
    const boxes = [];
    /** @type {number[]} */
    const scores = [];
    for (let at = 0; at < this.places.length; at += 1) {
      const value = score(at);
      if (!(value >= threshold)) continue;
      const [x1, y1, x2, y2] = box(at, this.places[at]);
      /** @type {Box} */
      const found = [
        clip(x1 / scale[0], width),
        clip(y1 / scale[1], height),
        clip(x2 / scale[0], width),
        clip(y2 / scale[1], height),
      ];
      if (!(found[2] > found[0] && found[3] > found[1])) continue;
      boxes.push(found);
      scores.push(value);
    }
    const kept = suppress(boxes, scores, nms);
    return { boxes: kept.map((index) => boxes[index]), scores: kept.map((index) => scores[index]) };
  }
}

/**
 * Scale a picture into the upper left of the input, with its proportions.
 * @param {Image} image
 * @param {Card} card
 */
export function letterbox(image, card) {
  const { width, height, mean, std, color } = card.input;
  const { letterbox: gray, pad_normalized: padNormalized, round_size: rounded, scale: within } = card.spec;
  let factor = Math.min(height / image.height, width / image.width);
  if (within[0] || within[1]) {
    const [long, short] = [Math.max(image.width, image.height), Math.min(image.width, image.height)];
    factor = Math.min(factor, within[0] / long, within[1] / short);
  }
  const size = [image.width, image.height].map((side) => Math.max(Math.trunc(side * factor + (rounded ? 0.5 : 0)), 1));
  const pixels = resize(image, size[0], size[1]);
  const input = new Float32Array(3 * width * height);
  if (!padNormalized) {
    const filling = Uint8ClampedArray.from({ length: 3 }, () => gray);
    for (let channel = 0; channel < 3; channel += 1) {
      const value = (filling[color === "rgb" ? channel : 2 - channel] - mean[channel]) / std[channel];
      const [start, step] = card.layout === "nhwc" ? [channel, 3] : [channel * width * height, 1];
      for (let at = 0, to = start; at < width * height; at += 1, to += step) input[to] = value;
    }
  }
  const scale = rounded ? [size[0] / image.width, size[1] / image.height] : [factor, factor];
  return { input: normalize(pixels, size[0], size[1], card, input), scale };
}

/**
 * List the places of the input at which the network looks: those of its grids, the finest first, row by row.
 * @param {Card} card
 */
function placesOf({ input, spec }) {
  /** @type {Place[]} */
  const places = [];
  for (const stride of spec.strides) {
    const columns = Math.floor(input.width / stride);
    const count = columns * Math.floor(input.height / stride);
    for (let at = 0; at < count; at += 1) places.push({ x: at % columns, y: Math.floor(at / columns), stride });
  }
  return places;
}

/**
 * Decode a box from its center, from the place on, and logarithms of width and height, in strides.
 * @param {ArrayLike<number>} values
 * @param {Place} place
 * @returns {Box}
 */
function aroundPlace(values, { x, y, stride }) {
  const center = [(values[0] + x) * stride, (values[1] + y) * stride];
  const half = [(Math.exp(values[2]) * stride) / 2, (Math.exp(values[3]) * stride) / 2];
  return [center[0] - half[0], center[1] - half[1], center[0] + half[0], center[1] + half[1]];
}

/**
 * @param {Record<string, Tensor>} outputs
 * @param {Card} card
 */
function rows(outputs, card) {
  const { data, shape } = outputs[card.outputs[0].name];
  return { data, width: shape[shape.length - 1] };
}

/** @param {Float32Array[]} parts */
function joined(parts) {
  const whole = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * @param {number} value
 * @param {number} limit
 */
function clip(value, limit) {
  return Math.min(Math.max(value, 0), limit);
}
