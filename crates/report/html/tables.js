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
    isWord: true,
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
    { ...textColumn("Confidence", "confidence", "9rem"), isWord: true },
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

function bufferTable() {
  const rows = data.timeline.buffers.map(([pid, of, address, size, allocated, freed, excess, isLive, siteIndex]) => ({
    pid,
    device: of,
    address,
    size,
    allocated,
    freed,
    excess,
    state: isLive ? "live at the end" : "",
    site: siteIndex < 0 ? -1 : data.timeline.sites[siteIndex],
  }));
  const columns = [
    bufferColumn(),
    { title: "Device", value: (row) => device(row.device), width: "11rem" },
    numberColumn("Excess", "excess"),
    numberColumn("Allocated", "allocated"),
    numberColumn("Freed", "freed"),
    numberColumn("Size", "size", bytes),
    textColumn("State", "state", "8rem"),
    {
      title: "First allocated at",
      value: (row) => (row.site < 0 ? "" : site(frame(row.site))),
      title_of: (row) => (row.site < 0 ? "" : whole(frame(row.site))),
      width: "18rem",
    },
  ];
  if (data.processes.length > 1) {
    columns.splice(2, 0, { title: "Process", value: (row) => row.pid, show: (row) => String(row.pid), width: "7rem" });
  }
  const more = data.timeline.more_buffers;
  const note =
    more > 0
      ? `These come first: with excess frees, still live, used most. ${counted(more, "more buffer")} are counted by call site under Allocations.`
      : "All addresses at which something was allocated.";
  return new Table("t-buffers", "Buffers", columns, rows, note);
}

function allocatedTable() {
  const rows = data.timeline.allocated.map(([of, buffers, allocations, size, excess, live]) => ({
    site: data.timeline.sites[of],
    buffers,
    allocations,
    size,
    excess,
    live,
  }));
  const columns = [
    siteColumn("Allocated at"),
    numberColumn("Allocations", "allocations"),
    numberColumn("Buffers", "buffers"),
    numberColumn("Bytes", "size", bytes),
    numberColumn("Freed in excess", "excess"),
    numberColumn("Live at the end", "live"),
  ];
  const more = data.timeline.more_allocated;
  const rest = more > 0 ? ` ${counted(more, "allocation")} of rarer call sites are not listed.` : "";
  return new Table("t-allocations", "Allocations", columns, rows, `All buffers, by the call site that allocated them.${rest}`);
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
      ["Buffers", data.timeline.buffers.length, bufferTable],
      ["Allocations", data.timeline.allocated.length, allocatedTable],
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

  // For links: the buffers, with this address looked for.
  find(address) {
    const index = this.tabs.findIndex((tab) => tab.id === "tab-buffers");
    if (index < 0) {
      return;
    }
    this.choose(index);
    const table = this.made.get(index);
    table.search.value = address;
    table.find();
    document.getElementById("tables").scrollIntoView();
    table.search.focus({ preventScroll: true });
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

  // Every table, those too that nobody has looked at.
  all() {
    return this.builds.map((build, index) => {
      if (!this.made.has(index)) {
        this.made.set(index, build());
      }
      return this.made.get(index);
    });
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
