// What goes into networks, and what heatmaps become.

import { test } from "node:test";

import { letterbox } from "../../../../edgehr/live/web_demo/page/vision/detection.js";
import { decode } from "../../../../edgehr/live/web_demo/page/vision/heatmaps.js";
import { lay, likelihood } from "../../../../edgehr/live/web_demo/page/vision/segmentation.js";
import { postprocess, preprocess } from "../../../../edgehr/live/web_demo/page/vision/top_down.js";
import { assertClose, assertSameInput, cases, toImage, toTensor } from "./compare.mjs";

test("heatmaps become the same keypoints", () => {
  for (const { maps, width, height, decoding, points, scores } of cases("decodes")) {
    const found = decode(Float32Array.from(maps), width, height, decoding);
    const where = `${decoding.method} ${decoding.blur_kernel}`;
    assertClose(found.scores, scores, 0, where);
    assertClose(found.points, points, 2e-3, where);
  }
});

test("boxes become the same inputs and keypoints", () => {
  for (const { card, image, box, input, heatmaps, points, scores } of cases("crops")) {
    const made = preprocess(toImage(image), box, card, new Float32Array(input.length));
    const where = `${card.spec.decoding.warp} ${card.layout} ${box}`;
    assertSameInput(made.input, input, card, where);
    const found = postprocess(toTensor(heatmaps), made.window, card);
    assertClose(found.scores, scores, 0, where);
    assertClose(found.points, points, 2e-2, where);
  }
});

test("maps become the same masks of people", () => {
  for (const { card, image, input, logits, likely } of cases("masks")) {
    const made = lay(toImage(image), card);
    const where = `${card.spec.fit} ${card.layout}`;
    assertSameInput(made.input, input, card, where);
    assertClose(likelihood(toTensor(logits), card, made.width, made.height), likely, 1e-5, where);
  }
});

test("pictures become the same inputs of detectors", () => {
  for (const { card, image, input, scale } of cases("letterboxes")) {
    const made = letterbox(toImage(image), card);
    assertClose(made.scale, scale, 1e-9, card.name);
    assertSameInput(made.input, input, card, card.name);
  }
});
