// The life line of an address: a lane for each call site that allocated there, a bar for each life, and a mark for each free
// that struck.

const LANE = 30;
const LABEL = 15;
const LANES = 12;

const lineOf = new Map(data.timeline.lines.map((line, index) => [`${line.device}-${line.address}`, index]));

function siteAt(index) {
  return frame(data.timeline.sites[index]);
}

function readLife([number, owner, size, kind, began, thread, site, [ended, endThread, endSite, culprit]]) {
  return { number, owner, size, kind: name(kind), began, thread, site, ended, endThread, endSite, culprit };
}

function readStrike([when, thread, site, verdict, again, hit, culprit]) {
  return { when, thread, site, verdict, again, hit, culprit };
}

function culpritName(index) {
  return `culprit ${index + 1}: ${site(frame(data.culprits[index].site))}`;
}

function endText(life) {
  if (life.ended < 0) {
    return "never ended";
  }
  if (life.endThread < 0) {
    return `ended by a reset or close of the device at ${time(life.ended)}`;
  }
  const who = life.culprit >= 0 ? `${culpritName(life.culprit)}, whose free it was one too many,` : site(siteAt(life.endSite));
  return `ended at ${time(life.ended)} by ${who} on thread T${life.endThread}`;
}

function lifeText(life) {
  const owner = life.owner === "" ? "" : `, owner ${life.owner}`;
  const kind = life.kind === "" ? "" : `, ${life.kind}`;
  return `Life ${life.number}: ${bytes(life.size)}${kind}${owner}, allocated at ${site(siteAt(life.site))} on thread T${life.thread} at ${time(life.began)}; ${endText(life)}`;
}

function strikeText(strike) {
  const who = strike.culprit >= 0 ? culpritName(strike.culprit) : `${site(siteAt(strike.site))}, which only looks guilty`;
  const again = strike.again > 0 ? ` frees life ${strike.again} again` : " frees again";
  const hit = strike.hit > 0 ? `, while life ${strike.hit} is there` : "";
  return `Excess free at ${time(strike.when)} on thread T${strike.thread}: ${who}${again}${hit} (${strike.verdict})`;
}

class LifeLines {
  constructor() {
    const { lines, more_lines: more } = data.timeline;
    if (lines.length === 0) {
      return;
    }
    this.view = new TimeView("Life line", data.timeline.end, (view) => this.paint(view));
    this.told = make("p", { class: "told", role: "status" }, "");
    this.rows = make("tbody", {});
    this.caption = make("caption", { class: "unseen" }, "");
    const options = lines.map((line, index) =>
      make("option", { value: index }, `${line.address} on ${device(line.device)}: ${counted(line.excess, "excess free")}`),
    );
    this.choice = make("select", { id: "line", onchange: () => this.choose(Number(this.choice.value), true) }, ...options);
    this.note = make("p", { class: "note" });
    const heads = ["When", "What", "Where", "Thread", "Held by"].map((title) => make("th", { scope: "col" }, title));
    const table = make("table", {}, this.caption, make("thead", {}, make("tr", {}, ...heads)), this.rows);
    part(
      "lives",
      "Life lines",
      make(
        "div",
        { class: "tools" },
        make("label", { for: "line" }, "Address"),
        this.choice,
        ...[["−", "Zoom out", () => this.view.zoom(1 / 0.6)], ["+", "Zoom in", () => this.view.zoom(0.6)], ["All", "Show all", () => this.view.show(0, this.view.full)]].map(
          ([text, label, onclick]) => make("button", { type: "button", "aria-label": label, onclick }, text),
        ),
      ),
      make(
        "p",
        { class: "legend" },
        make("span", { class: "key life" }, "a life"),
        make("span", { class: "key taken" }, "ended by a culprit's free"),
        make("span", { class: "key strike" }, "a culprit's excess free"),
        make("span", { class: "key innocent" }, "an excess free that is somebody else's doing"),
      ),
      this.view.element,
      this.told,
      more > 0 ? make("p", { class: "note" }, `${counted(more, "more address")} with excess frees have no line here.`) : null,
      this.note,
      make(
        "details",
        { class: "steps" },
        make("summary", {}, "As a table"),
        make("div", { class: "rows", tabindex: "0", role: "region", "aria-label": "The steps of the address" }, table),
      ),
    );
    this.choose(0, false);
  }

  choose(index, isAsked) {
    const line = data.timeline.lines[index];
    this.line = { ...line, lives: line.lives.map(readLife), strikes: line.strikes.map(readStrike) };
    this.choice.value = String(index);
    const hidden = [
      line.more_lives > 0 ? counted(line.more_lives, "more life") : "",
      line.more_strikes > 0 ? counted(line.more_strikes, "more excess free") : "",
    ].filter((text) => text !== "");
    this.note.textContent = hidden.length > 0 ? `${hidden.join(" and ")} of this address are not drawn.` : "";
    // The call sites with most lives have a lane each, the others one together.
    const counts = new Map();
    this.line.lives.forEach((life) => counts.set(life.site, (counts.get(life.site) ?? 0) + 1));
    const most = [...counts].sort((a, b) => b[1] - a[1]).map(([of]) => of);
    this.lanes = most.length > LANES ? [...most.slice(0, LANES - 1), null] : most;
    this.laneOf = new Map(most.map((of, at) => [of, Math.min(at, LANES - 1)]));
    this.caption.textContent = `Steps of ${line.address}`;
    this.list();
    this.tell(`${line.address} on ${device(line.device)}: ${counted(this.line.lives.length, "life")} and ${counted(this.line.strikes.length, "excess free")}.`);
    const ofLives = this.line.lives.flatMap((life) => [life.began, life.ended]);
    const isCut = line.more_lives > 0 && ofLives.length > 0;
    // Where lives are missing, what is left without them is shown when it is asked for.
    const times = [...ofLives, ...(isCut ? [] : this.line.strikes.map((it) => it.when))].filter((at) => at >= 0);
    this.view.full = data.timeline.end + 1;
    const [first, last] = times.reduce(([low, high], at) => [Math.min(low, at), Math.max(high, at)], [Infinity, 0]);
    this.span = isCut ? [first, last] : [0, this.view.full];
    const margin = (last - first) * 0.02 + 1000;
    this.view.show(first - margin, last + margin);
    if (isAsked) {
      history.replaceState(null, "", bufferLink(line));
    }
  }

  tell(text) {
    this.told.textContent = text;
  }

  list() {
    const steps = [
      ...this.line.lives.map((life) => [life.began, `life ${life.number} begins`, siteAt(life.site), life.thread, life.owner]),
      ...this.line.lives
        .filter((life) => life.ended >= 0)
        .map((life) => [
          life.ended,
          life.culprit >= 0 ? `life ${life.number} ended, by culprit ${life.culprit + 1}` : `life ${life.number} ends`,
          life.endThread < 0 ? null : siteAt(life.endSite),
          life.endThread,
          life.owner,
        ]),
      ...this.line.strikes.map((strike) => [
        strike.when,
        `excess free${strike.culprit >= 0 ? ` of culprit ${strike.culprit + 1}` : ""}`,
        siteAt(strike.site),
        strike.thread,
        "",
      ]),
    ].sort((a, b) => a[0] - b[0]);
    const rows = steps.map(([when, what, where, thread, owner]) => {
      const cells = [time(when), what, where === null ? "reset or close" : site(where), thread < 0 ? "" : `T${thread}`, owner];
      return make("tr", {}, ...cells.map((cell) => make("td", { title: cell }, cell)));
    });
    this.rows.replaceChildren(...rows);
  }

  // Only what is in sight is drawn.
  paint(view) {
    const height = this.lanes.length * (LANE + LABEL) + LANE;
    const bottom = height - LANE / 2;
    const parts = [];
    const labels = [];
    for (const [from, to] of [[0, this.span[0]], [this.span[1], view.full]]) {
      const [x, end] = [view.x(from), view.x(to)].map((at) => Math.min(Math.max(at, 0), view.width));
      if (end - x > 1) {
        parts.push(draw("rect", { class: "missing", x, y: 0, width: end - x, height: bottom }, draw("title", {}, "Lives that are not drawn")));
      }
    }
    this.lanes.forEach((of, lane) => {
      const y = lane * (LANE + LABEL);
      parts.push(draw("line", { class: "lane", x1: 0, x2: view.width, y1: y, y2: y }));
      labels.push(draw("text", { class: "label", x: 4, y: y + 12 }, of === null ? "other call sites" : site(siteAt(of))));
    });
    for (const life of this.line.lives) {
      const [from, to] = [life.began, life.ended < 0 ? view.full : life.ended];
      if (to < view.start || from > view.end) {
        continue;
      }
      const lane = this.laneOf.get(life.site);
      const y = lane * (LANE + LABEL) + LABEL;
      const x = Math.max(view.x(from), -2);
      const width = Math.max(Math.min(view.x(to), view.width + 2) - x, 3);
      const sort = `life${life.culprit >= 0 ? " taken" : ""}${life.ended < 0 ? " open" : ""}`;
      const bar = draw("rect", { class: sort, x, y: y + 2, width, height: LANE - 8, rx: 2, onclick: () => this.tell(lifeText(life)) }, draw("title", {}, lifeText(life)));
      parts.push(bar);
      if (width > 24) {
        parts.push(draw("text", { class: "number", x: Math.max(x, 0) + 5, y: y + 16 }, String(life.number)));
      }
    }
    for (const strike of this.line.strikes) {
      if (strike.when < view.start || strike.when > view.end) {
        continue;
      }
      const x = view.x(strike.when);
      const sort = strike.culprit >= 0 ? "strike" : "innocent";
      const text = strikeText(strike);
      parts.push(draw("line", { class: sort, x1: x, x2: x, y1: 0, y2: bottom }));
      const mark = { class: sort, d: `M${x - 6} ${bottom + 8} L${x + 6} ${bottom + 8} L${x} ${bottom - 4} Z`, onclick: () => this.tell(text) };
      parts.push(draw("path", mark, draw("title", {}, text)));
    }
    view.svg.append(...parts, ...labels);
    return height;
  }

  // For links: the line of this address.
  show(key) {
    const index = lineOf.get(key);
    if (index === undefined) {
      return false;
    }
    this.choose(index, false);
    document.getElementById("lives").scrollIntoView();
    this.view.element.focus({ preventScroll: true });
    return true;
  }
}
