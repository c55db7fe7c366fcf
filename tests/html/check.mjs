// Opens an HTML report in a browser and looks at it as a person would: by clicks and keys.
//
// node check.mjs PACKAGES PAGE FACTS: PACKAGES is where playwright-core and axe-core are, FACTS is JSON with what the page
// has to show. With WHOFREED_TEST_CHECK only those whose names have it in them. Prints a line for each check, and figures as `figure LABEL: VALUE`; the exit code is 1 when a check failed.

import { pathToFileURL } from "node:url";

import { launch } from "./browser.mjs";
import { general } from "./general.mjs";
import { special } from "./special.mjs";

const [packages, page, factsText] = process.argv.slice(2);
const facts = JSON.parse(factsText);
const { browser, require, end } = await launch(packages, { width: 1280, height: 900 });
const axe = require("axe-core");

const address = pathToFileURL(page).href;
const complaints = [];
const requests = [];

// A fresh page at a link into the report, which complains about everything that should not be.
async function open(fragment = "") {
  const tab = await browser.newPage();
  tab.on("console", (message) => complaints.push(`console: ${message.text()}`));
  tab.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  tab.on("request", (request) => requests.push(request.url()));
  await tab.goto(address + fragment, { waitUntil: "load" });
  return tab;
}

let failed = 0;
// What was complained about so far, for a check that wants it.
const forgive = () => complaints.splice(0).join("; ");
const figure = (label, value) => console.log(`figure ${label}: ${value}`);

const wanted = process.env.WHOFREED_TEST_CHECK ?? "";
const checks = [...general, ...special].filter(
  (check) => check.name.includes(wanted) && (check.when === undefined || check.when(facts)),
);
for (const { name, run } of checks) {
  complaints.length = 0;
  requests.length = 0;
  const tab = await open();
  try {
    await run({ tab, open, facts, axe, figure, forgive });
    const others = requests.filter((url) => url.split("#")[0] !== address && !url.startsWith("data:"));
    if (complaints.length > 0 || others.length > 0) {
      throw new Error([...complaints, ...others.map((url) => `request: ${url}`)].join("; "));
    }
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${name}: ${error.stack ?? error}`);
  }
  for (const left of browser.pages()) {
    // A window without a page ends the browser.
    if (browser.pages().length > 1) {
      await left.close();
    }
  }
}
await end();
console.log(`${checks.length - failed} of ${checks.length} checks passed`);
process.exit(failed === 0 ? 0 : 1);
