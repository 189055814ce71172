// The table of all replicas, where limits are shared: any of them knows all.

import { Table, make, set } from "./rows.js";
import { count, some, span } from "./words.js";

/** How often it is asked for. */
const EVERY = 5_000;
/** So many rows are shown. */
const MOST = 50;

const most = (of) => of.slice(0, 3).map(([name, n]) => `${name} ${count(n)}`).join(", ");

/** Asks for them for as long as the page is looked at. */
export class Fleet {
  constructor(place) {
    const named = (head, of, small) => ({
      head, kind: "long",
      make(cell) {
        cell.append(make("span", "name"), " ", make("span", "small"));
      },
      show(cell, replica) {
        set(cell.children[0], of(replica));
        set(cell.children[1], small(replica));
      },
    });
    this.place = place;
    this.table = new Table(place("replicas"), "replicas-title", "None is known.", [
      named("replica", ({ name, id }) => name || id, ({ id, version }) => `${id}, version ${version}`),
      { head: "up for", kind: "number", show: (cell, { up_ms: up }) => set(cell, span(up)) },
      named("slots held", ({ held }) => count(held), ({ holds }) => most(holds)),
      named("calls waiting", ({ waiting }) => count(waiting), ({ waits }) => most(waits)),
    ]);
    this.ask();
  }

  async ask() {
    let is = true;
    if (!document.hidden) {
      try {
        const answer = await fetch("fleet");
        const told = answer.ok ? await answer.json() : null;
        is = told?.shared !== false;
        this.place("replicas-section").hidden = !is;
        if (told?.shared) this.show(told);
        else set(this.place("replicas-rest"), "the shared store does not answer");
      } catch {
        // The line to the server says so, too.
      }
    }
    if (is) setTimeout(() => this.ask(), EVERY);
  }

  show({ replicas, held, waiting }) {
    this.table.show(replicas.slice(0, MOST), ({ id }) => id);
    set(this.place("replicas-rest"), `${some(replicas.length, "replica")}, ${some(held, "slot")} held, ` +
      `${some(waiting, "call waits", "calls wait")}`);
  }
}
