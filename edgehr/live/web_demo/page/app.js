// Puts the page together: a source of frames, the worker that looks at them, and what is shown.
//
// Every result is also told to the document, as an event `edgehr:result` whose detail has `number`, `time` (seconds),
// `poses`, `times` (ms) and `frame`, a canvas with the frame alone: for pages of your own.

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
/** @type {SkeletonBrush} */
let skeletons;
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
  const { pose, detector } = models;
  skeletons = new SkeletonBrush(pose.card.spec.keypoints);
  write("task", `${pose.card.task} in the browser`);
  const weights = pose.card.weights.origin === "sample" ? ", sample weights to try the toolkit with" : "";
  tell({ Model: `${pose.card.name}, ${pose.precision}${weights}` });
  if (detector) tell({ Detector: `${detector.card.name}, ${detector.precision}` });
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
  for (let number = 1; mine === turn; number += 1) {
    await from.next();
    while (paused && mine === turn) await new Promise((resolve) => setTimeout(resolve, 50));
    if (mine !== turn) return;
    const start = performance.now();
    const time = from.draw(frame);
    const image = frame.getContext("2d")?.getImageData(0, 0, frame.width, frame.height);
    if (!image) throw new Error("This browser gives no pixels: is a protection against fingerprinting on?");
    const capture = performance.now() - start;
    const { poses, times } = await worker.look({ image, time, independent: from.still, number });
    if (mine !== turn) return;
    const drawn = performance.now();
    drawFrame(brush, frame, from.mirrored);
    skeletons.draw(brush, poses, from.mirrored);
    const all = { capture, ...times, draw: performance.now() - drawn };
    figures.add(all);
    show(poses.length, from.still);
    document.dispatchEvent(new CustomEvent("edgehr:result", { detail: { number, time, poses, times: all, frame } }));
    if (from.still) return;
  }
}

let shown = 0;

/**
 * @param {number} people
 * @param {boolean} still
 */
function show(people, still) {
  if (!paused) say("live", still ? "Done" : "Live"); // a frame that was under way comes after the click
  write("count", String(people));
  if (people && byId("first").textContent === "–") {
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
