// What holds of some reports: those with source code, with hostile names, with very many of everything.

import assert from "node:assert/strict";

export const special = [
  {
    name: "source code stands around the frame that is to blame",
    when: (facts) => facts.source !== undefined,
    run: async ({ tab, facts }) => {
      const line = tab.locator(".card").first().locator(".again details[open] .line.here");
      assert.ok((await line.innerText()).includes(facts.source), await line.innerText());
      assert.ok(await line.isVisible());
      assert.equal(await tab.locator(".card").first().locator(".tag", { hasText: "culprit" }).count(), 1);
    },
  },
  {
    name: "each stack shows the call site that it came by, below the runtime's own frames",
    when: (facts) => facts.sites !== undefined,
    run: async ({ tab, facts }) => {
      const card = tab.locator(".card").first();
      for (const [sort, line] of Object.entries(facts.sites)) {
        const frame = card.locator(`.column.${sort} .frame:visible`, { hasText: line });
        assert.equal(await frame.count(), 1, `${line} in ${sort}`);
        assert.ok(await card.locator(`.column.${sort} details[open] > .source .line.here`).first().isVisible(), `source of ${line}`);
        assert.ok((await card.locator(".chain").innerText()).includes(line), line);
      }
    },
  },
  {
    name: "victims stand beside their culprit",
    when: (facts) => facts.victim !== undefined,
    run: async ({ tab, facts }) => {
      const victims = await tab.locator(".card").first().locator(".victims").innerText();
      assert.ok(victims.includes(facts.victim), victims);
    },
  },
  {
    name: "the life line of an address is there, zooms by wheel and keys, and tells what is pointed at",
    when: (facts) => facts.lines > 0,
    run: async ({ tab, facts }) => {
      const drawing = tab.locator("#lives .drawing");
      assert.equal(await tab.locator("#line option").count(), facts.lines);
      const ticks = async () => (await drawing.locator(".axis text").allTextContents()).join();
      assert.ok((await drawing.locator("rect.life").count()) > 0);
      assert.ok((await drawing.locator("path.strike").count()) > 0);
      const whole = await ticks();
      await drawing.scrollIntoViewIfNeeded();
      await drawing.focus();
      await tab.keyboard.press("+");
      const near = await ticks();
      assert.notEqual(near, whole);
      await tab.keyboard.press("ArrowRight");
      const moved = await ticks();
      assert.notEqual(moved, near);
      // A browser that has much to do drops a turn of the wheel, and a person turns again.
      for (let turns = 0; turns < 20 && (await ticks()) === moved; turns += 1) {
        await drawing.hover();
        await tab.mouse.wheel(0, -200);
        await tab.waitForTimeout(250);
      }
      assert.notEqual(await ticks(), moved);
      await tab.keyboard.press("Home");
      const all = await ticks();
      await tab.getByRole("button", { name: "Zoom in" }).click();
      assert.notEqual(await ticks(), all);
      await tab.getByRole("button", { name: "Show all" }).click();
      assert.equal(await ticks(), all);
      const life = drawing.locator("rect.life").first();
      await life.dispatchEvent("click");
      assert.match(await tab.locator("#lives .told").innerText(), /^Life \d+: .*allocated at .*; (ended|never ended)/);
      await tab.locator("#lives summary").click();
      const steps = await tab.locator("#lives .steps tbody tr").allInnerTexts();
      assert.ok(steps.some((step) => step.includes("begins")) && steps.some((step) => step.includes("excess free of culprit 1")));
    },
  },
  {
    name: "a link to a buffer shows its line, or finds it in the table",
    when: (facts) => facts.lines > 0,
    run: async ({ tab, open }) => {
      const link = tab.locator(".card").first().locator("a[href^='#buffer-']");
      const href = await link.getAttribute("href");
      const address = href.split("-")[2];
      await link.click();
      const chosen = (page) => page.locator("#line option:checked").innerText();
      // The browser tells of a change of the address when it comes to it.
      await tab.waitForFunction((wanted) => document.querySelector("#line").selectedOptions[0].text.startsWith(wanted), address);
      const other = await open(href);
      assert.ok((await chosen(other)).startsWith(address));
      assert.equal(await other.locator("#lives .drawing").evaluate((element) => element === document.activeElement), true);
      const last = await other.locator("#line option").last().getAttribute("value");
      await other.locator("#line").selectOption(last);
      assert.match(other.url(), /#buffer-\d+-0x[0-9a-f]+$/);
    },
  },
  {
    name: "live bytes are drawn, with the excess frees, and a moment is looked at by a link, a key and the slider",
    when: (facts) => facts.levels > 0,
    run: async ({ tab, open, facts }) => {
      const drawing = tab.locator("#live .drawing");
      assert.equal(await drawing.locator("path.curve").count(), Math.min(facts.levels, 6));
      assert.ok((await drawing.locator("rect.strike").count()) > 0);
      await drawing.focus();
      await tab.keyboard.press("Enter");
      assert.match(tab.url(), /#t-\d+$/);
      // The browser tells of a change of the address when it comes to it.
      await tab.getByRole("button", { name: "Live bytes", pressed: true }).waitFor();
      const told = tab.locator("#icicle .told");
      const middle = await told.innerText();
      await tab.locator("#moment").focus();
      await tab.keyboard.press("Home");
      assert.match(await tab.locator("#icicle output").innerText(), /^0\.0+ s$/);
      const first = await told.innerText();
      await tab.keyboard.press("End");
      const last = await told.innerText();
      // What is live may be the same at two of them.
      assert.ok(first !== middle || last !== middle, middle);
      const other = await open(new URL(tab.url()).hash);
      assert.equal(await other.locator("#icicle .told").innerText(), middle);
    },
  },
  {
    name: "the icicle goes from function to function by keys and clicks",
    when: (facts) => facts.lines > 0,
    run: async ({ tab }) => {
      const drawing = tab.locator("#icicle .drawing");
      const told = () => tab.locator("#icicle .told").innerText();
      assert.match(await told(), /^All: [\d,]+ excess frees \(100\.0 %\)$/);
      await drawing.focus();
      for (let depth = 0; depth < 60; depth += 1) {
        await tab.keyboard.press("ArrowDown");
      }
      const deepest = await told();
      assert.match(deepest, / excess frees \(\d+\.\d %\)$/);
      const before = await drawing.locator("rect").count();
      await tab.keyboard.press("Enter");
      assert.ok((await drawing.locator("rect").count()) < before);
      await tab.keyboard.press("Escape");
      await tab.getByRole("button", { name: "Live bytes" }).click();
      assert.match(await told(), /^All: .*(byte|KiB|MiB|GiB)/);
      await drawing.locator("rect").nth(1).dispatchEvent("click");
      assert.doesNotMatch(await told(), /^All/);
    },
  },
  {
    name: "ten thousand culprits and a million buffers can be sorted, searched and scrolled",
    when: (facts) => facts.big !== undefined,
    run: async ({ tab, facts, figure }) => {
      const paint = await tab.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? -1);
      const ready = await tab.evaluate(() => performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd);
      figure(`${facts.big}, first paint`, `${Math.round(paint)} ms`);
      figure(`${facts.big}, all parts there`, `${Math.round(ready)} ms`);
      const rows = tab.locator("#table tbody tr[aria-rowindex]");
      assert.ok((await rows.count()) < 100, "only rows in sight are there");
      assert.match(await tab.locator("#lives").innerText(), /^[\d,]+ more addresses with excess frees have no line here\.$/m);
      assert.equal(await tab.locator("#table table").getAttribute("aria-rowcount"), String(facts.culprits + 1));
      await tab.locator("#table th", { hasText: "Rank" }).getByRole("button").click();
      assert.match(await rows.first().innerText(), new RegExp(`^${facts.culprits.toLocaleString("en-US")}\\b`));
      await tab.locator("#table .rows").evaluate((element) => (element.scrollTop = element.scrollHeight));
      const last = tab.locator(`#table tr[aria-rowindex="${facts.culprits + 1}"]`);
      await last.waitFor();
      assert.match(await last.innerText(), /^1\b/);
      const link = await last.locator("a").getAttribute("href");
      await last.locator("a").click();
      assert.equal(await tab.locator(".card.chosen").getAttribute("id"), `card-${link.slice("#culprit-".length)}`);
      await tab.getByRole("tab", { name: /^Buffers/ }).click();
      const note = await tab.locator("#table .note").innerText();
      assert.ok(note.includes(`${(facts.buffers - 10000).toLocaleString("en-US")} more buffers`), note);
      await tab.getByRole("tab", { name: /^Allocations/ }).click();
      const cells = await tab.locator("#table tbody tr[aria-rowindex] td:nth-child(3)").allInnerTexts();
      const sum = cells.reduce((all, cell) => all + Number(cell.replaceAll(",", "")), 0);
      assert.equal(sum, facts.buffers);
    },
  },
  {
    name: "hostile names are text",
    when: (facts) => facts.hostile !== undefined,
    run: async ({ tab, facts }) => {
      for (const chosen of await tab.getByRole("tab").all()) {
        await chosen.click();
        const found = await tab.evaluate(() => ({
          hurt: window.hurt === true,
          elements: document.querySelectorAll("main img, main iframe, main script, main b, main object, main form").length,
          text: document.body.innerText,
          attributes: [...document.querySelectorAll("main *")].filter((element) =>
            [...element.attributes].some((attribute) => attribute.name.startsWith("on")),
          ).length,
        }));
        assert.equal(found.hurt, false);
        assert.equal(found.elements, 0);
        assert.equal(found.attributes, 0);
        const odd = [...found.text].filter((character) => /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/u.test(character));
        assert.deepEqual(odd, []);
      }
      await tab.getByRole("tab").first().click();
      for (const name of facts.hostile) {
        const text = await tab.locator("main").innerText();
        assert.ok(text.includes(name), `${name} is not in ${text.slice(0, 2000)}`);
      }
    },
  },
];
