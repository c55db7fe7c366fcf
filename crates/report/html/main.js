// Puts the parts onto the page, and follows links into it.

function accounts() {
  const { totals } = data;
  const rows = [
    ["Allocations", totals.allocations],
    ["Deallocations", totals.deallocations],
    ["in order", totals.ok],
    ["excess", totals.excess],
    ["of unknown buffers", totals.unknown],
    ["after a reset", totals.late],
    ["held back", totals.blocked],
    ["Never freed", totals.leaked],
    ["Buffers", totals.buffers],
    ["Events", totals.events],
    ["Lost events", totals.dropped],
  ].filter(([, value], index) => value > 0 || index < 4);
  const cells = rows.map(([title, value]) => make("div", {}, make("dt", {}, title), make("dd", {}, number(value))));
  document.getElementById("answer").append(make("dl", { class: "accounts" }, ...cells));
  const notes = data.notes.map((note) => make("p", { class: "note" }, note));
  document.getElementById("answer").append(...notes);
}

function theme() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  let isDark = system.matches;
  let isChosen = false;
  const show = () => {
    button.textContent = isDark ? "Light" : "Dark";
    button.setAttribute("aria-label", `Use ${isDark ? "light" : "dark"} colours`);
  };
  button.addEventListener("click", () => {
    isDark = !isDark;
    isChosen = true;
    root.style.colorScheme = isDark ? "dark" : "light";
    show();
  });
  // Evening comes while the page is open.
  system.addEventListener("change", () => {
    if (!isChosen) {
      isDark = system.matches;
      show();
    }
  });
  show();
}

theme();
accounts();
const cards = new Cards();
const lifeLines = new LifeLines();
const liveBytes = new LiveBytes((at) => {
  location.hash = `t-${Math.round(at)}`;
});
const icicle = new Icicle();
icicle.onLook = (at) => liveBytes.mark(at);
const tables = new Tables();

// #culprit-ID, #buffer-DEVICE-ADDRESS and #t-NANOSECONDS. Whatever else there is, the browser finds by itself.
function follow() {
  const hash = location.hash.slice(1);
  const [sort] = hash.split("-", 1);
  const rest = hash.slice(sort.length + 1);
  if (sort === "culprit") {
    cards.show(rest);
  } else if (sort === "buffer" && /^[0-9]+-0x[0-9a-f]+$/.test(rest)) {
    if (!lifeLines.show?.(rest)) {
      tables.find(rest.slice(rest.indexOf("-") + 1));
    }
  } else if (sort === "t" && /^[0-9]+$/.test(rest) && data.timeline.stacks.length > 0) {
    icicle.look(Number(rest));
    (document.getElementById("live") ?? document.getElementById("icicle")).scrollIntoView();
  }
}

addEventListener("hashchange", follow);
// A link that is followed again is no change.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='#']");
  if (link !== null && link !== undefined && link.getAttribute("href") === location.hash) {
    follow();
  }
});
new Paper(cards, tables);
follow();
