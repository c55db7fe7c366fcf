// Stacks as an icicle: the outermost functions on top, as wide as what they stand for; of culprits, of leaks, and of what was
// live at a moment.

const ROW = 22;
const NARROWEST = 2;
const DEEPEST = 64;

function tree(stacks) {
  const root = { title: "all", text: "", weight: 0, children: new Map(), parent: null, isDull: false };
  for (const [frames, weight] of stacks) {
    root.weight += weight;
    let node = root;
    for (const of of [...frames].reverse().slice(0, DEEPEST)) {
      const key = site(of);
      if (!node.children.has(key)) {
        node.children.set(key, { title: key, text: whole(of), weight: 0, children: new Map(), parent: node, isDull: of.dull });
      }
      node = node.children.get(key);
      node.weight += weight;
    }
  }
  return root;
}

function shade(text) {
  let hash = 0;
  for (const character of text) {
    hash = (hash * 31 + character.codePointAt(0)) >>> 0;
  }
  return hash % 6;
}

class Icicle {
  constructor() {
    const { stacks, moment, end } = data.timeline;
    // At first the moment at which most was live.
    const sums = stacks.length === 0 ? [0] : stacks[0][1].map((_, at) => stacks.reduce((sum, [, live]) => sum + live[at], 0));
    this.at = Math.min(sums.indexOf(sums.reduce((high, sum) => Math.max(high, sum), 0)) * moment, end);
    const leaks = data.leaks.some((leak) => leak.bytes > 0);
    this.modes = [
      ["Culprits", "excess frees", () => data.culprits.map((it) => [stack(it.again), it.explains]), number],
      ["Leaks", leaks ? "bytes never freed" : "buffers never freed", () => data.leaks.map((it) => [stack(it.stack), leaks ? it.bytes : it.count]), leaks ? bytes : number],
      ["Live bytes", "bytes", () => stacks.map(([of, live]) => [stack(of), live[Math.min(Math.floor(this.at / moment), live.length - 1)] ?? 0]), bytes],
    ].filter(([title]) => ({ Culprits: data.culprits.length, Leaks: data.leaks.length, "Live bytes": stacks.length })[title] > 0);
    if (this.modes.length === 0) {
      return;
    }
    this.svg = draw("svg", { "aria-hidden": "true" });
    this.told = make("p", { class: "told", role: "status" });
    this.drawing = make(
      "div",
      {
        class: "drawing icicle",
        tabindex: "0",
        role: "group",
        "aria-label": "Stacks. The arrow keys go from function to function, Enter shows one alone, Escape goes back.",
        onkeydown: (event) => this.key(event),
      },
      this.svg,
    );
    this.buttons = this.modes.map(([title], index) => make("button", { type: "button", "aria-pressed": "false", onclick: () => this.choose(index) }, title));
    this.slider = make("input", { type: "range", id: "moment", min: 0, max: Math.ceil(end / moment), step: 1, oninput: () => this.look(Number(this.slider.value) * moment) });
    this.when = make("output", { for: "moment" }, time(this.at));
    this.slider.value = String(Math.floor(this.at / moment));
    this.time = make("span", { class: "tools" }, make("label", { for: "moment" }, "Moment"), this.slider, this.when);
    const rest = data.timeline.more_stacks;
    part(
      "icicle",
      "Stacks",
      make("div", { class: "tools" }, ...this.buttons, this.time),
      this.drawing,
      this.told,
      rest > 0 ? make("p", { class: "note" }, `Live bytes of ${counted(rest, "smaller stack")} are not drawn.`) : null,
    );
    new ResizeObserver(() => this.draw()).observe(this.drawing);
    this.onLook = () => {};
    this.choose(0);
  }

  choose(index) {
    this.mode = index;
    this.buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(at === index)));
    this.time.hidden = this.modes[index][0] !== "Live bytes";
    this.grow();
  }

  grow() {
    this.top = tree(this.modes[this.mode][2]());
    this.chosen = this.top;
    this.draw();
    this.tell();
  }

  // What was live at a moment.
  look(at) {
    if (this.modes.length === 0) {
      return;
    }
    this.at = Math.min(Math.max(at, 0), data.timeline.end);
    this.slider.value = String(Math.floor(this.at / data.timeline.moment));
    this.when.textContent = time(this.at);
    const live = this.modes.findIndex(([title]) => title === "Live bytes");
    if (live >= 0) {
      this.choose(live);
    }
    this.onLook(this.at);
  }

  tell() {
    const [, unit, , show] = this.modes[this.mode];
    const node = this.chosen;
    const all = this.total;
    const share = all > 0 ? ` (${((node.weight / all) * 100).toFixed(1)} %)` : "";
    const amount = show === bytes ? show(node.weight) : `${show(node.weight)} ${unit}`;
    this.told.textContent = `${node.parent === null ? "All" : node.title}: ${amount}${share}`;
  }

  draw() {
    const width = Math.max(this.drawing.clientWidth - 2, 100);
    const parts = [];
    let depth = 0;
    let root = this.top;
    while (root.parent !== null) {
      root = root.parent;
    }
    this.total = root.weight;
    const put = (node, x, room, row) => {
      depth = Math.max(depth, row + 1);
      const sort = `node s${node.isDull ? "dull" : shade(node.title)}${node === this.chosen ? " chosen" : ""}`;
      const onclick = () => this.zoom(node);
      parts.push(draw("rect", { class: sort, x, y: row * ROW, width: Math.max(room - 1, 1), height: ROW - 1, onclick }, draw("title", {}, node.text === "" ? node.title : node.text)));
      const letters = Math.floor((room - 8) / 7);
      if (letters > 2) {
        const text = node.title.length > letters ? `${node.title.slice(0, letters - 1)}…` : node.title;
        parts.push(draw("text", { x: x + 4, y: row * ROW + 15 }, text));
      }
      let from = x;
      const children = [...node.children.values()].sort((a, b) => b.weight - a.weight);
      for (const child of children) {
        const share = (child.weight / node.weight) * room;
        if (share >= NARROWEST) {
          put(child, from, share, row + 1);
        }
        from += share;
      }
    };
    if (this.top.weight > 0) {
      put(this.top, 0, width, 0);
    }
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", Math.max(depth, 1) * ROW);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${Math.max(depth, 1) * ROW}`);
    this.svg.replaceChildren(...parts);
  }

  // One alone; and once more, what it is part of.
  zoom(node) {
    this.top = node === this.top && node.parent !== null ? node.parent : node;
    this.chosen = this.top;
    this.draw();
    this.tell();
  }

  key(event) {
    const node = this.chosen;
    const first = (of) => [...of.children.values()].sort((a, b) => b.weight - a.weight);
    const beside = (by) => {
      const all = node.parent === null || node === this.top ? [node] : first(node.parent);
      return all[(all.indexOf(node) + by + all.length) % all.length];
    };
    const moves = {
      ArrowDown: () => first(node)[0] ?? node,
      ArrowUp: () => (node === this.top ? node : node.parent),
      ArrowRight: () => beside(1),
      ArrowLeft: () => beside(-1),
    };
    if (event.key in moves) {
      this.chosen = moves[event.key]();
      this.draw();
      this.tell();
    } else if (event.key === "Enter") {
      this.zoom(node);
    } else if (event.key === "Escape" && this.top.parent !== null) {
      this.zoom(this.top);
    } else {
      return;
    }
    event.preventDefault();
  }
}
