// The tables of the page: who waits, methods, callers and workspaces, what is paused.

import { drawSpark, spark } from "./plot.js";
import { Table, make, mark, set } from "./rows.js";
import { count, left, lesson, some, span, why } from "./words.js";

const CLASSES = ["interactive", "normal", "background"];

/** A name with a line of small print below it. */
const named = {
  make(cell) {
    cell.append(make("span", "name"), " ", make("span", "small"));
  },
  show(cell, name, small) {
    set(cell.children[0], name);
    set(cell.children[1], small);
  },
};

/** A bar of slots taken, in words and in length, with a word where the limit is shut or full. */
export const slots = {
  make(cell) {
    const bar = make("span", "bar");
    mark(bar, "aria-hidden", "true");
    bar.append(make("span", "taken"));
    cell.append(make("span", "figures"), " ", bar, " ", make("span", "tag"));
  },
  show(cell, { used, quota, frozen_for_ms: frozen, probing, learnt }, more = "") {
    const [figures, bar, tag] = cell.children;
    set(figures, quota ? `${count(used)} of ${count(quota)}` : "");
    bar.hidden = !quota;
    const width = `${quota ? Math.min(100, (used / quota) * 100) : 0}%`;
    if (bar.firstChild.style.width !== width) bar.firstChild.style.width = width;
    const full = quota > 0 && used >= quota;
    const state = frozen ? "shut" : probing ? "probing" : full ? "full" : "";
    mark(cell, "data-state", state || null);
    const said = { shut: `shut, ${left(frozen)} more`, probing: "trying again", full: "full", "": "" }[state];
    set(tag, [said, lesson(learnt), more].filter(Boolean).join(", "));
  },
};

/** A button that changes something about the row's item, where there is something to change. */
export function button(word, about, act, when = () => true) {
  let items = new WeakMap();
  return {
    head: "change", kind: "act", hidden: true,
    make(cell) {
      const press = make("button", "", word);
      press.type = "button";
      press.addEventListener("click", () => act(items.get(cell)));
      cell.append(press);
    },
    show(cell, item) {
      items.set(cell, item);
      cell.firstChild.hidden = !when(item);
      mark(cell.firstChild, "aria-label", `${word.replace("…", "")} ${about(item)}`);
    },
  };
}

const number = (head, of, kind = "number") => ({
  head, kind, show: (cell, item) => set(cell, of(item)),
});

/** All of them. `change` asks for what an operator wants, `history` has the samples, `plot` shows a method. */
export class Tables {
  constructor({ change, history, plot }) {
    const place = (id) => document.getElementById(id);
    this.waits = new Table(place("waits"), "waits-title", "Nobody waits.", [
      { head: "method", kind: "long", make: named.make,
        show: (cell, queue) => named.show(cell, queue.method, `${queue.class}, of ${queue.caller}`) },
      number("held", (queue) => count(queue.depth)),
      number("oldest waits", (queue) => span(queue.oldest_wait_ms)),
      { head: "why, and until when", kind: "why", make: named.make,
        show: (cell, queue) => named.show(cell, why(queue.why, queue.until_ms), queue.waits_for ?? "") },
    ]);
    this.methods = new Table(place("methods"), "methods-title", "No method is in use.", [
      { head: "method", kind: "long",
        make(cell) {
          const press = make("button", "name link");
          press.type = "button";
          press.title = "show its last minutes above";
          press.addEventListener("click", () => plot(press.textContent));
          cell.append(press, " ", make("span", "small"));
        },
        show: (cell, method) => named.show(cell, method.method, method.tier) },
      { head: "held", kind: "number", make: named.make, show(cell, { held }) {
        const classes = CLASSES.filter((name) => held[name]);
        const all = classes.reduce((sum, name) => sum + held[name], 0);
        named.show(cell, count(all), classes.map((name) => `${count(held[name])} ${name}`).join(", "));
      } },
      number("oldest waits", ({ oldest_wait_ms: oldest }) => (oldest ? span(oldest) : "")),
      { head: "fullest limit", kind: "slots", make: slots.make, show(cell, { slots: own }) {
        const many = own.buckets > 1 ? `${own.frozen || own.full} of ${count(own.buckets)}` : "";
        slots.show(cell, own, many && (own.frozen || own.full) ? many : "");
      } },
      { head: "last minutes", kind: "spark", make: spark,
        show(cell, { method }) {
          if (history.samples.at(-1) === cell.drawn) return;
          cell.drawn = history.samples.at(-1);
          drawSpark(cell, history.columns(method));
        } },
      button("Change…", ({ method }) => `method ${method}`, ({ method }) => change.method(method)),
    ]);
    const parties = (kind) => new Table(place(`${kind}s`), `${kind}s-title`, "None lately.", [
      { head: kind, kind: "long", show: (cell, { name }) => set(cell, name) },
      number("held", ({ held }) => count(held)),
      number("calls of late", ({ requests }) => count(requests)),
      number("of them refused", ({ sheds }) => (sheds ? count(sheds) : "")),
      button("Pause…", ({ name }) => `${kind} ${name}`, ({ name }) => change.pause(kind, name)),
    ]);
    this.callers = parties("caller");
    this.workspaces = parties("workspace");
    this.paused = new Table(place("paused"), "paused-title", "", [
      { head: "what", kind: "long", make: named.make,
        show: (cell, pause) => named.show(cell, target(pause)[1], target(pause)[0]) },
      number("for", (pause) => span(pause.paused_for_ms)),
      number("its calls", (pause) => (pause.shed ? "are refused" : `wait: ${count(pause.waiting)}`)),
      button("Resume…", (pause) => target(pause).join(" "), (pause) => change.resume(...target(pause))),
    ]);
  }

  show(picture) {
    const part = (name, key) => {
      const { first, all } = picture[name];
      this[name === "queues" ? "waits" : name].show(first, key);
      const rest = document.getElementById(`${name === "queues" ? "waits" : name}-rest`);
      set(rest, all > first.length ? `${count(first.length)} of ${some(all, "row")}` : "");
    };
    part("queues", (queue) => JSON.stringify([queue.method, queue.class, queue.caller]));
    part("methods", (method) => method.method);
    part("callers", (caller) => caller.name);
    part("workspaces", (workspace) => workspace.name);
    part("paused", (pause) => target(pause).join(" "));
    document.getElementById("paused-section").hidden = picture.paused.all === 0;
  }
}

/** Kind and name of what is paused. */
export function target(pause) {
  const kind = ["method", "caller", "workspace"].find((one) => one in pause);
  return [kind, pause[kind]];
}
