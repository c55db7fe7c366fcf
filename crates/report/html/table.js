// A table that is sorted and searched, and of which only the rows in sight are there: a million rows cost what thirty do.

const ROW_HEIGHT = 34;
const ROWS_AROUND = 10;

class Table {
  // `columns`: {title, value(row): what is sorted and searched, show(row): text or an element, isNumber, isWord: paper has room for it, width}.
  constructor(id, title, columns, rows, note) {
    this.title = title;
    this.note = note;
    this.columns = columns;
    this.rows = rows;
    this.shown = rows;
    this.sorted = { column: -1, ascending: true };
    this.texts = null;
    this.status = make("span", { class: "count", role: "status" });
    this.search = make("input", {
      type: "search",
      id: `${id}-search`,
      placeholder: "Search",
      autocomplete: "off",
      oninput: () => this.find(),
    });
    this.heads = columns.map((column, index) => this.head(column, index));
    this.body = make("tbody", {});
    this.above = make("tbody", { "aria-hidden": "true" }, make("tr", {}, make("td", { colspan: columns.length })));
    this.below = make("tbody", { "aria-hidden": "true" }, make("tr", {}, make("td", { colspan: columns.length })));
    const widths = columns.map((column) => {
      const element = make("col", {});
      element.style.width = column.width ?? "auto";
      return element;
    });
    this.table = make(
      "table",
      { "aria-rowcount": rows.length + 1 },
      make("caption", { class: "unseen" }, title),
      make("colgroup", {}, ...widths),
      make("thead", {}, make("tr", { "aria-rowindex": 1 }, ...this.heads)),
      this.above,
      this.body,
      this.below,
    );
    this.scroller = make(
      "div",
      { class: "rows", tabindex: "0", role: "region", "aria-label": `${title}, rows`, onscroll: () => this.paint() },
      this.table,
    );
    this.element = make(
      "div",
      { class: "table" },
      make("div", { class: "tools" }, make("label", { for: `${id}-search` }, "Search"), this.search, this.status),
      note ? make("p", { class: "note" }, note) : null,
      this.scroller,
    );
    this.first = -1;
    this.there = new Map();
    this.paint();
  }

  head(column, index) {
    const button = make("button", { type: "button", onclick: () => this.sort(index) }, column.title);
    return make("th", { scope: "col", "aria-sort": "none", class: column.isNumber ? "number" : null }, button);
  }

  // By a column; again, the other way round. Numbers begin with the largest: those are what people look for.
  sort(index) {
    const column = this.columns[index];
    const again = this.sorted.column === index;
    const ascending = again ? !this.sorted.ascending : !column.isNumber;
    this.sorted = { column: index, ascending };
    this.heads.forEach((head, at) => {
      const direction = ascending ? "ascending" : "descending";
      head.setAttribute("aria-sort", at === index ? direction : "none");
    });
    const way = ascending ? 1 : -1;
    const key = new Map(this.rows.map((row) => [row, column.value(row)]));
    this.rows = [...this.rows].sort((a, b) => {
      const [left, right] = [key.get(a), key.get(b)];
      return left < right ? -way : left > right ? way : 0;
    });
    this.find();
  }

  find() {
    const wanted = this.search.value.trim().toLowerCase();
    if (wanted === "") {
      this.shown = this.rows;
    } else {
      this.texts ??= new Map(
        this.rows.map((row) => [row, this.columns.map((column) => column.value(row)).join(" ").toLowerCase()]),
      );
      const words = wanted.split(/\s+/);
      this.shown = this.rows.filter((row) => words.every((word) => this.texts.get(row).includes(word)));
    }
    this.scroller.scrollTop = 0;
    this.first = -1;
    this.there.clear();
    this.body.replaceChildren();
    this.paint();
  }

  // Rows that stay in sight stay the same elements: one of them may have the focus.
  keep(first, last) {
    for (const [index, element] of this.there) {
      if (index < first || index >= last) {
        element.remove();
        this.there.delete(index);
      }
    }
    let next = this.body.firstChild;
    for (let index = first; index < last; index += 1) {
      if (this.there.has(index)) {
        next = this.there.get(index).nextSibling;
      } else {
        const element = this.row(this.shown[index], index);
        this.there.set(index, element);
        this.body.insertBefore(element, next);
      }
    }
  }

  // Puts the rows in sight where they are.
  paint() {
    const height = this.scroller.clientHeight || 400;
    const count = Math.ceil(height / ROW_HEIGHT) + 2 * ROWS_AROUND;
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW_HEIGHT) - ROWS_AROUND);
    const all = this.shown.length;
    this.status.textContent =
      all === this.rows.length ? counted(all, "row") : `${number(all)} of ${counted(this.rows.length, "row")}`;
    if (first === this.first) {
      return;
    }
    this.first = first;
    const last = Math.min(all, first + count);
    this.keep(first, last);
    this.pad(this.above, first);
    this.pad(this.below, all - last);
  }

  pad(body, rows) {
    body.hidden = rows === 0;
    body.firstChild.firstChild.style.height = `${rows * ROW_HEIGHT}px`;
  }

  // For paper, which nobody scrolls: the first rows as they are sorted and searched now, and how many more there are.
  onPaper(most) {
    const rows = this.shown.slice(0, most);
    const heads = this.columns.map((column) => make("th", { scope: "col", class: column.isNumber ? "number" : null }, column.title));
    const words = this.search.value.trim();
    const left = this.shown.length - rows.length;
    return make(
      "div",
      {},
      make("h3", {}, this.title),
      this.note ? make("p", { class: "note" }, this.note) : null,
      words === "" ? null : make("p", {}, `Searched for “${words}”: ${this.status.textContent}.`),
      make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows.map((row, index) => this.row(row, index)))),
      left > 0 ? make("p", {}, `${counted(left, "more row")} ${left === 1 ? "is" : "are"} not printed.`) : null,
    );
  }

  row(row, index) {
    const cells = this.columns.map((column) => {
      const shown = column.show ? column.show(row) : column.value(row);
      const text = typeof shown === "object" ? null : typeof shown === "number" ? number(shown) : String(shown);
      const title = column.title_of ? column.title_of(row) : text;
      return make("td", { class: column.isNumber ? "number" : column.isWord ? "word" : null, title }, text ?? shown);
    });
    return make("tr", { "aria-rowindex": index + 2 }, ...cells);
  }
}
