// Who is in a picture, and who is who from frame to frame.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Detector } from "../../../../edgehr/live/web_demo/page/vision/detection.js";
import { extent, faceBox } from "../../../../edgehr/live/web_demo/page/vision/faces.js";
import { keypointBox, realPeople } from "../../../../edgehr/live/web_demo/page/vision/people.js";
import { personWindows } from "../../../../edgehr/live/web_demo/page/vision/single_person.js";
import { Tracker } from "../../../../edgehr/live/web_demo/page/vision/tracker.js";
import { assertClose, cases, toPose, toTensor } from "./compare.mjs";

test("detectors' outputs become the same boxes", () => {
  for (const { card, wanted, image, scale, outputs, boxes, scores } of cases("detections")) {
    const detector = new Detector(/** @type {any} */ (null), card, /** @type {any} */ (null), wanted);
    const tensors = Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, toTensor(tensor)]));
    const found = detector.read(tensors, image, scale);
    assertClose(found.scores, scores, 1e-5, card.name);
    assertClose(found.boxes.flat(), boxes.flat(), 1e-3, card.name);
  }
});

test("keypoints give the same boxes, and the same people are left", () => {
  for (const { poses, boxes, sigmas, real } of cases("boxes")) {
    const found = poses.map((/** @type {any} */ pose) => keypointBox(toPose(pose), 300, 200));
    for (const [number, box] of boxes.entries()) {
      if (box) assertClose(found[number], box, 1e-3);
      else assert.equal(found[number], null);
    }
    const left = realPeople(poses.map(toPose), sigmas);
    assert.deepEqual(left.map(({ box }) => box), real.map((/** @type {any} */ pose) => pose.box));
  }
});

test("people keep the same ids and are smoothed alike", () => {
  for (const { sigmas, steps } of cases("tracks")) {
    const tracker = new Tracker(sigmas);
    for (const { time, poses, found } of steps) {
      const tracked = tracker.step(poses.map(toPose), time);
      assert.deepEqual(tracked.map(({ id }) => id), found.map((/** @type {any} */ pose) => pose.id));
      for (const [number, pose] of found.entries()) assertClose(tracked[number].points, pose.points, 1e-2);
    }
  }
});

test("faces are boxed alike", () => {
  for (const { box, face, points, extent: around } of cases("faces")) {
    assertClose(faceBox(box), face, 1e-3);
    assertClose(extent(Float32Array.from(points)), around, 1e-3);
  }
});

test("a search looks into the same windows", () => {
  for (const { width, height, windows } of cases("windows")) {
    assertClose(personWindows(width, height).flat(), windows.flat(), 1e-3);
  }
});
