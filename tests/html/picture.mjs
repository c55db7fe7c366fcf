// Takes pictures of an HTML report, as it is when it has been opened.
//
// node picture.mjs PACKAGES PAGE HIDDEN LIGHT DARK: PACKAGES is where playwright-core is, LIGHT and DARK are the files to write.
// HIDDEN is what nobody shall see in them, such as the folder that they were made in.

import { writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

import { launch } from "./browser.mjs";

const [packages, page, hidden, light, dark] = process.argv.slice(2);
const { browser, end } = await launch(packages, { width: 1280, height: 800 });
try {
  const tab = await browser.newPage();
  await tab.goto(pathToFileURL(page).href, { waitUntil: "load" });
  const text = await tab.locator("body").innerText();
  if (text.includes(hidden)) {
    throw new Error(`the page says where it was made: ${hidden}`);
  }
  for (const [file, colorScheme] of [[light, "light"], [dark, "dark"]]) {
    await tab.emulateMedia({ colorScheme });
    writeFileSync(file, await tab.screenshot());
  }
} finally {
  await end();
}
