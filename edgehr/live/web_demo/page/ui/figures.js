// Frames a second and the times of stages over the last seconds, and the rows that tell them.

const WINDOW_MS = 5000;
const ORDER = ["capture", "detect", "crop", "pose", "landmarks", "decode", "track", "segment", "draw"];

export class Figures {
  constructor() {
    /** @type {{at: number, times: Record<string, number>}[]} */
    this.frames = [];
  }

  clear() {
    this.frames = [];
  }

  /** @param {Record<string, number>} times  ms of each stage of a frame */
  add(times) {
    const at = performance.now();
    this.frames.push({ at, times });
    while (this.frames[0].at < at - WINDOW_MS) this.frames.shift();
  }

  get fps() {
    const [first, last] = [this.frames[0], this.frames[this.frames.length - 1]];
    return this.frames.length > 1 ? (1000 * (this.frames.length - 1)) / (last.at - first.at) : NaN;
  }

  /** Give the median of each stage; of those that only some frames have, over these. */
  get stages() {
    const names = ORDER.filter((name) => this.frames.some(({ times }) => name in times));
    return names.map((name) => ({ name, median: median(this.frames.flatMap(({ times }) => times[name] ?? [])) }));
  }

  /** Give the median of what all work on a frame takes. */
  get work() {
    return median(this.frames.map(({ times }) => Object.values(times).reduce((sum, time) => sum + time, 0)));
  }
}

/** @param {number[]} values */
function median(values) {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)];
}

/**
 * Show the stages as rows of a table.
 * @param {HTMLElement} table
 * @param {{name: string, median: number}[]} stages
 */
export function showStages(table, stages) {
  const most = Math.max(...stages.map((stage) => stage.median), 1);
  const rows = stages.map(({ name, median: value }) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    const bar = document.createElement("meter");
    bar.max = most;
    bar.value = value;
    bar.setAttribute("aria-hidden", "true");
    row.append(head);
    for (const content of [bar, value.toFixed(1)]) row.insertCell().append(content);
    return row;
  });
  table.replaceChildren(...rows);
}
