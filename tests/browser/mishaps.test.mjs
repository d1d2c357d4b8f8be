// What goes wrong for people: faster buyers, second thoughts, double clicks, strangers' forms.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  BASE, CARDS, buyer, checkOut, content, freePair, hasTickets, judge, launch, payBy, shot, tick,
} from "./support.mjs";

const SECTION = "/events/the-seagull/sections/BA";
let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

async function holdSeats({ page }, places, equivalent = true) {
  await page.goto(SECTION);
  await tick(page, places);
  await page.getByLabel(/equally good seats instead/).setChecked(equivalent);
  await page.getByRole("button", { name: "Hold these seats" }).click();
}

// The demo's events give places back within 10 seconds.
const RETURN_MS = 10_000;
const giveBack = async ({ page }) => {
  await page.getByRole("button", { name: "Give these places back" }).click();
  await page.getByText("Your places were given back.").waitFor();
};

describe("two buyers after the same seats", () => {
  test("who watches sees them go", async () => {
    const [ada, bob] = [await buyer(browser), await buyer(browser)];
    await bob.page.goto(SECTION);
    const [first, second] = await freePair(bob.page);
    await tick(bob.page, [first, second]);
    await holdSeats(ada, [first, second]);
    await ada.page.getByRole("heading", { name: "Your places" }).waitFor();
    await bob.page.locator("[data-chosen]").getByText(/just went/).waitFor();
    const seat = bob.page.locator(`input[value="${first}"]`);
    assert.ok(await seat.isDisabled());
    await giveBack(ada);
    // Places come back at a random moment, within the time that the event gives them.
    const free = bob.page.locator(`input[value="${first}"]:not(:disabled)`);
    await free.waitFor({ state: "attached", timeout: 3 * RETURN_MS });
    await content(ada);
    await content(bob);
  });

  for (const size of ["phone", "desk"]) {
    test(`who was slower is told which, and offered others (${size})`, async () => {
      const ada = await buyer(browser, { size });
      const bob = await buyer(browser, { size, scripts: false, refusals: [409] });
      await bob.page.goto(SECTION);
      const [first, second] = await freePair(bob.page);
      await tick(bob.page, [first, second]);
      await bob.page.getByLabel(/equally good seats instead/).uncheck();
      await holdSeats(ada, [first, second]);
      await ada.page.getByRole("heading", { name: "Your places" }).waitFor();
      await bob.page.getByRole("button", { name: "Hold these seats" }).click();
      const alert = bob.page.getByRole("alert");
      await alert.getByText("Somebody was a moment faster").waitFor();
      assert.equal(await alert.getByRole("listitem").count(), 2);
      await shot(bob, "10-taken");
      await bob.page.getByRole("button", { name: "Hold equally good seats instead" }).click();
      await bob.page.getByText(/were just taken|was just taken/).waitFor();
      assert.equal(await bob.page.locator(".places li").count(), 2);
      await shot(bob, "11-instead");
      await giveBack(bob);
      await giveBack(ada);
      await content(ada);
      await content(bob);
    });
  }

  test("who allowed it holds others at once", async () => {
    const ada = await buyer(browser);
    const bob = await buyer(browser, { scripts: false });
    await bob.page.goto(SECTION);
    const [first, second] = await freePair(bob.page);
    await tick(bob.page, [first, second]);
    await holdSeats(ada, [first, second]);
    await ada.page.getByRole("heading", { name: "Your places" }).waitFor();
    await bob.page.getByRole("button", { name: "Hold these seats" }).click();
    await bob.page.getByText(/were just taken|was just taken/).waitFor();
    await giveBack(bob);
    await giveBack(ada);
    await content(ada);
    await content(bob);
  });
});

test("a choice that strands a seat is explained", async () => {
  const ada = await buyer(browser, { refusals: [409] });
  await ada.page.goto(SECTION);
  // Away from what other tests have just given back, which may be free again in any moment.
  const run = await freePair(ada.page, 2);
  await tick(ada.page, [run[1]]);
  await ada.page.getByRole("button", { name: "Hold these seats" }).click();
  await ada.page.getByRole("alert").getByText("That would leave one seat alone").waitFor();
  assert.ok(await ada.page.locator(`input[value="${run[1]}"]`).isChecked());
  await shot(ada, "12-orphan");
  await content(ada);
});

test("nothing chosen, too many, a wrong code: each is said in words", async () => {
  const ada = await buyer(browser, { refusals: [409, 422, 403] });
  const { page } = ada;
  const submit = () => page.getByRole("button", { name: "Hold the best places" }).click();
  const told = (text) => page.getByRole("alert").getByText(text).waitFor();
  await page.goto("/events/aurora/choose");
  await submit();
  await told("Choose how many tickets you want.");
  await page.getByLabel("Adult, Upper tier: how many").selectOption("8");
  await page.getByLabel("Child, Upper tier: how many").selectOption("1");
  await submit();
  await told(/You can take 8.tickets more/);
  await page.getByLabel("Child, Upper tier: how many").selectOption("0");
  await page.getByText("I have a code").click();
  await page.getByLabel("Promo code").fill("no such code");
  await submit();
  await told("This promo code can't be used");
  assert.equal(await page.getByLabel("Promo code").inputValue(), "no such code");
  await content(ada);
});

test("a double click, going back and sending again make one order", async () => {
  const ada = await buyer(browser, { size: "desk", scripts: false });
  const { page, context } = ada;
  await page.goto("/events/the-seagull/choose");
  const key = await page.locator("form.best input[name=key]").inputValue();
  const send = () => context.request.post("/events/the-seagull/holds", {
    form: { key, "n-2": "2" }, headers: { Origin: BASE }, maxRedirects: 0,
  });
  const [one, two] = await Promise.all([send(), send()]);
  assert.deepEqual([one.status(), two.status()], [303, 303]);
  assert.equal(one.headers().location, two.headers().location);
  await page.goto(one.headers().location);
  const holdPage = page.url();
  await page.getByLabel("E-mail").fill(ada.email);
  await page.getByRole("button", { name: /^Pay / }).dblclick();
  // Not for the address: the second click aborts what the first has begun.
  await page.getByLabel("Card number").waitFor();
  await payBy(ada, CARDS.approved);
  const codes = await hasTickets(ada, 2);
  await page.goto(holdPage);
  await page.waitForURL(/\/orders\//);
  const order = holdPage.split("/").at(-1);
  const again = await context.request.post(`/events/the-seagull/holds/${order}/checkout`, {
    form: { email: ada.email }, headers: { Origin: BASE }, maxRedirects: 0,
  });
  assert.equal(again.status(), 303);
  assert.match(again.headers().location, new RegExp(`/orders/${order}`));
  await page.goto(again.headers().location);
  assert.deepEqual(await hasTickets(ada, 2), codes);
  await content(ada);
});

test("the back button leads to what is held, and from a paid order's hold to the order", async () => {
  const ada = await buyer(browser);
  const { page } = ada;
  await page.goto("/events/the-seagull/choose");
  await page.getByLabel("Adult, Third price and restricted view: how many").selectOption("2");
  await page.getByRole("button", { name: "Hold the best places" }).click();
  await page.getByRole("heading", { name: "Your places" }).waitFor();
  await page.goBack();
  await page.reload();
  await page.getByText(/You hold 2.places/).waitFor();
  await shot(ada, "13-grip");
  await page.getByRole("link", { name: "Continue" }).click();
  await page.getByRole("button", { name: "I need more time" }).click();
  await page.getByRole("heading", { name: "Your places" }).waitFor();
  await checkOut(ada);
  await page.goBack();
  await page.waitForURL(/\/orders\//);
  await page.getByRole("button", { name: /^Pay / }).click();
  await payBy(ada, CARDS.approved);
  await hasTickets(ada, 2);
  await content(ada);
});

test("an order that is cancelled gives its places back", async () => {
  const ada = await buyer(browser);
  const { page } = ada;
  await page.goto(SECTION);
  const [first, second] = await freePair(page);
  await holdSeats(ada, [first, second]);
  await checkOut(ada);
  await page.getByRole("link", { name: /Back without paying/ }).click();
  await page.getByText("Cancel this order").click();
  await page.getByRole("button", { name: "Cancel the order" }).click();
  await page.getByRole("heading", { name: "This order was not paid" }).waitFor();
  await page.goto(SECTION);
  const free = page.locator(`input[value="${first}"]:not(:disabled)`);
  await free.waitFor({ state: "attached", timeout: 3 * RETURN_MS });
  await content(ada);
});

test("a hold that is over, and one that isn't yours, say so", async () => {
  const ada = await buyer(browser, { refusals: [410] });
  const bob = await buyer(browser, { refusals: [401, 410] });
  await ada.page.goto(SECTION);
  const [first, second] = await freePair(ada.page);
  await holdSeats(ada, [first, second]);
  await ada.page.getByRole("heading", { name: "Your places" }).waitFor();
  const address = ada.page.url();
  await bob.page.goto(address);
  await bob.page.getByRole("heading", { name: "We don't know you here" }).waitFor();
  await giveBack(ada);
  await ada.page.goto(address);
  await ada.page.getByRole("heading", { name: "Your time is up" }).waitFor();
  await shot(ada, "14-over");
  await content(ada);
  await content(bob);
});

test("a form from another site does nothing", async () => {
  const ada = await buyer(browser);
  await ada.page.goto("/events/the-seagull/choose");
  for (const headers of [{ Origin: "https://evil.example" }, { "Sec-Fetch-Site": "cross-site" }]) {
    const answer = await ada.context.request.post("/events/the-seagull/holds", {
      form: { key: "k", "n-2": "2" }, headers, maxRedirects: 0,
    });
    assert.equal(answer.status(), 403);
  }
  await content(ada);
});

test("who finds no places can wait for some that come back, and stop waiting", async () => {
  const ada = await buyer(browser, { size: "small", refusals: [409] });
  const { page } = ada;
  await page.goto("/events/the-seagull/choose");
  // More wheelchair places together than there are.
  await page.locator("form.best input[name=accessible]").check();
  await page.getByLabel("Adult, Second price: how many").selectOption("8");
  await page.getByRole("button", { name: "Hold the best places" }).click();
  await page.getByRole("alert").getByText("Not that many together").waitFor();
  await shot(ada, "12-ask");
  await judge(ada, "refused, with leave to ask");
  await page.getByRole("button", { name: "Wait for such places" }).click();
  await page.getByRole("heading", { name: /You are in line for places/ }).waitFor();
  await judge(ada, "in line for what comes back");
  await shot(ada, "13-asked");
  await page.getByRole("button", { name: "Don’t wait any longer" }).click();
  await page.getByRole("heading", { name: "Choose tickets", level: 1 }).waitFor({ state: "attached" });
  await content(ada);
});
