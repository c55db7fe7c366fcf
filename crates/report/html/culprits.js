// Culprit cards: what one explains, how sure that is, its three stacks side by side, and its victims beside it.

const CARDS_AT_ONCE = 3;
const FRAMES_AT_ONCE = 10;
const FRAMES_ABOVE_FAR = 3;
const SCRIPTS_AT_ONCE = 4;
const VICTIMS_AT_ONCE = 8;

const CONFIDENCE = {
  proven: "proven by the owners",
  counterfactual: "without its surplus frees these vanish",
  undecided: "the record does not decide",
};

const CLASS = {
  destructor: "a destructor",
  cache: "a cache",
  program_cache: "a program cache",
  pool: "a pool",
  static_teardown: "static teardown",
  interpreter: "the interpreter",
  explicit: "an explicit call",
  other: "",
};

function source(snippet, line) {
  const rows = snippet.lines.map((text, index) => {
    const at = snippet.first + index;
    const row = make("span", { class: at === line ? "line here" : "line" });
    row.append(make("span", { class: "no" }, String(at).padStart(5)), ` ${text}\n`);
    return row;
  });
  return make("pre", { class: "source", tabindex: "0", role: "group", "aria-label": `Source around line ${line}` }, ...rows);
}

function frameLine(of, isCulprit) {
  const tag = (is, text) => (is ? make("span", { class: "tag" }, text) : null);
  return make(
    "span",
    { class: of.dull ? "frame dull" : "frame", title: whole(of) },
    make("code", { class: "function" }, of.full === "" ? place(of) : of.short),
    " ",
    make("span", { class: "place" }, of.full === "" ? "" : place(of)),
    tag(of.python, "Python"),
    tag(of.inlined, "inlined"),
    tag(of.tailCalled, "tail call"),
    isCulprit ? make("span", { class: "tag bad" }, "culprit") : null,
  );
}

function frameItem(of, culprit, isOpen) {
  const isCulprit = of.number === culprit;
  const line = frameLine(of, isCulprit);
  if (of.snippet === null) {
    return make("li", {}, line);
  }
  const old = of.snippet.newer
    ? make("p", { class: "note" }, "The file was changed since the run: these may be other lines.")
    : null;
  return make(
    "li",
    {},
    make("details", { open: isOpen }, make("summary", {}, line), old, source(of.snippet, of.line)),
  );
}

// The frame of a stack that tells where in the program it is: the innermost line of the user's own script; without one, the
// first behind what it has in common with another stack of the same sort, which is the runtime's own way in.
function tellingFrame(frames, other) {
  let common = 0;
  while (common < frames.length && common < other.length && frames[common].number === other[common].number) {
    common += 1;
  }
  const rest = frames.slice(common);
  const script = rest.find((of) => of.script) ?? frames.find((of) => of.script);
  return script ?? rest.find((of) => !of.dull) ?? frames.find((of) => !of.dull) ?? frames[0] ?? null;
}

// Which frames of a stack are there at once: the innermost, fewer of them where what people look for lies far out; the one
// that is to blame, the one that tells, and the user's own scripts.
function framesInSight(frames, telling, culprit) {
  const isWanted = (of) => of.number === culprit || of.number === telling?.number;
  const isFar = frames.slice(FRAMES_AT_ONCE).some((of) => isWanted(of) || of.script);
  let innermost = isFar ? FRAMES_ABOVE_FAR : FRAMES_AT_ONCE;
  let scripts = SCRIPTS_AT_ONCE;
  return frames.map((of) => {
    if (!of.dull && innermost > 0) {
      innermost -= 1;
      return true;
    }
    if (of.script && scripts > 0) {
      scripts -= 1;
      return true;
    }
    return isWanted(of);
  });
}

// The frames of a stack, with those folded that are not in sight. `telling` is shown with its source.
function stackList(frames, telling, culprit, label) {
  if (frames.length === 0) {
    return make("p", { class: "note" }, "not recorded");
  }
  const list = make("ol", { class: "stack", "aria-label": label });
  const inSight = framesInSight(frames, telling, culprit);
  let at = 0;
  while (at < frames.length) {
    let end = at;
    while (end < frames.length && !inSight[end]) {
      end += 1;
    }
    // A line that says so takes as much room as the frame itself.
    if (end - at > 1) {
      const run = frames.slice(at, end);
      const inner = run.map((of) => frameItem(of, culprit, false));
      const what = run.every((of) => of.dull) ? "frames of the interpreter or the system" : "more frames";
      const folded = make("details", {}, make("summary", {}, `… ${end - at} ${what}`), make("ol", {}, ...inner));
      list.append(make("li", { class: "fold" }, folded));
      at = end;
      continue;
    }
    const of = frames[at];
    list.append(frameItem(of, culprit, telling !== null && of.number === telling.number));
    at += 1;
  }
  return list;
}

// The call site that allocated the buffer of a culprit's example, where its life is drawn; the runtime's own way in is no site.
function allocatingFrame(example, frames) {
  const line = data.timeline.lines.find((it) => it.device === example.device && it.address === example.address);
  const life = line?.lives.map(readLife).find((it) => it.number === example.reuse.life);
  return life === undefined ? null : (frames.find((of) => of.number === data.timeline.sites[life.site]) ?? null);
}

// The frames of a culprit's stacks that tell.
function tellingFrames(culprit) {
  const [allocated, freed, again] = [culprit.allocated, culprit.freed, culprit.again].map(stack);
  return {
    allocated: allocatingFrame(culprit.example, allocated) ?? tellingFrame(allocated, []),
    freed: tellingFrame(freed, again),
    again: again.find((of) => of.number === culprit.site) ?? tellingFrame(again, freed),
  };
}

// What happened to the address, from the allocation to the surplus free.
function chain(culprit, telling) {
  const { example } = culprit;
  const { reuse } = example;
  const at = (of) => (of === null ? "" : ` at ${site(of)}`);
  const isKnown = culprit.confidence === "proven";
  const steps = [];
  if (!reuse.never_held && reuse.life !== null) {
    steps.push(["life", `Life ${number(reuse.life)} of ${example.address} began${at(telling.allocated)}`]);
    const by = reuse.freed_by === null ? "" : ` by thread T${reuse.freed_by}`;
    steps.push(["end", `It was freed${by}${at(telling.freed)}`]);
  }
  if (reuse.hit_life !== null && reuse.hit_life !== reuse.life) {
    const hit = at(reuse.hit_site === null ? null : frame(reuse.hit_site));
    steps.push(["life", `The address was handed out again: life ${number(reuse.hit_life)}, allocated${hit}`]);
  }
  const what = reuse.hit_life === null ? "nothing lived there any more" : `that ${isKnown ? "hits" : "would hit"} life ${number(reuse.hit_life)}`;
  steps.push(["strike", `Thread T${example.thread} freed ${reuse.never_held ? "what it never held" : "again"}${at(telling.again)}: ${what}`]);
  const items = steps.map(([sort, text]) => make("li", { class: sort }, text));
  return make(
    "div",
    { class: "chain" },
    make("h4", {}, "How the pointer outlived its buffer"),
    isKnown ? null : make("p", { class: "note" }, "Without owners, which life the pointer is from is what the record fits best."),
    make("ol", {}, ...items),
  );
}

function victimList(index) {
  const own = data.victims.filter((victim) => victim.culprit === index);
  if (own.length === 0) {
    return null;
  }
  const items = own.map((victim) =>
    make("li", { title: whole(frame(victim.site)) }, make("code", {}, site(frame(victim.site))), ` ${number(victim.observed)}`),
  );
  const more = items.splice(VICTIMS_AT_ONCE);
  return make(
    "aside",
    { class: "victims", "aria-label": `Victims of culprit ${index + 1}` },
    make("h4", {}, "Looks guilty, is not"),
    make("p", { class: "note" }, "Excess frees were seen here, because of this culprit:"),
    make("ul", {}, ...items),
    more.length > 0
      ? make("details", {}, make("summary", {}, `${counted(more.length, "more victim")}`), make("ul", {}, ...more))
      : null,
  );
}

function card(index) {
  const culprit = data.culprits[index];
  const { example } = culprit;
  const of = frame(culprit.site);
  const isUndecided = culprit.confidence === "undecided";
  const badge = (text, sort) => (text === "" ? null : make("li", { class: sort ?? null }, text));
  const buffer = [`${example.address} on ${device(example.device)}`];
  if (example.size > 0) {
    buffer.push(bytes(example.size));
  }
  buffer.push(...[example.kind, example.scope === "" ? "" : `in ${example.scope}`].filter((text) => text !== ""));
  const [again, freed, allocated] = culprit.headings;
  const telling = tellingFrames(culprit);
  const column = (title, sort) => {
    const frames = stackList(stack(culprit[sort]), telling[sort], sort === "again" ? culprit.site : -1, title);
    return make("div", { class: `column ${sort}` }, make("h4", {}, title), frames);
  };
  const link = `#culprit-${culprit.id}`;
  return make(
    "article",
    { class: "card", id: `card-${culprit.id}`, tabindex: "-1", "aria-labelledby": `name-${culprit.id}` },
    make(
      "h3",
      { id: `name-${culprit.id}`, title: whole(of) },
      make("a", { href: link }, `${isUndecided ? "Undecided" : "Culprit"} ${index + 1}`),
      " ",
      make("code", {}, of.full === "" ? place(of) : of.short),
      " ",
      make("span", { class: "place" }, of.full === "" ? "" : place(of)),
    ),
    make(
      "ul",
      { class: "badges", "aria-label": "In short" },
      badge(`${isUndecided ? "would explain" : "explains"} ${counted(culprit.explains, "excess free")}`, "bad"),
      badge(`${number(culprit.observed)} seen here`),
      badge(counted(culprit.buffers, "buffer")),
      badge(culprit.devices.length === 1 ? device(culprit.devices[0]) : counted(culprit.devices.length, "device")),
      badge(CONFIDENCE[culprit.confidence], isUndecided ? "doubt" : "sure"),
      badge(CLASS[culprit.class]),
      culprit.standing === null ? null : badge(culprit.standing, "doubt"),
    ),
    culprit.alternatives.length > 0
      ? make(
          "p",
          {},
          make("strong", {}, "The record fits as well: "),
          culprit.alternatives.map((other) => site(frame(other))).join(" or "),
        )
      : null,
    culprit.evidence === "" ? null : make("p", {}, make("strong", {}, "Evidence: "), culprit.evidence),
    make(
      "p",
      {},
      make("strong", {}, "One case: "),
      make("a", { href: bufferLink(example) }, buffer[0]),
      buffer.slice(1).map((text) => `, ${text}`).join(""),
    ),
    make(
      "div",
      { class: "stacks" },
      column(allocated, "allocated"),
      freed === null ? null : column(freed, "freed"),
      column(again, "again"),
    ),
    make("div", { class: "beside" }, chain(culprit, telling), victimList(index)),
  );
}

function bufferLink(of) {
  return `#buffer-${of.device}-${of.address}`;
}

const culpritOfId = new Map(data.culprits.map((culprit, index) => [culprit.id, index]));

// The cards, the first few; and any other one when it is asked for.
class Cards {
  constructor() {
    this.list = make("div", { class: "cards" });
    this.there = new Map();
    this.next = 0;
    this.more = make("button", { type: "button", onclick: () => this.add() }, "");
    const section = part("culprits", "Culprits", this.list, this.more);
    if (data.culprits.length === 0) {
      const why = data.totals.excess > 0 ? "The record does not tell who is to blame." : "Nobody is to blame.";
      section.append(make("p", {}, why));
    }
    this.add();
  }

  add() {
    const end = Math.min(data.culprits.length, this.next + CARDS_AT_ONCE);
    for (; this.next < end; this.next += 1) {
      this.put(this.next);
    }
    const left = data.culprits.length - this.next;
    this.more.hidden = left === 0;
    this.more.textContent = `Show ${Math.min(left, CARDS_AT_ONCE)} of ${counted(left, "more culprit")}`;
  }

  put(index) {
    if (!this.there.has(index)) {
      const element = card(index);
      this.there.set(index, element);
      const after = [...this.there.keys()].filter((other) => other > index).sort((a, b) => a - b)[0];
      this.list.insertBefore(element, after === undefined ? null : this.there.get(after));
    }
    return this.there.get(index);
  }

  // For links: the card of this id, in sight.
  show(id) {
    const index = culpritOfId.get(id);
    if (index === undefined) {
      return false;
    }
    const element = this.put(index);
    document.querySelectorAll(".card.chosen").forEach((other) => other.classList.remove("chosen"));
    element.classList.add("chosen");
    element.scrollIntoView();
    element.focus({ preventScroll: true });
    return true;
  }
}
