// The tables: one for each list of the report, one of them in sight at a time.

function siteColumn(title) {
  return {
    title,
    value: (row) => site(frame(row.site)),
    title_of: (row) => whole(frame(row.site)),
    width: "26rem",
  };
}

function numberColumn(title, key, show) {
  return { title, value: (row) => row[key], show: show ? (row) => show(row[key]) : null, isNumber: true, width: "8rem" };
}

function textColumn(title, key, width) {
  return { title, value: (row) => row[key], width };
}

function bufferColumn() {
  return {
    title: "Address",
    value: (row) => row.address.padStart(18),
    show: (row) => make("a", { href: bufferLink(row) }, row.address),
    title_of: (row) => row.address,
    width: "12rem",
  };
}

function culpritTable() {
  const rows = data.culprits.map((culprit, index) => ({ ...culprit, rank: index + 1 }));
  const columns = [
    { ...numberColumn("Rank", "rank"), width: "5rem" },
    {
      ...siteColumn("Culprit"),
      show: (row) => make("a", { href: `#culprit-${row.id}` }, site(frame(row.site))),
    },
    numberColumn("Explains", "explains"),
    numberColumn("Seen here", "observed"),
    numberColumn("Buffers", "buffers"),
    textColumn("Confidence", "confidence", "9rem"),
    { title: "Sort", value: (row) => CLASS[row.class], width: "9rem" },
  ];
  return new Table("t-culprits", "Culprits", columns, rows);
}

function victimTable() {
  const columns = [
    siteColumn("Call site"),
    numberColumn("Excess frees seen", "observed"),
    {
      title: "Because of",
      value: (row) => (row.culprit === null ? "somebody else" : site(frame(data.culprits[row.culprit].site))),
      show: (row) =>
        row.culprit === null
          ? "somebody else"
          : make("a", { href: `#culprit-${data.culprits[row.culprit].id}` }, site(frame(data.culprits[row.culprit].site))),
      width: "22rem",
    },
  ];
  return new Table("t-victims", "Victims", columns, data.victims, "Excess frees were seen at these call sites; they are somebody else's doing.");
}

function unexplainedTable() {
  const columns = [siteColumn("Call site"), numberColumn("Excess frees seen", "observed")];
  const [sites, observed] = data.unexplained_rest;
  const rest = sites > 0 ? ` ${counted(sites, "more call site")} with ${number(observed)} of them are not listed.` : "";
  const note = `Excess frees that no culprit explains, by where they were seen. Nobody here is accused.${rest}`;
  return new Table("t-unexplained", "Unexplained", columns, data.unexplained, note);
}

function leakTable() {
  const columns = [siteColumn("Allocated at"), numberColumn("Never freed", "count"), numberColumn("Bytes", "bytes", bytes)];
  return new Table("t-leaks", "Leaks", columns, data.leaks);
}

function worstTable() {
  const columns = [
    bufferColumn(),
    { title: "Device", value: (row) => device(row.device), width: "12rem" },
    numberColumn("Allocated", "allocated"),
    numberColumn("Freed", "freed"),
    numberColumn("Excess", "excess"),
    numberColumn("Held back", "blocked"),
    numberColumn("Process", "pid"),
  ];
  return new Table("t-buffers", "Buffers", columns, data.worst, "The buffers with most excess frees.");
}

function processTable() {
  const rows = data.processes.map((process) => ({
    ...process,
    end: process.signal !== null ? `killed by signal ${process.signal}` : process.code !== null ? `exit code ${process.code}` : "not seen",
  }));
  const columns = [
    { title: "Process", value: (row) => row.pid, show: (row) => String(row.pid), isNumber: false, width: "7rem" },
    { title: "Started by", value: (row) => row.parent, show: (row) => String(row.parent), isNumber: false, width: "7rem" },
    textColumn("Command", "command", "24rem"),
    textColumn("End", "end", "10rem"),
    textColumn("Adapters", "adapters", "12rem"),
  ];
  return new Table("t-processes", "Processes", columns, rows);
}

function coverageTable() {
  const rows = [
    ...data.unseen.map(([symbol, why, library]) => ({ symbol: name(symbol), what: `not seen: ${name(why)}`, library: name(library) })),
    ...data.bound.map(([symbol, adapter, library]) => ({ symbol: name(symbol), what: `hooked by ${name(adapter)}`, library: name(library) })),
  ];
  const columns = [textColumn("Function", "symbol", "26rem"), textColumn("State", "what", "26rem"), textColumn("Library", "library", "18rem")];
  return new Table("t-coverage", "Coverage", columns, rows, "Which functions were hooked, and of which calls could not be seen.");
}

// Tabs in the form that screen readers know: arrows move, and what is chosen is in sight.
class Tables {
  constructor() {
    const all = [
      ["Culprits", data.culprits.length, culpritTable],
      ["Victims", data.victims.length, victimTable],
      ["Unexplained", data.unexplained.length, unexplainedTable],
      ["Buffers", data.worst.length, worstTable],
      ["Leaks", data.leaks.length, leakTable],
      ["Processes", data.processes.length, processTable],
      ["Coverage", data.bound.length + data.unseen.length, coverageTable],
    ].filter(([, count]) => count > 0);
    this.panel = make("div", { id: "table", role: "tabpanel" });
    this.made = new Map();
    this.tabs = all.map(([title, count, build], index) =>
      make(
        "button",
        {
          type: "button",
          role: "tab",
          id: `tab-${title.toLowerCase()}`,
          "aria-controls": "table",
          onclick: () => this.choose(index),
          onkeydown: (event) => this.key(event, index),
        },
        `${title} ${number(count)}`,
      ),
    );
    this.builds = all.map(([, , build]) => build);
    part("tables", "Tables", make("div", { class: "tabs", role: "tablist", "aria-label": "Tables" }, ...this.tabs), this.panel);
    this.choose(0);
  }

  choose(index) {
    if (this.tabs.length === 0) {
      return;
    }
    this.tabs.forEach((tab, at) => {
      tab.setAttribute("aria-selected", String(at === index));
      tab.tabIndex = at === index ? 0 : -1;
    });
    this.panel.setAttribute("aria-labelledby", this.tabs[index].id);
    if (!this.made.has(index)) {
      this.made.set(index, this.builds[index]());
    }
    const table = this.made.get(index);
    this.panel.replaceChildren(table.element);
    table.first = -1;
    table.paint();
  }

  key(event, index) {
    const moves = { ArrowRight: 1, ArrowLeft: -1 };
    const count = this.tabs.length;
    if (event.key in moves) {
      const next = (index + moves[event.key] + count) % count;
      this.choose(next);
      this.tabs[next].focus();
      event.preventDefault();
    }
  }
}
