// Opens profiles with speedscope's own importer, and prints what it made of each as a line of JSON.
//
// speedscope comes as one script for browsers. What is run here is that script; of a browser there is only as much as its start
// asks for, since nothing is to be drawn.
import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';

const [folder, ...files] = process.argv.slice(2);
const release = path.join(folder, 'node_modules/speedscope/dist/release');
const script = fs.readdirSync(release).find(name => /^speedscope-.*\.js$/.test(name));
let source = fs.readFileSync(path.join(release, script), 'utf8');

// The importer is a part of the script that is begun when the first file is opened: `(begin(), part)`.
const part = source.match(/[\w$]+\(([\w$]+),\{importFromFileSystemDirectoryEntry/)[1];
const escaped = part.replace(/\$/g, '\\$');
const begin = source.match(new RegExp(`\\(([\\w$]+)\\(\\),${escaped}\\)`))[1];
source = source.replace('(()=>{', () => `(()=>{globalThis.importer=()=>(${begin}(),${part});`);

const nothing = new Proxy(function () {}, {
  get: (_, key) => (key === Symbol.toPrimitive ? () => '' : key === 'then' ? undefined : nothing),
  set: () => true,
  has: () => true,
  apply: () => nothing,
  construct: () => nothing,
});
const quiet = { log() {}, warn() {}, error() {}, info() {} };
const page = { console: quiet, TextDecoder, TextEncoder, URL, setTimeout, clearTimeout, atob, performance };
Object.assign(page, { window: page, self: page, document: nothing, navigator: nothing, localStorage: nothing });
page.location = { hash: '', protocol: 'file:', href: 'file:///', search: '' };
page.addEventListener = page.requestAnimationFrame = () => 0;
page.matchMedia = () => nothing;
page.HTMLElement = page.Image = page.FontFace = nothing;
vm.createContext(page);
try {
  vm.runInContext(source, page);
} catch {
  // What draws cannot begin.
}

for (const file of files) {
  const bytes = fs.readFileSync(file);
  const buffer = vm.runInContext(`new ArrayBuffer(${bytes.length})`, page);
  new Uint8Array(buffer).set(bytes);
  const group = await page.importer().importProfilesFromArrayBuffer(path.basename(file), buffer);
  const profiles = (group?.profiles ?? []).map(profile => {
    const frames = new Set();
    profile.forEachFrame(frame => frames.add(frame.name));
    const unit = profile.getWeightUnit();
    return { name: profile.getName(), weight: profile.getTotalWeight(), unit, frames: [...frames] };
  });
  console.log(JSON.stringify(profiles));
}
