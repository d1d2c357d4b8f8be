// The shop in German, and the way from one language to another.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { CARDS, buyer, content, judge, launch, shot, signIn } from "./support.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

const lang = (page) => page.locator("html").getAttribute("lang");

for (const scripts of [true, false]) {
  test(`from the programme to the tickets in German (scripts: ${scripts})`, async () => {
    const eva = await buyer(browser, { size: "small", locale: "de-AT", scripts });
    const { page } = eva;
    await page.goto("/");
    await page.getByRole("heading", { name: "Programm" }).waitFor();
    await page.getByRole("link", { name: "Anmelden" }).click();
    await signIn(eva);
    await page.getByRole("heading", { name: "Konto" }).waitFor();
    await page.goto("/events/the-seagull");
    await page.getByText("Endpreise").waitFor();
    await shot(eva, `40-german-event-${scripts}`);
    await page.getByRole("link", { name: "Tickets auswählen" }).first().click();
    if (scripts) {
      await page.waitForFunction(() => document.querySelector("[data-chart]")?.chart);
      await page.getByRole("button", { name: "Plätze vorschlagen" }).click();
      await page.locator(".suggestion").first().click();
      await page.getByRole("button", { name: /^2\s+Tickets reservieren$/ }).waitFor();
      assert.match(await page.locator("[data-sum]").innerText(), /^2\s+Tickets · \d+,\d\d\s+€/);
      assert.match(await page.locator(".suggestion").first().innerText(), /Reihe .+, Plätze \d+–\d+/);
      await judge(eva, "choose in German");
      await shot(eva, "41-german-choose");
    }
    await page.locator("form.best select").last().selectOption("1");
    await page.getByRole("button", { name: "Beste Plätze reservieren" }).click();
    await page.getByRole("heading", { name: "Ihre Plätze" }).waitFor();
    if (scripts) await judge(eva, "hold in German");
    await shot(eva, `42-german-hold-${scripts}`);
    await page.getByRole("button", { name: /zahlungspflichtig bestellen/ }).click();
    await page.waitForURL(/\/sandbox\/pay\//);
    assert.equal(await lang(page), "de");
    await shot(eva, `43-german-pay-${scripts}`);
    await page.getByLabel("Kartennummer").fill(CARDS.approved);
    await page.getByLabel("Gültig bis").fill("12 / 39");
    await page.getByLabel("Prüfnummer").fill("123");
    await page.getByLabel("Name auf der Karte").fill("Eva Muster");
    await page.getByRole("button", { name: /bezahlen$/ }).click();
    await page.getByRole("heading", { name: "Sie sind dabei!" }).waitFor();
    await shot(eva, `44-german-tickets-${scripts}`);
    await page.getByRole("link", { name: "Meine Tickets" }).click();
    await page.getByText("1\u00a0gültig").waitFor();
    await page.getByRole("link", { name: /Codes zeigen/ }).click();
    await page.getByRole("heading", { name: "Sie sind dabei!" }).waitFor();
    await content(eva);
  });
}

test("the switch keeps the page, and the choice is remembered", async () => {
  const ada = await buyer(browser, { refusals: [404] });
  const { page } = ada;
  await page.goto("/events/aurora/sections/FLOOR?x=1");
  assert.equal(await lang(page), "en");
  await page.getByRole("link", { name: "Deutsch" }).click();
  await page.waitForURL(/FLOOR\?x=1&lang=de$/);
  assert.equal(await lang(page), "de");
  await page.goto("/nothing");
  await page.getByRole("heading", { name: "Hier ist nichts" }).waitFor();
  await page.getByRole("link", { name: "English" }).click();
  await page.getByRole("heading", { name: "Nothing here" }).waitFor();
  await content(ada);
});

test("scripts get their words in every language", async () => {
  const ada = await buyer(browser);
  await ada.page.goto("/");
  const [url] = await ada.page.locator("link[href*='words-']").evaluateAll((all) => all.map((one) => one.href));
  for (const tag of ["en", "de"]) {
    const answer = await ada.page.request.get(url.replace(/words-\w+/, `words-${tag}`));
    assert.equal(answer.status(), 200);
    assert.match(await answer.text(), /"script.yourTurn":/);
  }
  await content(ada);
});
