// Live bytes over time, a curve for each kind on each device, with the excess frees below.

const CURVES = 6;
const CHART = 220;
const MARKS = 34;

class LiveBytes {
  // `moment` is told when somebody chooses one.
  constructor(moment) {
    const { levels, end } = data.timeline;
    if (levels.length === 0) {
      return;
    }
    this.moment = moment;
    const peak = (level) => level.most.reduce((high, at) => Math.max(high, at), 0);
    this.levels = levels.map((level) => ({ ...level, peak: peak(level) })).sort((a, b) => b.peak - a.peak);
    const rest = this.levels.splice(CURVES);
    this.chosen = 0;
    this.view = new TimeView("Live bytes over time. Enter chooses the moment in the middle", end + 1, (view) => this.paint(view));
    this.view.element.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        this.moment((this.view.start + this.view.end) / 2);
      }
    });
    this.view.element.addEventListener("dblclick", (event) => this.moment(this.view.timeAt(event.clientX)));
    const keys = this.levels.map((level, at) =>
      make("span", { class: `key curve c${at}` }, `${level.kind === "" ? "buffers" : level.kind} on ${device(level.device)}, at most ${bytes(level.peak)}`),
    );
    const left = rest.length > 0 ? make("p", { class: "note" }, `${counted(rest.length, "smaller curve")} are not drawn.`) : null;
    const many = data.processes.length > 1 ? "Several processes are added up; a peak is that of their sums. " : "";
    part(
      "live",
      "Live bytes",
      make("p", { class: "legend" }, ...keys, make("span", { class: "key strike" }, "excess frees")),
      this.view.element,
      left,
      make("p", { class: "note" }, `${many}Each point is the most within ${shortTime(data.timeline.bin, data.timeline.bin)}. A double click looks at a moment below.`),
    );
    this.view.draw();
  }

  mark(at) {
    this.chosen = at;
    this.view?.draw();
  }

  paint(view) {
    const { bin, excess } = data.timeline;
    const first = Math.max(0, Math.floor(view.start / bin) - 1);
    const last = Math.min(this.levels[0].most.length - 1, Math.ceil(view.end / bin) + 1);
    let top = 1;
    for (const level of this.levels) {
      for (let at = first; at <= last; at += 1) {
        top = Math.max(top, level.most[at]);
      }
    }
    const y = (value) => CHART - (value / top) * (CHART - 20);
    const parts = [];
    const labels = [];
    for (const part of [0, 0.5, 1]) {
      parts.push(draw("line", { class: "lane", x1: 0, x2: view.width, y1: y(top * part), y2: y(top * part) }));
      labels.push(draw("text", { class: "label", x: 4, y: y(top * part) - 4 }, bytes(Math.round(top * part))));
    }
    this.levels.forEach((level, index) => {
      const points = [];
      for (let at = first; at <= last; at += 1) {
        points.push(`${view.x(at * bin).toFixed(1)} ${y(level.most[at]).toFixed(1)}`);
        points.push(`${view.x((at + 1) * bin).toFixed(1)} ${y(level.live[at]).toFixed(1)}`);
      }
      parts.push(draw("path", { class: `curve c${index}`, d: `M${points.join(" L")}` }));
    });
    const most = excess.reduce((high, at) => Math.max(high, at), 1);
    for (let at = first; at <= last && at < excess.length; at += 1) {
      if (excess[at] > 0) {
        const height = 6 + (excess[at] / most) * (MARKS - 10);
        const width = Math.max(view.x((at + 1) * bin) - view.x(at * bin) - 0.5, 1.5);
        const text = `${counted(excess[at], "excess free")} at ${time(at * bin)}`;
        parts.push(draw("rect", { class: "strike", x: view.x(at * bin), y: CHART + MARKS - height, width, height }, draw("title", {}, text)));
      }
    }
    const x = view.x(this.chosen);
    parts.push(draw("line", { class: "moment", x1: x, x2: x, y1: 0, y2: CHART + MARKS }));
    // On top of the curves, which would strike them out.
    view.svg.append(...parts, ...labels);
    return CHART + MARKS;
  }
}
