// Puts the page together: a source of frames, the worker that looks at them, and what is shown.
//
// Every result is also told to the document, as an event `edgehr:result` whose detail has `number`, `time` (seconds),
// `poses`, `mask`, `times` (ms) and `frame`, a canvas with the frame alone: for pages of your own.

import { BackgroundBlur } from "./ui/blur.js";
import { SkeletonBrush, drawFrame } from "./ui/drawing.js";
import { Figures, showStages } from "./ui/figures.js";
import { countCameras, openCamera, openFile } from "./ui/sources.js";
import { startWorker } from "./ui/worker_link.js";

/** @typedef {import("./ui/sources.js").Source} Source */
/** @typedef {import("./vision/types.js").ModelFile} ModelFile */

const FIGURES_MS = 500;

const options = new URLSearchParams(location.search);
/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const canvas = /** @type {HTMLCanvasElement} */ (byId("picture"));
const brush = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
const frame = document.createElement("canvas");
const blurred = document.createElement("canvas");
const blur = new BackgroundBlur();
const figures = new Figures();
const loaded = performance.now();

/** @type {Source | null} */
let source = null;
/** @type {import("./ui/sources.js").Facing} */
let facing = options.get("camera") === "environment" ? "environment" : "user";
let [isCamera, paused, opening] = [false, false, false];
let turn = 0; // number of the run of frames that goes on; all others end
/** @type {Promise<import("./ui/worker_link.js").Link> | null} */
let link = null;
/** @type {SkeletonBrush | null} */
let skeletons = null;
/** @type {Record<string, string>} */
const details = {};

/**
 * @param {string} state
 * @param {string} text
 * @param {string} [notice]  over the picture
 */
function say(state, text, notice = "") {
  document.body.dataset.state = state;
  write("state", text);
  write("notice", notice);
}

/**
 * @param {string} id
 * @param {string} text
 */
function write(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

/** @param {unknown} error */
function fail(error) {
  say("lost", "Stopped", error instanceof Error ? error.message : String(error));
}

/** @param {Record<string, string>} more */
function tell(more) {
  Object.assign(details, more);
  const parts = Object.entries(details).flatMap(([name, text]) => {
    const [term, item] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    item.textContent = text;
    return [term, item];
  });
  byId("details").replaceChildren(...parts);
}

async function openModels() {
  const answer = await fetch("demo.json").catch(() => null);
  if (!answer?.ok) throw new Error("demo.json cannot be loaded: is the folder complete, and served by a web server?");
  /** @type {{edgehr: string, models: Record<string, ModelFile>}} */
  const { edgehr, models } = await answer.json();
  const main = models.pose ?? models.landmarks ?? models.segmenter;
  const { task, weights, spec } = main.card;
  if (main !== models.segmenter) skeletons = new SkeletonBrush(spec.keypoints, task === "landmarks");
  write("task", `${task} demo`);
  write("found", { pose: "People", landmarks: "Faces" }[task] ?? "Picture");
  const sample = weights.origin === "sample" ? ", sample weights to try the toolkit with" : "";
  tell({ Model: `${main.card.name}, ${main.precision}${sample}` });
  if (models.detector) tell({ Detector: `${models.detector.card.name}, ${models.detector.precision}` });
  if (models.segmenter && models.segmenter !== main) {
    tell({ Background: `${models.segmenter.card.name}, ${models.segmenter.precision}` });
  }
  tell({ edgehr });
  const opened = await startWorker(models, options, (done, total) => {
    if (!source) say("connecting", "Loading", `Loading the model: ${Math.round((100 * done) / total)} %`);
  });
  tell({ "Runs on": [...new Set(Object.values(opened.runs))].join("; ") });
  write("hint", hintAboutThreads());
  if (!source) say("paused", "Ready", "Start the camera, or choose a picture or a video.");
  return opened;
}

function hintAboutThreads() {
  if (window.crossOriginIsolated) return "";
  return (
    "One thread: this host does not send the headers that threads need " +
    "(Cross-Origin-Opener-Policy and Cross-Origin-Embedder-Policy)."
  );
}

/**
 * Take frames from another source, until the next one comes.
 * @param {() => Promise<Source>} open
 */
async function change(open) {
  if (opening) return;
  opening = true;
  close();
  try {
    const worker = await (link ??= openModels());
    say("connecting", "Opening", "Opening");
    source = await open();
    tell({ Source: source.name });
    figures.clear();
    setPaused(false);
    worker.reset();
    void run(source, worker, (turn += 1)).catch(fail);
  } catch (error) {
    fail(error);
  } finally {
    opening = false;
    showButtons();
  }
}

function close() {
  turn += 1;
  source?.close();
  source = null;
}

/**
 * Look at one frame after the other: the newest, as soon as the worker is free.
 * @param {Source} from
 * @param {import("./ui/worker_link.js").Link} worker
 * @param {number} mine  number of this run, of which only the last goes on
 */
async function run(from, worker, mine) {
  let fresh = from.next();
  for (let number = 1; mine === turn; number += 1) {
    await fresh;
    while (paused && mine === turn) await new Promise((resolve) => setTimeout(resolve, 50));
    if (mine !== turn) return;
    const start = performance.now();
    const time = from.draw(frame);
    const image = frame.getContext("2d")?.getImageData(0, 0, frame.width, frame.height);
    if (!image) throw new Error("This browser gives no pixels: is a protection against fingerprinting on?");
    const capture = performance.now() - start;
    fresh = from.next(); // which comes while the worker looks at this one
    const { poses, mask, times } = await worker.look({ image, time, independent: from.still });
    if (mine !== turn) return;
    const drawn = performance.now();
    draw(poses, mask, from.mirrored);
    const all = { capture, ...times, draw: performance.now() - drawn };
    figures.add(all);
    show(skeletons ? String(poses.length) : `${frame.width} × ${frame.height}`, from.still);
    const detail = { number, time, poses, mask, times: all, frame };
    document.dispatchEvent(new CustomEvent("edgehr:result", { detail }));
    if (from.still) return;
  }
}

/**
 * @param {import("./vision/types.js").Pose[]} poses
 * @param {import("./vision/segmentation.js").Mask | null} mask
 * @param {boolean} mirrored
 */
function draw(poses, mask, mirrored) {
  if (mask) {
    drawFrame(/** @type {CanvasRenderingContext2D} */ (blurred.getContext("2d")), frame, false);
    blur.apply(blurred, mask);
  }
  drawFrame(brush, mask ? blurred : frame, mirrored);
  skeletons?.draw(brush, poses, mirrored);
}

let shown = 0;

/**
 * @param {string} found
 * @param {boolean} still
 */
function show(found, still) {
  if (!paused) say("live", still ? "Done" : "Live"); // a frame that was under way comes after the click
  write("count", found);
  if (found !== "0" && byId("first").textContent === "–") {
    write("first", `${((performance.now() - loaded) / 1000).toFixed(1)} s`);
  }
  if (!still && performance.now() - shown < FIGURES_MS) return;
  shown = performance.now();
  write("fps", still || !Number.isFinite(figures.fps) ? "–" : figures.fps.toFixed(1));
  write("work", `${figures.work.toFixed(0)} ms`);
  showStages(byId("stages"), figures.stages);
}

/** @param {boolean} wanted */
function setPaused(wanted) {
  paused = wanted;
  byId("pause").textContent = paused ? "Resume" : "Pause";
  figures.clear();
  if (paused) say("paused", "Paused");
}

function showButtons() {
  const camera = source !== null && isCamera;
  byId("camera").hidden = camera;
  byId("pause").hidden = source === null || source.still;
  if (camera) void countCameras().then((count) => (byId("flip").hidden = count < 2));
  else byId("flip").hidden = true;
}

function startCamera() {
  isCamera = true;
  return change(() =>
    openCamera(facing, () => {
      close();
      fail("The camera went away. Press Start camera when it is there again.");
      showButtons();
    }),
  );
}

byId("camera").addEventListener("click", startCamera);
byId("flip").addEventListener("click", () => {
  facing = facing === "user" ? "environment" : "user";
  return startCamera();
});
byId("pause").addEventListener("click", () => setPaused(!paused));
byId("file").addEventListener("change", ({ target }) => {
  const input = /** @type {HTMLInputElement} */ (target);
  const file = input.files?.[0];
  input.value = ""; // or choosing the same file again would be no change
  if (!file) return;
  isCamera = false;
  void change(() => openFile(file));
});

// Nobody looks at a hidden tab: its camera goes off, and comes back with the tab.
let waits = false;
document.addEventListener("visibilitychange", () => {
  if (document.hidden && isCamera && source) {
    waits = true;
    close();
    say("paused", "Camera off", "The camera is off while this tab is hidden.");
  } else if (!document.hidden && waits) {
    waits = false;
    void startCamera();
  } else figures.clear();
});

if (document.fullscreenEnabled) {
  byId("fullscreen").hidden = false;
  byId("fullscreen").addEventListener("click", () => byId("frame").requestFullscreen());
}

link = openModels();
link.catch(fail);
