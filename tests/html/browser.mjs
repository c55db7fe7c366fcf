// A headless Chromium with a profile of its own, for whoever opens a report.

import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const ARGUMENTS = [
  // As root there is no sandbox to be had. It opens nothing but the page that it is given.
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

// `packages` is where playwright-core is. `require` is for other packages that are there; `end` leaves nothing behind.
export async function launch(packages, viewport) {
  const require = createRequire(pathToFileURL(join(packages, "node_modules", "_.js")));
  const { chromium } = require("playwright-core");
  const profile = mkdtempSync(join(tmpdir(), "whofreed-browser-"));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.WHOFREED_TEST_CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: ARGUMENTS,
    viewport,
    colorScheme: "light",
  });
  const end = async () => {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return { browser, require, end };
}
