// Tables whose rows stay the same elements from one picture to the next, so that focus, selection and
// the place on the page stay, too. Text is set as text, never as markup.

/** Makes an element: its class, its text. */
export function make(name, kind = "", text = "") {
  const element = document.createElement(name);
  if (kind) element.className = kind;
  if (text) element.textContent = text;
  return element;
}

/** Sets a text, if it is another one. */
export function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute, if it is another one; takes it away for nothing. */
export function mark(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/**
 * A table in `place`. Each of `columns` has `head`, `kind` (a class), `make(cell)` for what a new cell has
 * in it, and `show(cell, item)`. Roles are said, since narrow screens show rows as blocks.
 */
export class Table {
  constructor(place, label, empty, columns) {
    this.columns = columns;
    this.rows = new Map();
    this.table = make("table");
    this.table.setAttribute("role", "table");
    this.table.setAttribute("aria-labelledby", label);
    const head = make("thead");
    head.setAttribute("role", "rowgroup");
    const row = make("tr");
    row.setAttribute("role", "row");
    for (const { head: text, kind, hidden } of columns) {
      const cell = make("th", kind);
      cell.setAttribute("role", "columnheader");
      cell.setAttribute("scope", "col");
      cell.append(make("span", hidden ? "unseen" : "", text));
      row.append(cell);
    }
    head.append(row);
    this.body = make("tbody");
    this.body.setAttribute("role", "rowgroup");
    this.table.append(head, this.body);
    this.empty = make("p", "empty", empty);
    place.append(this.table, this.empty);
  }

  /** Shows these items, each in the row of its key, in this order. */
  show(items, key) {
    const gone = new Set(this.rows.keys());
    let before = null;
    for (const item of items) {
      const name = key(item);
      let row = this.rows.get(name);
      if (!row) {
        row = this.#row(name);
        this.rows.set(name, row);
      }
      gone.delete(name);
      const after = before ? before.nextSibling : this.body.firstChild;
      if (after !== row) this.#place(row, after);
      before = row;
      this.columns.forEach((column, n) => column.show(row.cells[n], item));
    }
    for (const name of gone) {
      this.rows.get(name).remove();
      this.rows.delete(name);
    }
    this.table.hidden = items.length === 0;
    this.empty.hidden = items.length > 0;
  }

  #row(name) {
    const row = make("tr");
    row.setAttribute("role", "row");
    row.dataset.key = name;
    this.columns.forEach(({ head, kind, make: fill, hidden }, n) => {
      const cell = make(n ? "td" : "th", kind);
      cell.setAttribute("role", n ? "cell" : "rowheader");
      if (n && !hidden) cell.dataset.head = head;
      fill?.(cell);
      row.append(cell);
    });
    return row;
  }

  // A row that moves would lose the focus that is in it.
  #place(row, before) {
    const focused = row.contains(document.activeElement) ? document.activeElement : null;
    this.body.insertBefore(row, before);
    focused?.focus({ preventScroll: true });
  }
}
