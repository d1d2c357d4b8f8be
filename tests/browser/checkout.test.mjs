// The hold's page to the payment: price types that change, names of attendees, and terms.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { CARDS, buyer, content, hasTickets, judge, launch, payBy, shot } from "./support.mjs";

const HOLD = /\/events\/night-songs\/holds\//;

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

for (const size of ["small", "wide"]) {
  for (const scripts of [true, false]) {
    describe(`on a ${size} screen ${scripts ? "with" : "without"} scripts`, () => {
      const name = (what) => `checkout-${what}${scripts ? "" : "-plain"}`;
      const judged = (who, what) => (scripts ? judge(who, what) : undefined);

      test("an adult becomes a child, names are asked for and the terms accepted", async () => {
        const ada = await buyer(browser, { size, scripts, refusals: [422] });
        const { page } = ada;
        await hold(ada);
        await judged(ada, "hold");
        const places = await page.locator(".places li").allTextContents();
        const total = page.locator(".total strong");
        const before = await total.textContent();

        await page.getByText("Change price types").click();
        await page.locator(".retype select").nth(1).selectOption({ label: await optionOf(page, "Child") });
        if (scripts) await page.locator("[data-new-total]").getByText(/^New total: €/).waitFor();
        await page.getByLabel("E-mail").fill(ada.email);
        await shot(ada, name("1-retype"));
        await judged(ada, "price types");
        const said = scripts ? await page.locator("[data-new-total]").textContent() : "";
        await page.getByRole("button", { name: "Change", exact: true }).click();
        await page.getByText(/^Changed\./).waitFor();
        const after = await total.textContent();
        assert.notEqual(after, before);
        assert.ok(!scripts || said.endsWith(after), `${said} was ${after}`);
        const now = await page.locator(".places li").allTextContents();
        assert.deepEqual(now.sort(), places.sort(), "the places stay");
        assert.equal(await page.getByLabel("E-mail").inputValue(), ada.email, "what was typed stays");

        // What the browser itself would hold back.
        await page.evaluate(() => (document.querySelector("#checkout-form").noValidate = true));
        const people = page.locator("[name^=attendee-]");
        await people.first().fill("Ada Lovelace");
        await page.getByRole("button", { name: /^Pay / }).click();
        const alert = page.getByRole("alert");
        await alert.getByText("Something is still missing").waitFor();
        assert.equal(await people.first().inputValue(), "Ada Lovelace");
        const second = people.nth(1);
        assert.equal(await second.getAttribute("aria-invalid"), "true");
        const why = await second.getAttribute("aria-describedby");
        assert.match(await page.locator(`#${why}`).textContent(), /Enter the name/);
        assert.equal(await page.locator("[name=terms]").getAttribute("aria-invalid"), "true");
        await shot(ada, name("2-missing"));
        await judged(ada, "missing details");

        await second.fill("Byron Lovelace");
        await page.getByLabel("I accept the organizer’s terms").check();
        // The Enter key pays, whatever buttons come before.
        await second.press("Enter");
        await page.waitForURL(/\/sandbox\/pay\//);
        await payBy(ada, CARDS.approved);
        await hasTickets(ada, 2);
        const names = await page.locator(".attendee").allTextContents();
        assert.deepEqual(names.map((text) => text.replace("For: ", "")).sort(), ["Ada Lovelace", "Byron Lovelace"]);
        await shot(ada, name("3-tickets"));
        await judged(ada, "tickets with names");
        await page.emulateMedia({ media: "print" });
        await page.screenshot({ path: new URL(`./artifacts/${name("4-print")}-${size}.png`, import.meta.url).pathname, fullPage: true });
        await content(ada);
      });

      test("nobody pays a price that they have not seen", async () => {
        const ada = await buyer(browser, { size, scripts });
        const { page } = ada;
        await hold(ada);
        const before = await page.locator(".total strong").textContent();
        await page.getByText("Change price types").click();
        await page.locator(".retype select").first().selectOption({ label: await optionOf(page, "Child") });
        await fill(ada);
        await page.getByRole("button", { name: /^Pay / }).click();
        await page.getByText(/Look at the new total/).waitFor();
        const total = await page.locator(".total strong").textContent();
        assert.notEqual(total, before);
        await judged(ada, "prices taken over");
        await page.getByRole("button", { name: /^Pay / }).click();
        await page.waitForURL(/\/sandbox\/pay\//);
        assert.ok((await page.locator("body").textContent()).includes(total.replace("€", "")), total);
        await content(ada);
      });
    });
  }
}

test("in German, in the dark, and with more time", async () => {
  const ada = await buyer(browser, { size: "small", colorScheme: "dark", locale: "de-DE", refusals: [409] });
  const { page } = ada;
  await page.goto("/events/night-songs/choose");
  await page.locator("form.best select").first().selectOption("2");
  await page.locator("form.best button[type=submit]").click();
  await page.waitForURL(HOLD);
  await page.getByText("Preisart ändern").click();
  await page.getByLabel("E-Mail").fill(ada.email);
  await shot(ada, "checkout-5-german");
  await judge(ada, "German and dark");
  await page.getByRole("button", { name: "Ich brauche mehr Zeit" }).click();
  await page.waitForLoadState("load");
  assert.equal(await page.getByLabel("E-Mail").inputValue(), ada.email, "what was typed stays");
  await content(ada);
});

async function hold({ page }) {
  await page.goto("/events/night-songs/choose");
  await page.locator("form.best select").first().selectOption("2");
  await page.getByRole("button", { name: "Hold the best places" }).click();
  await page.waitForURL(HOLD);
  await page.getByRole("heading", { name: "Your places" }).waitFor();
}

async function fill({ page, email }) {
  await page.getByLabel("E-mail").fill(email);
  for (const field of await page.locator("[name^=attendee-]").all()) await field.fill("Ada Lovelace");
  await page.getByLabel("I accept the organizer’s terms").check();
}

const optionOf = async (page, kind) => {
  const texts = await page.locator(".retype select").first().locator("option").allTextContents();
  return texts.find((text) => text.startsWith(kind));
};
