// Every page, judged by axe: WCAG 2.2 A and AA, and what axe calls best practice.

import { after, before, test } from "node:test";
import {
  CARDS, buyer, checkOut, content, hasTickets, judge, launch, payBy, signIn,
} from "./support.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

for (const [size, colorScheme] of [["small", "light"], ["desk", "dark"]]) {
  test(`on every page there is nothing to find (${size}, ${colorScheme})`, async () => {
    const ada = await buyer(browser, { size, colorScheme, reducedMotion: "reduce", refusals: [404, 409, 422] });
    const { page } = ada;
    const plain = [
      "/", "/events/the-seagull", "/events/the-seagull/sections/CI", "/events/aurora/sections/FLOOR",
      "/events/aurora/draw", "/sign-in", "/mailbox", "/docs", "/problems/places_taken", "/nothing/here",
    ];
    for (const path of plain) {
      await page.goto(path);
      await judge(ada, path);
    }
    await page.goto("/sign-in");
    // Another address than the one that signs in: no mail of that one's may be taken for the next.
    await page.getByLabel("E-mail").fill(`nobody-${Date.now()}@example.org`);
    await page.getByRole("button", { name: "Send me a code" }).click();
    await page.getByLabel("Code").waitFor();
    await judge(ada, "sign-in code");
    await page.goto("/sign-in?next=/tickets");
    await signIn(ada);
    await judge(ada, "no tickets yet");
    await page.goto("/events/the-seagull/choose");
    await page.waitForFunction(() => document.querySelector("[data-chart]")?.chart);
    await judge(ada, "choose");
    await page.getByRole("button", { name: "Suggest seats" }).click();
    await page.locator(".suggestion").first().click();
    await page.locator("[data-list] summary").click();
    await judge(ada, "choose, with a choice");
    await page.goto("/events/the-seagull/choose");
    await page.getByRole("button", { name: "Hold the best places" }).click();
    await page.getByRole("alert").waitFor();
    await judge(ada, "choose, refused");
    await page.getByLabel("Adult, Second price: how many").selectOption("1");
    await page.getByRole("button", { name: "Hold the best places" }).click();
    await page.getByRole("heading", { name: "Your places" }).waitFor();
    await judge(ada, "hold");
    await checkOut(ada);
    await judge(ada, "payment page");
    await page.getByRole("link", { name: /Back without paying/ }).click();
    await page.getByRole("button", { name: /^Pay / }).waitFor();
    await judge(ada, "order to be paid");
    await page.getByRole("button", { name: /^Pay / }).click();
    await payBy(ada, CARDS.approved);
    await hasTickets(ada, 1);
    await judge(ada, "order with tickets");
    for (const path of ["/tickets", "/account", "/tickets?lang=de", "/account?lang=de"]) {
      await page.goto(path);
      await judge(ada, path);
    }
    await content(ada);
  });
}
