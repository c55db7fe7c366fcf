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
    name: "victims stand beside their culprit",
    when: (facts) => facts.victim !== undefined,
    run: async ({ tab, facts }) => {
      const victims = await tab.locator(".card").first().locator(".victims").innerText();
      assert.ok(victims.includes(facts.victim), victims);
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
