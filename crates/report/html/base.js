// What all parts of the page use: the data by its numbers, text for people, and elements.
//
// Text gets onto the page as text nodes and attribute values only. Nothing here makes markup of a string.

const data = JSON.parse(document.getElementById("data").textContent);

// The bits of a frame, as the program that wrote this file has them.
const INLINED = 1;
const TAIL_CALLED = 2;
const PYTHON = 4;
const DULL = 8;
const SCRIPT = 16;

function name(number) {
  return number < 0 ? "" : data.table.names[number];
}

function frame(number) {
  const [short, full, module, file, line, offset, bits, snippet] = data.table.frames[number];
  return {
    number,
    short: name(short),
    full: name(full),
    module: name(module),
    file: name(file),
    line,
    offset,
    inlined: (bits & INLINED) !== 0,
    tailCalled: (bits & TAIL_CALLED) !== 0,
    python: (bits & PYTHON) !== 0,
    dull: (bits & DULL) !== 0,
    script: (bits & SCRIPT) !== 0,
    snippet: snippet < 0 ? null : data.table.snippets[snippet],
  };
}

function stack(number) {
  return data.table.stacks[number].map(frame);
}

function base(path) {
  return path.slice(path.lastIndexOf("/") + 1);
}

// "caches.hpp:40", or where in which module.
function place(of) {
  if (of.file !== "") {
    return of.line > 0 ? `${base(of.file)}:${of.line}` : base(of.file);
  }
  return of.module === "" ? of.offset : `${base(of.module)}+${of.offset}`;
}

// "ProgramCache::evict (caches.hpp:40)".
function site(of) {
  return of.full === "" ? place(of) : `${of.short} (${place(of)})`;
}

// Everything that is known of a frame, for whoever points at it.
function whole(of) {
  const where = of.file === "" ? "" : `\n${of.file}${of.line > 0 ? `:${of.line}` : ""}`;
  const module = of.module === "" ? "" : `\n${of.module}+${of.offset}`;
  return `${of.full === "" ? of.short : of.full}${where}${module}`;
}

const grouped = new Intl.NumberFormat("en-US");

function number(value) {
  return grouped.format(value);
}

function counted(value, noun) {
  // "lives" and "addresses".
  return `${number(value)} ${value === 1 ? noun : `${noun.replace(/life$/, "live").replace(/s$/, "se")}s`}`;
}

function bytes(value) {
  if (Math.abs(value) < 1024) {
    return counted(value, "byte");
  }
  const units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let scaled = value / 1024;
  let unit = 0;
  while (Math.abs(scaled) >= 1024 && unit + 1 < units.length) {
    scaled /= 1024;
    unit += 1;
  }
  return `${scaled.toFixed(1)} ${units[unit]}`;
}

// Time since the start, with as many digits as a person can use.
function time(ns) {
  return `${(ns / 1e9).toFixed(6)} s`;
}

function device(of) {
  const called = data.devices[of];
  return called === undefined ? `device ${of}` : `device ${of} (${called})`;
}

// An element with attributes and children; strings become text. `on…` attributes are functions that listen.
function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) {
      continue;
    }
    if (key.startsWith("on")) {
      element.addEventListener(key.slice(2), value);
    } else {
      element.setAttribute(key, value === true ? "" : String(value));
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function make(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function draw(tag, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

// A part of the page, with a heading and a place in the navigation.
function part(id, title, ...children) {
  const section = make(
    "section",
    { id, tabindex: "-1", "aria-labelledby": `${id}-title` },
    make("h2", { id: `${id}-title` }, title),
    ...children,
  );
  document.querySelector("main").append(section);
  document.getElementById("parts").append(make("a", { href: `#${id}` }, title));
  return section;
}
