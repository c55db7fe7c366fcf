// What is printed: all of the cards in sight, unfolded, and the beginning of each table.

const ROWS_ON_PAPER = 200;

class Paper {
  constructor(cards, tables) {
    this.cards = cards;
    this.tables = tables;
    this.unfolded = [];
    this.parts = [];
    addEventListener("beforeprint", () => this.lay());
    addEventListener("afterprint", () => this.clear());
  }

  lay() {
    this.clear();
    this.unfolded = [...document.querySelectorAll(".card details:not([open])")];
    this.unfolded.forEach((details) => {
      details.open = true;
    });
    const left = data.culprits.length - this.cards.there.size;
    if (left > 0) {
      this.put("culprits", make("p", {}, `${counted(left, "more culprit")} ${left === 1 ? "has its" : "have their"} row in the table only.`));
    }
    if (this.tables.tabs.length > 0) {
      this.put("tables", ...this.tables.all().map((table) => table.onPaper(ROWS_ON_PAPER)));
    }
  }

  put(section, ...children) {
    const element = make("div", { class: "paper" }, ...children);
    document.getElementById(section).append(element);
    this.parts.push(element);
  }

  // The page is as it was.
  clear() {
    this.parts.splice(0).forEach((element) => element.remove());
    this.unfolded.splice(0).forEach((details) => {
      details.open = false;
    });
  }
}
