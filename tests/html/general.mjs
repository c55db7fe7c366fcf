// What holds of every report.

import assert from "node:assert/strict";

const texts = (locator) => locator.allInnerTexts();

// Serious and worse, as axe-core counts.
async function barriers(tab, axe) {
  // By the debugger's way in, which the page's policy does not bind.
  await tab.evaluate(axe.source);
  const found = await tab.evaluate(async () => {
    const result = await window.axe.run(document, { resultTypes: ["violations"] });
    return result.violations
      .filter((violation) => ["serious", "critical"].includes(violation.impact))
      .map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.html).join(" | ").slice(0, 600)}`);
  });
  assert.deepEqual(found, []);
}

export const general = [
  {
    name: "it opens with the answer",
    run: async ({ tab, facts }) => {
      const heading = await tab.locator("main h1").innerText();
      assert.ok(heading.includes(facts.answer), heading);
      const top = await tab.locator("main h1").boundingBox();
      assert.ok(top.y < 200, `the answer is ${top.y} down`);
    },
  },
  {
    name: "a policy forbids all that is not the page's own",
    run: async ({ tab, forgive }) => {
      const policy = await tab.locator("meta[http-equiv='Content-Security-Policy']").getAttribute("content");
      assert.match(policy, /^default-src 'none'; script-src 'sha256-[^']{44}'; style-src 'sha256-[^']{44}';/);
      const ran = await tab.evaluate(() => {
        const script = document.createElement("script");
        script.textContent = "window.foreign = true;";
        document.body.append(script);
        return window.foreign === true;
      });
      assert.match(forgive(), /violates the following Content Security Policy directive/);
      assert.equal(ran, false);
    },
  },
  {
    name: "cards have three stacks side by side on a wide page, and below each other on a narrow one",
    when: (facts) => facts.stacks === 3,
    run: async ({ tab }) => {
      const columns = tab.locator(".card").first().locator(".column");
      assert.equal(await columns.count(), 3);
      const boxes = async () => Promise.all([0, 1, 2].map((index) => columns.nth(index).boundingBox()));
      const wide = await boxes();
      assert.ok(wide[0].x < wide[1].x && wide[1].x < wide[2].x && wide[0].y === wide[2].y);
      await tab.setViewportSize({ width: 800, height: 900 });
      const narrow = await boxes();
      assert.ok(narrow[0].y < narrow[1].y && narrow[1].y < narrow[2].y && narrow[0].x === narrow[2].x);
    },
  },
  {
    name: "nothing sticks out of the page at 1280 and at 800",
    run: async ({ tab }) => {
      for (const width of [1280, 800]) {
        await tab.setViewportSize({ width, height: 900 });
        const needed = await tab.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(needed <= width, `${needed} of ${width}`);
      }
    },
  },
  {
    name: "a click on a column sorts by it, a second one the other way round",
    when: (facts) => facts.culprits >= 2,
    run: async ({ tab }) => {
      const head = tab.locator("#table th", { hasText: "Rank" });
      const values = async () => {
        const cells = await texts(tab.locator("#table tbody tr[aria-rowindex] td:nth-child(1)"));
        return cells.map((cell) => Number(cell.replaceAll(",", "")));
      };
      await head.getByRole("button").click();
      assert.equal(await head.getAttribute("aria-sort"), "descending");
      const down = await values();
      assert.deepEqual(down, [...down].sort((a, b) => b - a));
      await head.getByRole("button").press("Enter");
      assert.equal(await head.getAttribute("aria-sort"), "ascending");
      const up = await values();
      assert.deepEqual(up, [...up].sort((a, b) => a - b));
      assert.ok(up[0] < down[0]);
    },
  },
  {
    name: "search leaves the rows that have every word",
    when: (facts) => facts.culprits >= 2,
    run: async ({ tab, facts }) => {
      await tab.locator("#t-culprits-search").pressSequentially(facts.search);
      const rows = await texts(tab.locator("#table tbody tr[aria-rowindex]"));
      assert.equal(rows.length, 1, rows.join("\n"));
      assert.ok(rows[0].toLowerCase().includes(facts.search.toLowerCase()), rows[0]);
      assert.match(await tab.locator("#table .count").innerText(), /^1 of /);
      await tab.locator("#t-culprits-search").fill("nobody is called so");
      assert.equal(await tab.locator("#table tbody tr[aria-rowindex]").count(), 0);
    },
  },
  {
    name: "every cell of every table says what it is there for, sizes in bytes among them",
    run: async ({ tab }) => {
      for (const chosen of await tab.getByRole("tab").all()) {
        await chosen.click();
        const cells = await texts(tab.locator("#table tbody tr[aria-rowindex] td"));
        assert.ok(cells.length > 0);
        assert.deepEqual(cells.filter((cell) => /NaN|undefined|\[object/.test(cell)), []);
        const heads = await texts(tab.locator("#table th"));
        for (const head of ["Size", "Bytes"].filter((head) => heads.includes(head))) {
          const sizes = await texts(tab.locator(`#table tbody tr[aria-rowindex] td:nth-child(${heads.indexOf(head) + 1})`));
          assert.deepEqual(sizes.filter((size) => !/^[\d,.]+ (bytes?|[KMGTPE]iB)$/.test(size)), []);
        }
      }
    },
  },
  {
    name: "arrows move between the tables",
    run: async ({ tab }) => {
      const first = tab.getByRole("tab").first();
      const second = tab.getByRole("tab").nth(1);
      await first.focus();
      await tab.keyboard.press("ArrowRight");
      assert.equal(await second.getAttribute("aria-selected"), "true");
      assert.equal(await second.evaluate((element) => element === document.activeElement), true);
      const labelled = await tab.getByRole("tabpanel").getAttribute("aria-labelledby");
      assert.equal(labelled, await second.getAttribute("id"));
    },
  },
  {
    name: "a link to a culprit shows it, from a click and from outside",
    when: (facts) => facts.culprits >= 1,
    run: async ({ tab, open }) => {
      const link = tab.locator("#table tbody tr[aria-rowindex] a").last();
      const href = await link.getAttribute("href");
      assert.match(href, /^#culprit-[0-9a-f]+/);
      const id = href.slice("#culprit-".length);
      await link.click();
      const chosen = (page) => page.locator(".card.chosen");
      assert.equal(await chosen(tab).getAttribute("id"), `card-${id}`);
      const other = await open(href);
      assert.equal(await chosen(other).getAttribute("id"), `card-${id}`);
      const box = await chosen(other).boundingBox();
      assert.ok(box.y >= 0 && box.y < 450, `the card is at ${box.y}`);
      assert.equal(await chosen(other).evaluate((element) => element === document.activeElement), true);
    },
  },
  {
    name: "links to what is not there do no harm",
    run: async ({ open }) => {
      for (const fragment of ["#culprit-", "#culprit-zzz", "#buffer-9-0x0", "#buffer-x", "#t-", "#t-99999999999999999999", "#%00", "#'<b>"]) {
        const other = await open(fragment);
        assert.equal(await other.locator(".card.chosen").count(), 0);
        await other.close();
      }
    },
  },
  {
    name: "the first key leads past the navigation",
    run: async ({ tab }) => {
      await tab.keyboard.press("Tab");
      const focused = tab.locator(":focus");
      assert.equal(await focused.innerText(), "Skip to the answer");
      assert.ok((await focused.boundingBox()).x >= 0);
      await tab.keyboard.press("Enter");
      assert.equal(await tab.evaluate(() => document.activeElement.id), "answer");
    },
  },
  {
    name: "the button and the system choose dark or light",
    run: async ({ tab, open }) => {
      const ground = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const light = await ground(tab);
      await tab.locator("#theme").click();
      const dark = await ground(tab);
      assert.notEqual(dark, light);
      await tab.locator("#theme").click();
      assert.equal(await ground(tab), light);
      const other = await open();
      await other.emulateMedia({ colorScheme: "dark" });
      assert.equal(await ground(other), dark);
      // The page hears of it with the next frame.
      await other.locator("#theme", { hasText: "Light" }).waitFor();
    },
  },
  {
    name: "on paper there are no buttons, all of the stacks, and the beginning of each table with how many rows are left out",
    run: async ({ tab }) => {
      const folded = tab.locator(".card details:not([open])");
      const before = await folded.count();
      // Whoever reads in the dark prints on white all the same.
      await tab.locator("#theme").click();
      await tab.evaluate(() => dispatchEvent(new Event("beforeprint")));
      await tab.setViewportSize({ width: 720, height: 1000 });
      await tab.emulateMedia({ media: "print" });
      assert.equal(await tab.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(255, 255, 255)");
      assert.equal(await tab.locator("header.bar").isVisible(), false);
      assert.equal(await tab.locator("button:visible").count(), 0);
      assert.equal(await folded.count(), 0);
      const needed = await tab.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(needed <= 720, `${needed} of 720`);
      const tables = tab.locator("#tables .paper > div");
      const tabs = await tab.getByRole("tab", { includeHidden: true }).allTextContents();
      assert.equal(await tables.count(), tabs.length);
      for (const [index, title] of tabs.entries()) {
        const [, name, count] = title.match(/^(\D+) ([\d,]+)$/);
        const all = Number(count.replaceAll(",", ""));
        const table = tables.nth(index);
        assert.equal(await table.locator("h3").innerText(), name);
        assert.ok(await table.isVisible());
        assert.equal(await table.locator("tbody tr").count(), Math.min(all, 200));
        const left = table.getByText(/^[\d,]+ more rows? (is|are) not printed\.$/);
        assert.deepEqual(await texts(left), all <= 200 ? [] : [`${(all - 200).toLocaleString("en-US")} more ${all === 201 ? "row is" : "rows are"} not printed.`]);
      }
      await tab.evaluate(() => dispatchEvent(new Event("afterprint")));
      assert.equal(await tab.locator(".paper").count(), 0);
      assert.equal(await folded.count(), before);
    },
  },
  {
    name: "a browser that prints is told to, and its paper has the last table on it",
    run: async ({ tab }) => {
      // What stands on the page while it is printed.
      await tab.evaluate(() => addEventListener("beforeprint", () => (window.printed = document.querySelectorAll("#tables .paper tbody tr").length)));
      const paper = (await tab.pdf()).toString("latin1");
      assert.ok((paper.match(/\/Type\s*\/Page\b/g) ?? []).length >= 2);
      assert.ok((await tab.evaluate(() => window.printed)) > 0);
      assert.equal(await tab.locator(".paper").count(), 0);
    },
  },
  {
    name: "axe-core finds nothing serious, in the light and in the dark, at 1280 and at 800",
    run: async ({ tab, axe }) => {
      for (const [width, colorScheme] of [[1280, "light"], [800, "dark"]]) {
        await tab.setViewportSize({ width, height: 900 });
        await tab.emulateMedia({ colorScheme });
        for (const chosen of await tab.getByRole("tab").all()) {
          await chosen.click();
          await barriers(tab, axe);
        }
      }
    },
  },
];
