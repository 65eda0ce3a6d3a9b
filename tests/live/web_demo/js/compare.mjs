// Reading what Python wrote, and comparing numbers with it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

/** The page's modules, as the package has them. */
export const PAGE = new URL("../../../../edgehr/live/web_demo/page/", import.meta.url);

/**
 * Read the cases of one kind.
 * @param {string} name
 * @returns {any[]}
 */
export function cases(name) {
  return JSON.parse(readFileSync(`${process.env.EDGEHR_FIXTURES}/${name}.json`, "utf-8"));
}

/**
 * Let two lists of numbers be apart by no more than a tolerance.
 * @param {ArrayLike<number>} found
 * @param {ArrayLike<number>} expected
 * @param {number} tolerance
 * @param {string} [where]
 */
export function assertClose(found, expected, tolerance, where = "") {
  assert.equal(found.length, expected.length, where);
  for (let at = 0; at < found.length; at += 1) {
    const apart = Math.abs(found[at] - expected[at]);
    assert.ok(apart <= tolerance, `${where} ${at}: ${found[at]} in place of ${expected[at]}`);
  }
}

/**
 * Let two inputs of networks be the same, but for a gray level at the few pixels where two roundings meet.
 * @param {ArrayLike<number>} found
 * @param {ArrayLike<number>} expected
 * @param {any} card
 * @param {string} where
 */
export function assertSameInput(found, expected, card, where) {
  assertClose(found, expected, 1.01 / Math.min(...card.input.std), where);
  const other = Array.from(found).filter((value, at) => Math.abs(value - expected[at]) > 1e-4).length;
  assert.ok(other <= 0.02 * found.length, `${where}: ${other} of ${found.length} values are others`);
}

/** @param {any} image  as JSON has it */
export function toImage(image) {
  return { ...image, data: Uint8ClampedArray.from(image.data) };
}

/** @param {any} pose  as JSON has it */
export function toPose(pose) {
  return { ...pose, points: Float32Array.from(pose.points), scores: Float32Array.from(pose.scores) };
}

/** @param {any} tensor  as JSON has it */
export function toTensor(tensor) {
  return { ...tensor, data: Float32Array.from(tensor.data) };
}
