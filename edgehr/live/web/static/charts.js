// One small chart for each stage: p50 and p95 of the last minute.

const SPAN_S = 60;
const HEIGHT = 92;
const MARKS_S = [60, 45, 30, 15, 0];

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const milliseconds = (value) => (value == null ? "–" : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`);

class Chart {
  constructor(name, parent) {
    this.data = [[], [], []]; // seconds, p50, p95; null where there was nothing
    this.now = 0;
    this.figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const title = document.createElement("b");
    title.textContent = name;
    [this.when, this.p50, this.p95] = ["when", "p50", "p95"].map((kind) => {
      const span = document.createElement("span");
      span.className = kind;
      return span;
    });
    caption.append(title, this.when, this.p50, this.p95);
    this.plot = document.createElement("div");
    this.plot.setAttribute("aria-hidden", "true"); // the caption says the newest values
    this.figure.append(caption, this.plot);
    parent.append(this.figure);
    this.chart = new uPlot(this.options(), this.data, this.plot);
  }

  options() {
    const axis = {
      stroke: () => color("--soft"),
      font: "11px system-ui, sans-serif",
      grid: { stroke: () => color("--grid"), width: 1 },
      ticks: { show: false },
    };
    const line = (name, dash) => ({ stroke: () => color(name), width: 2, dash, points: { show: false }, spanGaps: false });
    return {
      width: this.plot.clientWidth || 300,
      height: HEIGHT,
      padding: [6, 15, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 }, sync: { key: "stages" } },
      scales: {
        x: { time: false, range: () => [this.now - SPAN_S, this.now] },
        y: { range: (_, low, high) => [0, Math.max(high ?? 0, 1) * 1.12] },
      },
      axes: [
        { ...axis, size: 20, gap: 5, splits: () => MARKS_S.map((ago) => this.now - ago),
          values: () => MARKS_S.map((ago) => (ago ? `−${ago} s` : "now")) },
        { ...axis, size: 40, gap: 4, space: 18, values: (_, values) => values.map((value) => `${+value.toFixed(1)}`) },
      ],
      series: [{}, line("--p50"), line("--p95", [5, 4].map((length) => length * devicePixelRatio))],
      bands: [{ series: [2, 1], fill: () => color("--between") }],
      hooks: { setCursor: [() => this.caption()] },
    };
  }

  add(now, value) {
    const [times, p50, p95] = this.data;
    times.push(now);
    p50.push(value?.p50 ?? null);
    p95.push(value?.p95 ?? null);
    const old = times.findIndex((time) => time >= now - SPAN_S - 1);
    if (old > 0) this.data.forEach((column) => column.splice(0, old));
  }

  draw(now) {
    this.now = now;
    const width = this.plot.clientWidth;
    if (width && width !== this.chart.width) this.chart.setSize({ width, height: HEIGHT });
    this.chart.setData(this.data);
    this.caption();
  }

  // The newest values, or those under the pointer.
  caption() {
    const last = this.data[0].length - 1;
    const at = this.chart?.cursor.idx ?? last;
    const ago = Math.round(this.now - this.data[0][at]);
    this.when.textContent = at === last || !(ago > 0) ? "" : `${ago} s ago`;
    this.p50.textContent = milliseconds(this.data[1][at]);
    this.p95.textContent = milliseconds(this.data[2][at]);
  }
}

export class Charts {
  constructor(parent) {
    this.parent = parent;
    this.charts = new Map();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    addEventListener("resize", () => this.draw());
  }

  // stages: { name: { p50, p95 } } in ms, or null for a gap in the lines.
  add(stages) {
    const now = performance.now() / 1000;
    for (const name of Object.keys(stages ?? {})) {
      if (this.charts.has(name)) continue;
      if (!this.charts.size) this.parent.replaceChildren();
      this.charts.set(name, new Chart(name, this.parent));
    }
    for (const [name, chart] of this.charts) chart.add(now, stages?.[name]);
  }

  draw() {
    const now = performance.now() / 1000;
    for (const chart of this.charts.values()) chart.draw(now);
  }
}
