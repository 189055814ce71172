// Numbers and times as people read them.

const WHY = {
  full: "every slot is taken",
  frozen: "Slack asked for a pause",
  probing: "others try whether the pause is over",
  spaced: "calls are kept apart after a refusal",
  room_for_people: "the free slots are for more urgent calls",
  claimed: "the free slot is kept for another call",
  turn: "others are before it",
  paused: "paused by an operator",
  in_flight: "as many calls are in flight as may be",
};

const grouped = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** A number with its thousands apart. */
export const count = (number) => grouped.format(number);

/** "1 call", "2 calls". */
export const some = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** A time span in milliseconds: "0.4 s", "12 s", "3 m 05 s", "2 h 07 m". */
export function span(ms) {
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
  if (minutes < 60) return `${minutes} m ${String(rest).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} m`;
}

/** A pause that is left, rounded up: it is not over before. */
export const left = (ms) => (ms < 60_000 ? `${Math.ceil(ms / 1000)} s` : span(ms));

/** The time of day of a moment in milliseconds of Unix time. */
export const timeOfDay = (at) => clock.format(new Date(at));

/** A rate a second. */
export const rate = (number) => (number >= 9.95 ? count(Math.round(number)) : number.toFixed(1));

/** What a bucket has learnt of its limit, and since when. */
export function lesson(learnt) {
  if (!learnt || learnt.why === "nothing") return "";
  const { quota, configured, refused, why: reason, ago_ms: ago } = learnt;
  const what = {
    fewer_calls: `learnt: ${count(quota)} instead of ${count(configured)}`,
    more_calls: `tried: ${count(quota)} instead of ${count(configured)}`,
    bursts: "learnt: Slack refuses bursts",
  }[reason] ?? "";
  const bad = refused === null ? "" : `, ${count(refused)} refused`;
  return `${what}${bad}${ago === null ? "" : ` ${span(ago)} ago`}`;
}

/** Why a call does not go, and for how much longer. */
export function why(reason, until) {
  if (!reason) return "";
  const said = WHY[reason] ?? reason;
  // What is over in a moment is over before it is read.
  return until === null || until === undefined || until < 100 ? said : `${said}, for ${left(until)} more`;
}
