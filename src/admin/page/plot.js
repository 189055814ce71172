// The last five minutes as a plot: calls held, answered and refused, of all methods or of one.

import { make, mark, set } from "./rows.js";
import { count, rate, timeOfDay } from "./words.js";

/** As many samples as the server keeps. */
const SAMPLES = 150;
const SECONDS = 300;
const HEIGHT = 190;

/** What is drawn: a colour of the style sheet, a dash that tells it apart without one, its scale. */
const SERIES = [
  { name: "held", label: "calls held", colour: "--held", dash: [], scale: "held", fill: true, say: count },
  { name: "answered", label: "answered a second", colour: "--answered", dash: [6, 3], scale: "rate", say: rate },
  { name: "shed", label: "refused instead of held, a second", colour: "--shed", dash: [2, 3], scale: "rate", say: rate },
  { name: "refused", label: "429s from Slack", colour: "--refused", dash: [], scale: "refused", bars: true, say: count },
];

/** The samples that the server has told. */
export class History {
  samples = [];

  load(samples) {
    this.samples = samples;
  }

  /** One more; false if those before it are not known. */
  add(sample) {
    const last = this.samples.at(-1);
    if (last && sample.n <= last.n) return true;
    if (last && sample.n > last.n + 1) return false;
    this.samples.push(sample);
    if (this.samples.length > SAMPLES) this.samples.shift();
    return true;
  }

  /** Every method in it, by name. */
  methods() {
    return [...new Set(this.samples.flatMap((sample) => Object.keys(sample.methods)))].sort();
  }

  /** Columns: times in seconds, calls held, answered and refused a second, refusals by Slack. */
  columns(method) {
    const columns = [[], [], [], [], []];
    let before = null;
    for (const sample of this.samples) {
      const seconds = before === null ? 2 : Math.max(1, (sample.at - before) / 1000);
      before = sample.at;
      const { held, answered, refused_by_slack: refused, shed } = sample;
      const of = method ? (sample.methods[method] ?? [0, 0, 0, 0]) : [held, answered, refused, shed];
      const row = [sample.at / 1000, of[0], of[1] / seconds, of[3] / seconds, of[2]];
      row.forEach((value, n) => columns[n].push(value));
    }
    return columns;
  }
}

/** Draws a history in `place`, with its legend in `legend`. */
export class Plot {
  constructor(place, legend) {
    this.place = place;
    this.values = SERIES.map((series) => {
      const item = make("li");
      const line = make("span", `sample ${series.name}`);
      mark(line, "aria-hidden", "true");
      const value = make("b");
      item.append(line, document.createTextNode(` ${series.label} `), value);
      legend.append(item);
      return value;
    });
    this.data = [[], [], [], [], []];
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.#draw());
    new ResizeObserver(() => this.#fit()).observe(place);
  }

  show(history, method) {
    this.data = history.columns(method);
    if (!this.plot) this.#draw();
    else this.plot.setData(this.data);
    this.#say(this.data[0].length - 1);
    const [times, held, , , refused] = this.data;
    const most = Math.max(0, ...held);
    const at = most ? ` at ${timeOfDay(times[held.indexOf(most)] * 1000)}` : "";
    const said = `${method || "All methods"}, the last ${count(Math.round((times.at(-1) - times[0]) / 60) || 1)} ` +
      `minutes: ${count(held.at(-1) ?? 0)} calls held now, ${count(most)} at most${at}; ` +
      `${count(refused.reduce((sum, one) => sum + one, 0))} refused by Slack`;
    mark(this.place, "aria-label", times.length ? said : "No history yet");
  }

  #say(n) {
    SERIES.forEach(({ say }, series) => {
      const value = this.data[series + 1][n];
      set(this.values[series], value === undefined ? "" : say(value));
    });
  }

  /** When the newest sample was taken, in seconds. */
  #end() {
    return this.data[0].at(-1) ?? Date.now() / 1000;
  }

  #fit() {
    if (this.plot && this.place.clientWidth !== this.plot.width) {
      this.plot.setSize({ width: this.place.clientWidth, height: HEIGHT });
    }
  }

  #draw() {
    this.plot?.destroy();
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = (more) => ({
      stroke: colour("--quiet"), font: "12px system-ui, sans-serif",
      grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, ...more,
    });
    const least = (floor) => (_, low, high) => [0, Math.max(floor, (high ?? 0) * 1.1)];
    this.plot = new uPlot({
      width: this.place.clientWidth || 300,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      padding: [8, 4, 0, 0],
      scales: {
        x: { range: () => [this.#end() - SECONDS, this.#end()] },
        held: { range: least(5) }, rate: { range: least(2) },
        refused: { range: (_, low, high) => [0, Math.max(2, (high ?? 0) * 2)] },
      },
      axes: [
        axis({ space: 90, size: 30, grid: { show: false }, values: (_, ticks) => ticks.map((at) => timeOfDay(at * 1000)) }),
        axis({ scale: "held", size: 44, values: (_, ticks) => ticks.map((n) => (Number.isInteger(n) ? count(n) : "")) }),
        axis({ scale: "rate", side: 1, size: 44, grid: { show: false }, values: (_, ticks) => ticks.map((n) => `${n}/s`) }),
      ],
      series: [{}, ...SERIES.map((series) => ({
        scale: series.scale, stroke: colour(series.colour), width: 1.5, dash: series.dash,
        points: { show: false },
        ...(series.fill ? { fill: `${colour(series.colour)}22` } : {}),
        ...(series.bars ? { paths: uPlot.paths.bars({ size: [1, 4] }), fill: colour(series.colour) } : {}),
      }))],
      hooks: { setCursor: [(plot) => this.#say(plot.cursor.idx ?? this.data[0].length - 1)] },
    }, this.data, this.place);
  }
}

const SVG = "http://www.w3.org/2000/svg";

/** A small plot of one method's calls held and answered, for a row. */
export function spark(cell) {
  const svg = document.createElementNS(SVG, "svg");
  mark(svg, "viewBox", "0 0 150 24");
  mark(svg, "preserveAspectRatio", "none");
  mark(svg, "aria-hidden", "true");
  for (const name of ["held", "answered"]) {
    const path = document.createElementNS(SVG, "path");
    mark(path, "class", name);
    svg.append(path);
  }
  cell.append(svg);
}

/** Draws it; both curves have a scale of their own. */
export function drawSpark(cell, columns) {
  const [held, answered] = cell.querySelectorAll("path");
  const points = (values) => {
    const top = Math.max(1, ...values);
    const start = SAMPLES - values.length;
    return values.map((value, n) => `${start + n} ${(23 - (value / top) * 21).toFixed(1)}`);
  };
  const [, calls, rates] = columns;
  const area = points(calls);
  const from = SAMPLES - calls.length;
  mark(held, "d", area.length && Math.max(...calls) ? `M${from} 23L${area.join("L")}L${SAMPLES - 1} 23Z` : "M0 0");
  mark(answered, "d", rates.length ? `M${points(rates).join("L")}` : "M0 0");
}
