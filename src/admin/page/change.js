// Changes: asks whether it is meant, then tells the server; asks for the token when it wants one. The
// token is kept in memory only, until the page is closed.

import { set } from "./rows.js";

const place = (id) => document.getElementById(`change-${id}`);

export class Change {
  #token = "";
  #act = null;
  #busy = false;

  constructor(said) {
    this.said = said;
    this.dialog = document.getElementById("change");
    this.dialog.addEventListener("close", () => {
      this.#act = null;
      place("token").value = "";
    });
    place("cancel").addEventListener("click", () => this.dialog.close());
    this.dialog.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#do();
    });
  }

  /** Pauses one thing. */
  pause(kind, name) {
    this.#open({
      title: `Pause ${kind} ${name}?`,
      text: "Calls that wait already are paused, too. Those on their way to Slack are not touched.",
      does: "Pause", how: true,
      act: () => ["pause", { [kind]: name, shed: this.#shed() }],
    });
  }

  /** Pauses a method, or lets it go without limits. */
  method(name) {
    this.#open({
      title: `Change method ${name}?`,
      text: "It is so until somebody ends it; calls on their way to Slack are not touched.",
      does: "Change", how: true, shadow: true,
      act: () => (this.#how() === "shadow"
        ? ["mode", { mode: "shadow", method: name }]
        : ["pause", { method: name, shed: this.#shed() }]),
    });
  }

  /** Pauses something that is named only now. */
  other() {
    this.#open({
      title: "Pause something",
      text: "Its name may be one that has not called yet.",
      does: "Pause", how: true, what: true,
      act: () => ["pause", { [place("kind").value]: place("name").value.trim(), shed: this.#shed() }],
    });
  }

  resume(kind, name) {
    this.#open({
      title: `Resume ${kind} ${name}?`,
      text: "Its calls go in their old order, as limits allow.",
      does: "Resume",
      act: () => ["resume", { [kind]: name }],
    });
  }

  /** Ends a pause that Slack asked for. */
  thaw(bucket) {
    this.#open({
      title: `Let calls of ${bucket} go?`,
      text: "Slack has asked for a pause. One call tries whether it was a mistake; if Slack refuses it, the limit " +
        "is shut again.",
      does: "Thaw",
      act: () => ["thaw", { bucket }],
    });
  }

  /** Switches a method, or all calls where there is none. */
  mode(mode, method) {
    const what = method ? `calls of ${method}` : "all calls";
    const shadow = mode === "shadow";
    this.#open({
      title: shadow ? `Let ${what} go unlimited?` : `Keep limits for ${what}?`,
      text: shadow
        ? "Shadow mode: nothing is held or refused, what is held goes now, and Slack's 429s go to the callers. " +
          "What would have been is counted."
        : "Calls wait again where limits have no room.",
      does: shadow ? "Switch to shadow mode" : "Keep limits", danger: shadow,
      act: () => ["mode", method ? { mode, method } : { mode }],
    });
  }

  #how() {
    return this.dialog.querySelector("[name=how]:checked").value;
  }

  #shed() {
    return this.#how() === "shed";
  }

  #open({ title, text, does, act, how = false, what = false, shadow = false, danger = false }) {
    if (this.dialog.open) return;
    set(place("title"), title);
    set(place("text"), text);
    set(place("do"), does);
    set(place("wrong"), "");
    place("do").classList.toggle("danger", danger);
    place("how").hidden = !how;
    this.dialog.querySelector("[name=how][value=hold]").checked = true;
    place("shadow").hidden = !shadow;
    place("what").hidden = !what;
    place("name").value = "";
    place("token-label").hidden = true;
    this.#act = act;
    this.dialog.showModal();
    (what ? place("name") : place("cancel")).focus();
  }

  async #do() {
    if (this.#busy || !this.#act) return;
    const act = this.#act;
    const given = place("token").value;
    if (given && !/^[\x21-\x7e]+$/.test(given)) return this.#ask("No token has such characters.");
    if (given) this.#token = given;
    this.#busy = true;
    try {
      const [path, body] = act();
      const headers = { "Content-Type": "application/json" };
      if (this.#token) headers.Authorization = `Bearer ${this.#token}`;
      const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
      const said = await answer.json();
      if (answer.ok) {
        this.said([said.message, said.note].filter(Boolean).join(" — "));
        if (this.#act === act) this.dialog.close();
        return;
      }
      if (answer.status === 401) {
        this.#ask(this.#token ? "That is not the token of admin.token." : "A change needs the token of admin.token.");
      } else {
        set(place("wrong"), said.message);
      }
    } catch {
      set(place("wrong"), "slackwater does not answer; nothing is known to have changed.");
    } finally {
      this.#busy = false;
    }
  }

  /** Asks for the token. */
  #ask(why) {
    set(place("wrong"), why);
    this.#token = "";
    place("token").value = "";
    place("token-label").hidden = false;
    place("token").focus();
  }
}
