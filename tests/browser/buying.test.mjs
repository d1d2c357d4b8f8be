// Buying, from the list of events to the tickets, as people do it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  CARDS, buyer, checkOut, content, freePair, hasTickets, launch, payBy, shot, tabTo, tick,
} from "./support.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

for (const size of ["phone", "desk"]) {
  describe(`on a ${size}`, () => {
    test("best available: two together, paid, two tickets", async () => {
      const ada = await buyer(browser, { size });
      const { page } = ada;
      await page.goto("/");
      await shot(ada, "1-home");
      await page.getByRole("link", { name: "The Seagull" }).click();
      await page.getByRole("heading", { name: "The Seagull" }).waitFor();
      await shot(ada, "2-event");
      await page.getByRole("link", { name: "Choose tickets" }).click();
      await page.getByLabel("Adult, First price: how many").selectOption("2");
      await page.locator("[data-chosen]").getByText("2 tickets · €245.96").waitFor();
      await shot(ada, "3-choose");
      await page.getByRole("button", { name: "Hold the best places" }).click();
      await page.getByRole("heading", { name: "Your places" }).waitFor();
      const places = await page.locator(".places li").allTextContents();
      assert.equal(places.length, 2);
      const [a, b] = places.map((label) => Number(label.match(/seat (\d+)/)[1]));
      assert.equal(Math.abs(a - b), 1, `${places} are neighbours`);
      await page.locator("[role=timer]").getByText(/^\d+:\d\d$/).waitFor();
      await shot(ada, "4-hold");
      await checkOut(ada);
      await shot(ada, "5-pay");
      await payBy(ada, CARDS.approved);
      await hasTickets(ada, 2);
      await shot(ada, "6-order");
      await content(ada);
    });

    test("seats from the list, one of them for a child", async () => {
      const ada = await buyer(browser, { size });
      const { page } = ada;
      await page.goto("/events/the-seagull/sections/CI");
      const [first, second] = await freePair(page);
      await tick(page, [first, second]);
      await page.getByLabel(/^Child tickets among them/).selectOption("1");
      await page.locator("[data-chosen]").getByText(/^2 tickets · €/).waitFor();
      const said = await page.locator("[data-chosen]").textContent();
      await shot(ada, "7-seats");
      await page.getByRole("button", { name: "Hold these seats" }).click();
      await page.getByRole("heading", { name: "Your places" }).waitFor();
      const total = await page.locator(".total strong").textContent();
      assert.ok(said.includes(total), `the list said ${said}, the hold says ${total}`);
      await page.getByText("1 × ").first().waitFor();
      await checkOut(ada);
      await payBy(ada, CARDS.approved);
      await hasTickets(ada, 2);
      await content(ada);
    });

    test("standing: an area by quantity", async () => {
      const ada = await buyer(browser, { size });
      const { page } = ada;
      await page.goto("/events/aurora/choose");
      await page.locator(".sections a", { hasText: "standing" }).first().click();
      await page.locator("select[data-amount]").first().selectOption("3");
      await shot(ada, "8-area");
      await page.getByRole("button", { name: "Hold these places" }).click();
      await page.locator(".places li").getByText(/^3 × /).waitFor();
      await checkOut(ada);
      await payBy(ada, CARDS.approved);
      await hasTickets(ada, 3);
      await content(ada);
    });

    test("a declined card, then an approved one", async () => {
      const ada = await buyer(browser, { size, refusals: [402] });
      await hold(ada);
      await checkOut(ada);
      await payBy(ada, CARDS.declined);
      await ada.page.getByRole("alert").getByText(/declined/).waitFor();
      await ada.page.getByRole("link", { name: /Back without paying/ }).click();
      await ada.page.getByRole("alert").getByText(/the card was declined/).waitFor();
      await shot(ada, "9-declined");
      await ada.page.getByRole("button", { name: /^Pay / }).click();
      await payBy(ada, CARDS.approved);
      await hasTickets(ada, 2);
      await content(ada);
    });

    test("3-D Secure: the bank asks", async () => {
      const ada = await buyer(browser, { size });
      await hold(ada);
      await checkOut(ada);
      await payBy(ada, CARDS.asked);
      await ada.page.getByRole("button", { name: "Yes, approve" }).click();
      await hasTickets(ada, 2);
      await content(ada);
    });

    test("without scripts", async () => {
      const ada = await buyer(browser, { size, scripts: false });
      const { page } = ada;
      await page.goto("/");
      await page.getByRole("link", { name: "The Seagull" }).click();
      await page.getByRole("link", { name: "Choose tickets" }).click();
      await page.getByRole("link", { name: /Balcony/ }).click();
      const [first, second] = await freePairWithoutScripts(page);
      await tick(page, [first, second]);
      await page.getByRole("button", { name: "Hold these seats" }).click();
      await page.getByText(/about \d+ min/).waitFor();
      await checkOut(ada);
      await payBy(ada, CARDS.approved);
      await hasTickets(ada, 2);
      await content(ada);
    });
  });
}

test("with the keyboard alone", async () => {
  const ada = await buyer(browser, { size: "desk" });
  const { page } = ada;
  const type = (text) => page.keyboard.type(text);
  await page.goto("/");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  await page.keyboard.press("Enter");
  await tabTo(page, "a[href='/events/the-seagull']");
  await page.keyboard.press("Enter");
  await page.waitForURL(/the-seagull$/);
  await tabTo(page, "a[href$='/choose']");
  await page.keyboard.press("Enter");
  await page.waitForURL(/choose$/);
  await tabTo(page, "select[name=n-2]");
  await type("2");
  await tabTo(page, "form.best button[type=submit]");
  await page.keyboard.press("Enter");
  await page.waitForURL(/holds/);
  await tabTo(page, "#email");
  await type(ada.email);
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/sandbox\/pay\//);
  await tabTo(page, "#number");
  for (const [id, text] of [["number", CARDS.approved], ["expiry", "1239"], ["cvc", "123"], ["name", "Ada"]]) {
    if (id !== "number") await tabTo(page, `#${id}`);
    await type(text);
  }
  await page.keyboard.press("Enter");
  await hasTickets(ada, 2);
  await content(ada);
});

async function hold({ page }) {
  await page.goto("/events/the-seagull/choose");
  await page.getByLabel("Adult, Second price: how many").selectOption("2");
  await page.getByRole("button", { name: "Hold the best places" }).click();
  await page.getByRole("heading", { name: "Your places" }).waitFor();
}

// `evaluate` works without scripts in the page too: the driver's own code still runs.
const freePairWithoutScripts = (page) => freePair(page, 3);
