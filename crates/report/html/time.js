// A drawing over time that can be moved and zoomed, by wheel, by dragging, and by keys.

const AXIS = 22;

class TimeView {
  // `paint` is called with the drawing whenever it has to be drawn anew; `height` is that of what it draws.
  constructor(label, end, paint) {
    this.full = Math.max(end, 1);
    this.start = 0;
    this.end = this.full;
    this.paint = paint;
    this.svg = draw("svg", { "aria-hidden": "true" });
    this.element = make(
      "div",
      {
        class: "drawing",
        tabindex: "0",
        role: "group",
        "aria-label": `${label}. Plus and minus zoom, the arrow keys move, Home shows all.`,
        onkeydown: (event) => this.key(event),
        onpointerdown: (event) => this.grab(event),
      },
      this.svg,
    );
    // Where nobody has chosen the drawing, the wheel is the page's.
    const isOurs = (event) => event.ctrlKey || document.activeElement === this.element;
    this.element.addEventListener(
      "wheel",
      (event) => {
        if (isOurs(event)) {
          event.preventDefault();
          this.zoom(event.deltaY < 0 ? 0.7 : 1 / 0.7, this.timeAt(event.clientX));
        }
      },
      { passive: false },
    );
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  get width() {
    return Math.max(this.element.clientWidth - 2, 100);
  }

  // All of another span of time.
  reset(end) {
    this.full = Math.max(end, 1);
    this.show(0, this.full);
  }

  show(start, end) {
    const span = Math.min(Math.max(end - start, Math.min(this.full, 1000)), this.full);
    this.start = Math.min(Math.max(start, 0), this.full - span);
    this.end = this.start + span;
    this.draw();
  }

  zoom(factor, around) {
    const at = around ?? (this.start + this.end) / 2;
    this.show(at - (at - this.start) * factor, at + (this.end - at) * factor);
  }

  move(part) {
    const by = (this.end - this.start) * part;
    this.show(this.start + by, this.end + by);
  }

  x(time) {
    return ((time - this.start) / (this.end - this.start)) * this.width;
  }

  timeAt(clientX) {
    const { left } = this.element.getBoundingClientRect();
    return this.start + ((clientX - left) / this.width) * (this.end - this.start);
  }

  key(event) {
    const actions = {
      "+": () => this.zoom(0.6),
      "=": () => this.zoom(0.6),
      "-": () => this.zoom(1 / 0.6),
      ArrowLeft: () => this.move(-0.2),
      ArrowRight: () => this.move(0.2),
      Home: () => this.show(0, this.full),
    };
    if (event.key in actions && !event.ctrlKey && !event.altKey && !event.metaKey) {
      actions[event.key]();
      event.preventDefault();
    }
  }

  grab(event) {
    const from = { x: event.clientX, start: this.start, end: this.end };
    const scale = (this.end - this.start) / this.width;
    const drag = (moved) => {
      const by = (from.x - moved.clientX) * scale;
      this.show(from.start + by, from.end + by);
    };
    const drop = () => {
      removeEventListener("pointermove", drag);
      removeEventListener("pointerup", drop);
      removeEventListener("pointercancel", drop);
    };
    addEventListener("pointermove", drag);
    addEventListener("pointerup", drop);
    addEventListener("pointercancel", drop);
  }

  draw() {
    if (this.element.clientWidth === 0) {
      return;
    }
    this.svg.replaceChildren();
    const height = this.paint(this) + AXIS;
    this.svg.setAttribute("width", this.width);
    this.svg.setAttribute("height", height);
    // Paper has another width.
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${height}`);
    this.svg.append(this.axis(height));
  }

  axis(height) {
    const group = draw("g", { class: "axis" });
    const span = this.end - this.start;
    const wanted = span / Math.max(2, Math.floor(this.width / 140));
    const power = 10 ** Math.floor(Math.log10(wanted));
    const step = [1, 2, 5, 10].map((times) => times * power).find((times) => times >= wanted);
    for (let at = Math.ceil(this.start / step) * step; at <= this.end; at += step) {
      const x = this.x(at);
      group.append(draw("line", { x1: x, x2: x, y1: 0, y2: height - AXIS }));
      const anchor = x < 40 ? "start" : x > this.width - 40 ? "end" : "middle";
      group.append(draw("text", { x, y: height - 6, "text-anchor": anchor }, shortTime(at, step)));
    }
    return group;
  }
}

// "12.5 ms", with the digits that tell two ticks apart.
function shortTime(ns, step) {
  const units = [["s", 1e9], ["ms", 1e6], ["µs", 1e3], ["ns", 1]];
  const [unit, size] = units.find(([, of]) => step >= of / 10 || of === 1);
  const digits = Math.max(0, Math.ceil(-Math.log10(step / size)));
  return `${(ns / size).toFixed(Math.min(digits, 3))} ${unit}`;
}
