// Puts together what the page shows. Whatever comes from the board is written as text, never as HTML.

import { Charts } from "./charts.js";
import { Connection } from "./connection.js";

const SAMPLE_MS = 250; // between points of the charts
const STILL_MS = 3000; // without a new picture for this long, the page says so

const byId = (id) => document.getElementById(id);
const canvas = byId("picture");
const brush = canvas.getContext("2d", { alpha: false });
const charts = new Charts(byId("charts"));

let paused = false;
let lost = null; // { until: time of the next try or null, reason }
let ended = false; // whether the server said that no more will come
let connected = false;
let fresh = false; // whether a picture came over this connection
let arrived = 0; // when the last picture came
let sampled = 0;
let shownDetails = "";

const connection = new Connection({
  onOpen() {
    connected = true;
    lost = null;
    ended = false;
    fresh = false;
    arrived = performance.now();
    say();
  },
  onLost(wait, reason) {
    if (connected) charts.add(null);
    connected = false;
    lost = { until: wait === null ? lost?.until : performance.now() + wait, reason: reason ?? lost?.reason };
    say();
  },
  onEnded() {
    charts.add(null);
    connected = false;
    ended = true;
    say();
  },
  async onPacket(status, jpeg) {
    if (paused) return;
    const picture = await createImageBitmap(jpeg);
    if (canvas.width !== picture.width || canvas.height !== picture.height) {
      canvas.width = picture.width;
      canvas.height = picture.height;
    }
    brush.drawImage(picture, 0, 0);
    picture.close();
    fresh = true;
    arrived = performance.now();
    show(status);
    say();
  },
});

function show(status) {
  const number = (value, digits = 0) => (Number.isFinite(value) ? value.toFixed(digits) : "–");
  const title = ["live", status.task].filter(Boolean).join(" ");
  write("task", title);
  document.title = `edgehr ${title}`;
  write("fps", number(status.fps, 1));
  write("found", status.found);
  write("count", number(status.count));
  write("dropped", number(status.dropped));
  write("age", number(status.age_ms), Number.isFinite(status.age_ms) ? "ms" : "");
  write("caption", Number.isFinite(status.frame) ? `Frame ${status.frame}` : "");
  details(status);
  const now = performance.now();
  if (now - sampled >= SAMPLE_MS) {
    sampled = now;
    charts.add(status.stages);
  }
}

function details({ model, weights, runtime, source, board }) {
  const rows = { Model: model, Weights: weights, Runtime: runtime, Source: source, Power: board?.power_mode, Clocks: plain(board?.clocks) };
  const text = JSON.stringify(rows);
  if (text === shownDetails) return;
  shownDetails = text;
  const parts = [];
  for (const [name, value] of Object.entries(rows)) {
    if (value == null || value === "") continue;
    const term = document.createElement("dt");
    term.textContent = name;
    const item = document.createElement("dd");
    if (name === "Weights" && /\bsample\b/i.test(value)) {
      const mark = document.createElement("span");
      mark.className = "mark";
      mark.textContent = /weights/i.test(value) ? value : `${value} weights`;
      item.append(mark, " to try the toolkit with, not a product");
    } else item.textContent = value;
    parts.push(term, item);
  }
  byId("details").replaceChildren(...parts);
}

function plain(value) {
  if (value == null || typeof value !== "object") return value;
  return Object.entries(value).map(([name, item]) => `${name} ${plain(item)}`).join(", ");
}

function write(id, text, unit = "") {
  const element = byId(id);
  if (element.dataset.text === text + unit) return;
  element.dataset.text = text + unit;
  element.textContent = text;
  if (unit) {
    const small = document.createElement("span");
    small.className = "unit";
    small.textContent = unit;
    element.append(small);
  }
}

// The state of the page, in the header for everyone and over the picture where it explains what is seen there.
function say() {
  const now = performance.now();
  const still = now - arrived;
  let state = "live", text = "Live", notice = "";
  if (ended) {
    state = "ended";
    text = "Ended";
    notice = lost?.reason ?? "The stream has ended. If it is started again, it will be shown here.";
  } else if (lost) {
    state = "lost";
    text = "Connection lost, retrying";
    const seconds = Math.ceil((lost.until - now) / 1000);
    notice = lost.reason ?? (seconds > 0 ? `Connection lost. Trying again in ${seconds} s.` : "Connection lost. Trying again now.");
  } else if (paused) {
    state = "paused";
    text = "Paused";
  } else if (connected && still > STILL_MS) {
    state = "waiting";
    text = "Waiting for pictures";
    notice = fresh ? `No new picture for ${Math.floor(still / 1000)} s.` : "Connected. Waiting for the first picture.";
  } else if (!fresh) {
    state = "connecting";
    text = notice = "Connecting";
  }
  document.body.dataset.state = state;
  write("state", text); // without the seconds, which a screen reader would read out each time
  write("notice", notice);
}

function flow() {
  connection.setFlowing(!paused && !document.hidden);
}

byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").textContent = paused ? "Resume" : "Pause";
  charts.add(null);
  arrived = performance.now();
  flow();
  say();
});

document.addEventListener("visibilitychange", () => {
  arrived = performance.now();
  flow();
});

if (document.fullscreenEnabled) {
  const button = byId("fullscreen");
  button.hidden = false;
  button.addEventListener("click", () => byId("frame").requestFullscreen());
}

setInterval(say, 500);
setInterval(() => paused || document.hidden || charts.draw(), 250);
