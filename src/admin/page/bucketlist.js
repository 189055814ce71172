// The limits in use: those that press most come with each picture; for others the server is asked.

import { Table, make, set } from "./rows.js";
import { button, slots } from "./tables.js";
import { count, some } from "./words.js";

/** How long after a key the server is asked, and how often again while a search stands. */
const TYPED = 200;
const AGAIN = 2_000;

const named = ({ limit, key }) => `${limit}:${key}`;

export class BucketList {
  #timer = null;
  #asked = 0;

  constructor({ change }) {
    this.find = document.getElementById("find");
    this.stands = document.getElementById("stands");
    this.rest = document.getElementById("buckets-rest");
    this.table = new Table(document.getElementById("buckets"), "buckets-title", "No limit is in use.", [
      { head: "limit and what it counts", kind: "long",
        make: (cell) => cell.append(make("span", "name"), " ", make("span", "small")),
        show(cell, bucket) {
          set(cell.children[0], bucket.key);
          set(cell.children[1], bucket.whose ? `${bucket.limit}, ${bucket.whose}` : bucket.limit);
        } },
      { head: "slots taken", kind: "slots", make: slots.make, show: slots.show },
      { head: "waiting", kind: "number", show: (cell, { waiting }) => set(cell, count(waiting)) },
      { head: "places", kind: "number", show: (cell, { places }) => set(cell, count(places)) },
      button("Thaw…", named, (bucket) => change.thaw(named(bucket)), (bucket) => bucket.frozen_for_ms > 0),
    ]);
    const soon = () => this.#in(TYPED);
    this.find.addEventListener("input", soon);
    this.stands.addEventListener("change", soon);
    document.getElementById("search").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#in(0);
    });
  }

  /** What the picture has, unless something is looked for. */
  show({ first, all }) {
    if (this.#searches()) {
      this.#timer ??= setTimeout(() => this.#ask(), AGAIN);
      return;
    }
    this.#fill(first, all > first.length ? `the ${count(first.length)} most pressing of ${count(all)}` : "");
  }

  #searches() {
    return this.find.value.trim() !== "" || this.stands.value !== "any";
  }

  #in(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), ms);
  }

  async #ask() {
    this.#timer = null;
    if (!this.#searches()) return;
    const query = new URLSearchParams({ find: this.find.value, stands: this.stands.value });
    const asked = ++this.#asked;
    try {
      const answer = await fetch(`buckets?${query}`);
      const said = await answer.json();
      // An answer that comes late is to an older question.
      if (asked !== this.#asked || !this.#searches()) return;
      if (!answer.ok) throw new Error(said.message);
      const { found, buckets } = said;
      const more = found > buckets.length ? `, the ${count(buckets.length)} most pressing of them` : "";
      this.#fill(buckets, `${some(found, "limit")} found${more}`);
    } catch (error) {
      if (asked === this.#asked) set(this.rest, `The search failed: ${error.message}`);
    }
  }

  #fill(buckets, rest) {
    this.table.show(buckets, named);
    set(this.table.empty, this.#searches() ? "No limit in use is like that." : "No limit is in use.");
    set(this.rest, rest);
  }
}
