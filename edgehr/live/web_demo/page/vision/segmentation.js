// Which pixels are of people: edgehr/tasks/segmentation, for models that look at a picture as a whole.

import { normalize, resize } from "./crop.js";
import { channelsFirst } from "./top_down.js";

/** @typedef {import("./types.js").Card} Card */
/** @typedef {import("./types.js").Engine} Engine */
/** @typedef {import("./types.js").Image} Image */
/** @typedef {import("./types.js").Measure} Measure */
/** @typedef {import("./types.js").Tensor} Tensor */

/**
 * @typedef {object} Mask
 * @property {Uint8ClampedArray} data  red, green, blue and alpha of each pixel: how much of it is a person's
 * @property {number} width
 * @property {number} height
 */

const PERSON = "person";

/** Tells how likely each pixel of an image is a person's. */
export class Segmenter {
  /**
   * @param {Engine} engine
   * @param {Card} card
   * @param {Measure} measure
   */
  constructor(engine, card, measure) {
    this.engine = engine;
    this.card = card;
    this.measure = measure;
  }

  /**
   * @param {Image} image
   * @returns {Promise<Mask>} of the image, smaller than that
   */
  find(image) {
    return this.measure("segment", async () => {
      const { input, width, height } = lay(image, this.card);
      const outputs = await this.engine.run(input);
      const likely = likelihood(outputs[this.card.outputs[0].name], this.card, width, height);
      const data = new Uint8ClampedArray(4 * width * height);
      for (let at = 0; at < likely.length; at += 1) data[4 * at + 3] = 255 * sharpened(likely[at]);
      return { data, width, height };
    });
  }
}

/**
 * Lay a picture into the input: stretched to it, or in its upper left with the picture's proportions.
 * @param {Image} image
 * @param {Card} card
 */
export function lay(image, card) {
  const { width: full, height: tall } = card.input;
  const factor = Math.min(tall / image.height, full / image.width);
  const [width, height] =
    card.spec.fit === "stretch"
      ? [full, tall]
      : [image.width, image.height].map((side) => Math.max(Math.trunc(side * factor + 0.5), 1));
  const pixels = resize(image, width, height);
  return { input: normalize(pixels, width, height, card, new Float32Array(3 * full * tall)), width, height };
}

/**
 * Compute how likely each pixel of the picture in the input is a person's, 0 to 1.
 * @param {Tensor} output  of one picture
 * @param {Card} card
 * @param {number} width  of the picture there
 * @param {number} height
 */
export function likelihood(output, card, width, height) {
  const { classes, align_corners: alignCorners } = card.spec;
  const last = card.layout === "nhwc";
  const [rows, columns] = last ? output.shape.slice(1, 3) : output.shape.slice(2, 4);
  const planes = last ? channelsFirst(output.data, classes.length) : output.data;
  const isLogits = card.outputs[0].name === "logits";
  const map = (isLogits ? margins : chances)(planes, rows * columns, classes.indexOf(PERSON));
  const { width: full, height: tall } = card.input;
  const likely = new Float32Array(width * height);
  const across = taps(full, columns, alignCorners);
  const down = taps(tall, rows, alignCorners);
  for (let y = 0, to = 0; y < height; y += 1) {
    const [above, below, lower] = [down.near[y] * columns, down.far[y] * columns, down.share[y]];
    for (let x = 0; x < width; x += 1, to += 1) {
      const [near, far, right] = [across.near[x], across.far[x], across.share[x]];
      const upper = map[above + near] * (1 - right) + map[above + far] * right;
      const under = map[below + near] * (1 - right) + map[below + far] * right;
      const value = upper * (1 - lower) + under * lower;
      likely[to] = isLogits ? 1 / (1 + Math.exp(-value)) : Math.min(Math.max(value, 0), 1);
    }
  }
  return likely;
}

/**
 * Give by how much the logit of a class is above those of all others together.
 * @param {Float32Array} planes
 * @param {number} size
 * @param {number} wanted
 */
function margins(planes, size, wanted) {
  return Float32Array.from({ length: size }, (_, at) => {
    let others = 0;
    for (let plane = 0; plane < planes.length / size; plane += 1) {
      if (plane !== wanted) others += Math.exp(planes[plane * size + at] - planes[wanted * size + at]);
    }
    return -Math.log(others);
  });
}

/**
 * @param {Float32Array} planes
 * @param {number} size
 * @param {number} wanted
 */
function chances(planes, size, wanted) {
  return planes.subarray(wanted * size, (wanted + 1) * size);
}

/**
 * Say between which two of a line's values each of more lies, and how near to the second.
 * @param {number} count
 * @param {number} length
 * @param {boolean} alignCorners
 */
function taps(count, length, alignCorners) {
  const places = Float64Array.from({ length: count }, (_, at) => {
    const place = alignCorners ? (at * (length - 1)) / Math.max(count - 1, 1) : ((at + 0.5) * length) / count - 0.5;
    return Math.min(Math.max(place, 0), length - 1);
  });
  const near = Int32Array.from(places, Math.floor);
  return {
    near,
    far: near.map((place) => Math.min(place + 1, length - 1)),
    share: places.map((place, at) => place - near[at]),
  };
}

/**
 * Leave neither a ghost of the background nor holes in people.
 * @param {number} likely
 */
function sharpened(likely) {
  const share = Math.min(Math.max((likely - 0.2) / 0.6, 0), 1);
  return share * share * (3 - 2 * share);
}
