// The live page: puts what the server tells onto it.

import { BucketList } from "./bucketlist.js";
import { Change } from "./change.js";
import { Fleet } from "./fleet.js";
import { watch } from "./line.js";
import { History, Plot } from "./plot.js";
import { make, mark, set } from "./rows.js";
import { Tables } from "./tables.js";
import { count, left, rate, some, span, timeOfDay } from "./words.js";

/** How long it is said what a change did. */
const SAID = 15_000;

const place = (id) => document.getElementById(id);
const history = new History();
const change = new Change(say);
const plot = new Plot(place("plot"), place("legend"));
const buckets = new BucketList({ change });
const tables = new Tables({ change, history, plot: choose });

/** The totals: name, word, and what stands below it. */
const TOTALS = [
  ["held", "calls held", ({ queues }) => (queues.first.length ? `oldest ${span(queues.first[0].oldest_wait_ms)}` : "")],
  ["frozen", "limits shut by Slack", ({ buckets: { first } }) => opens(first)],
  ["answered", "calls answered", ({ totals }) => [`${rate(speed())} a second`, ...Object.entries(totals.saved).map(([how, n]) => `${count(n)} ${how}`)].join(", ")],
  ["refused_by_slack", "429s from Slack", ({ totals }) => (totals.replayed ? `${count(totals.replayed)} sent again` : "")],
  ["shed", "refused instead of held", ({ totals }) => Object.entries(totals.shed).map(([why, n]) => `${count(n)} ${why}`).join(", ")],
  ["places", "places kept", () => "for calls told to come back"],
].map(([name, word, more]) => {
  const [term, value, small] = [make("dt", "", word), make("dd"), make("dd", "small")];
  value.dataset.total = name;
  const group = make("div");
  group.append(term, value, small);
  place("totals").append(group);
  return { name, value, small, more };
});

let picture = null;
let method = "";
let quiet = null;
let line = "";

place("pause-other").addEventListener("click", () => change.other());
place("shadow").addEventListener("click", () => change.mode(shadows() ? "enforce" : "shadow"));
place("plot-of").addEventListener("change", (event) => choose(event.target.value));
document.addEventListener("visibilitychange", show);
watch(told, cut);
new Fleet(place);

function told(name, data) {
  if (name === "history") {
    history.load(data);
  } else {
    picture = data;
    if (data.sample) history.add(data.sample);
  }
  show();
}

/** Says that the line is cut, or that it stands. */
function cut(why) {
  if (why === line && document.body.dataset.line !== "opening") return;
  line = why;
  document.body.dataset.line = why ? "cut" : "open";
  set(place("line-text"), why ? "cut off" : "live");
  const of = picture ? ` What you see is of ${timeOfDay(picture.at)}.` : "";
  set(place("cut"), why ? `${why}${of} Trying again.` : "");
  mark(place("cut"), "role", "alert");
  place("cut").hidden = !why;
  title();
}

/** Says what a change did, or why not. */
function say(text) {
  set(place("said"), text);
  clearTimeout(quiet);
  quiet = setTimeout(() => set(place("said"), ""), SAID);
}

/** Shows one method's last minutes, or those of all. */
function choose(name) {
  method = name;
  methods();
  plot.show(history, method);
  if (name) place("history").scrollIntoView({ block: "nearest" });
}

function show() {
  if (document.hidden || !picture) return;
  performance.clearMeasures("render");
  const start = performance.now();
  const { totals } = picture;
  const fresh = totals.answered === 0 && Object.keys(totals.shed).length === 0 && totals.held === 0 && totals.buckets === 0;
  document.body.classList.toggle("fresh", fresh);
  place("start").hidden = !fresh;
  for (const base of document.querySelectorAll(".base")) set(base, listens());
  set(place("version"), picture.slackwater);
  set(place("at"), timeOfDay(picture.at));
  set(place("state"), state());
  notices();
  set(place("shadow"), shadows() ? "Keep limits again…" : "Shadow mode…");
  for (const { name, value, small, more } of TOTALS) {
    const total = totals[name];
    set(value, count(typeof total === "number" ? total : Object.values(total).reduce((sum, n) => sum + n, 0)));
    set(small, more(picture));
  }
  methods();
  plot.show(history, method);
  tables.show(picture);
  buckets.show(picture.buckets);
  title();
  performance.measure("render", { start });
}

/** Where bots reach it; by the name of this page, where it listens on all addresses. */
function listens() {
  const [, host, port] = /^(.*):(\d+)$/.exec(picture.listen);
  return `http://${host === "0.0.0.0" || host === "[::]" ? location.hostname : host}:${port}`;
}

const shadows = () => picture?.mode.proxy === "shadow";

/** Calls answered a second, lately. */
function speed() {
  const [, , answered] = history.columns("");
  const last = answered.slice(-3);
  return last.length ? last.reduce((sum, one) => sum + one, 0) / last.length : 0;
}

/** Until when limits are shut. */
function opens(all) {
  const shut = all.filter((bucket) => bucket.frozen_for_ms > 0).map((bucket) => bucket.frozen_for_ms);
  if (!shut.length) return "";
  const [first, last] = [Math.min(...shut), Math.max(...shut)];
  return left(first) === left(last) ? `for ${left(last)} more` : `for ${left(first)} to ${left(last)} more`;
}

/** The whole of it in a sentence or two. */
function state() {
  const { totals, queues, buckets: { first } } = picture;
  const said = [];
  if (!totals.ready) said.push("Shutting down: no new calls are taken.");
  if (totals.held) {
    const wait = totals.held === 1 ? "1 call waits" : `${count(totals.held)} calls wait`;
    const oldest = queues.first[0];
    said.push(oldest ? `${wait}, the oldest for ${span(oldest.oldest_wait_ms)}.` : `${wait}.`);
  } else {
    said.push("Nobody waits.");
  }
  if (totals.frozen) {
    const limits = totals.frozen === 1 ? "1 limit is" : `${count(totals.frozen)} limits are`;
    said.push(`${limits} shut because Slack asked for a pause, ${opens(first)}.`);
  }
  return said.join(" ");
}

/** What an operator has to know beside it, each with what can be done. */
function notices() {
  const { mode, reload, paused, dead, learnt } = picture;
  const all = [];
  if (mode.proxy === "shadow") {
    all.push(["shadow", "Shadow mode is on: calls go at once, and no limit is kept.", "Keep limits…", () => change.mode("enforce")]);
  }
  for (const [name, own] of Object.entries(mode.methods).filter(([, own]) => own !== mode.proxy)) {
    const shadow = own === "shadow";
    all.push([`mode ${name}`, shadow ? `Calls of ${name} go at once: shadow mode.` : `Calls of ${name} keep to their limits.`,
      shadow ? "Keep limits…" : "Shadow mode…", () => change.mode(shadow ? "enforce" : "shadow", name)]);
  }
  if (paused.all) {
    const waiting = paused.first.reduce((sum, pause) => sum + pause.waiting, 0);
    all.push(["paused", `${some(paused.all, "pause")} on, for which ${some(waiting, "call waits", "calls wait")}; see below.`]);
  }
  for (const { limit, method, buckets, lower, configured, quota } of learnt.first.filter((one) => one.several)) {
    const of = method ? `${limit} of ${method}` : limit;
    all.push([`learnt ${of}`, `Slack accepts fewer calls than configured for ${of}: ${count(lower)} of ` +
      `${some(buckets, "bucket")} learnt about ${count(quota)} instead of ${count(configured)}. ` +
      "Slack may have changed it: `slackwater limits --learnt` has it as a configuration."]);
  }
  for (const { kind, name, workspace, caller, reason, method, for_ms, answered } of dead.first) {
    const whose = workspace ? ` of ${workspace}` : "";
    const of = method ? ` for ${method}` : "";
    all.push([`dead ${name} ${reason}`, `Slack says ${reason} to the ${kind} ${name}${whose}${of}, which ${caller} uses: ` +
      `${some(answered, "call")} answered at once in ${span(for_ms)}.`]);
  }
  if (dead.all > dead.first.length) {
    all.push(["dead more", `${some(dead.all - dead.first.length, "more token or webhook is", "more tokens and webhooks are")} dead; see the status.`]);
  }
  if (reload?.mistake) {
    const more = reload.mistakes > 1 ? `, and ${count(reload.mistakes - 1)} more` : "";
    all.push(["reload", `A new configuration was refused ${span(reload.ago_ms)} ago: ${reload.mistake}${more}`]);
  }
  const list = place("notices");
  const there = new Map([...list.children].map((item) => [item.dataset.key, item]));
  for (const [key, text, does, act] of all) {
    let item = there.get(key);
    there.delete(key);
    if (!item) {
      item = make("li", "notice");
      item.dataset.key = key;
      item.append(make("span"));
      if (does) {
        const press = make("button", "", does);
        press.type = "button";
        press.addEventListener("click", act);
        item.append(press);
      }
      list.append(item);
    }
    set(item.firstChild, text);
  }
  for (const item of there.values()) item.remove();
}

/** The methods that can be plotted. */
function methods() {
  const choice = place("plot-of");
  const names = ["", ...new Set([...history.methods(), ...(method ? [method] : [])])].sort();
  if (names.join("\n") !== [...choice.options].map((option) => option.value).join("\n")) {
    choice.replaceChildren(...names.map((name) => new Option(name || "all methods", name)));
  }
  choice.value = method;
}

function title() {
  const held = picture?.totals.held ? `${count(picture.totals.held)} held, ` : "";
  document.title = `${line ? "cut off: " : held}slackwater`;
}
