// Pages that aren't part of buying, and what all pages have in common.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  BASE, CARDS, buyer, checkOut, content, hasTickets, launch, payBy, poorContrasts, shot,
} from "./support.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

test("pages may load and run nothing but their own files", async () => {
  const ada = await buyer(browser);
  for (const path of ["/", "/events/aurora", "/events/aurora/choose", "/docs", "/problems/places_taken"]) {
    const { headers, status } = await head(ada, path);
    assert.equal(status, 200, path);
    const policy = headers["content-security-policy"];
    for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"]) {
      assert.ok(policy?.includes(rule), `${path}: ${rule}`);
    }
    assert.equal(headers["x-content-type-options"], "nosniff");
  }
  await content(ada);
});

async function head({ context }, path) {
  const answer = await context.request.get(path);
  return { headers: answer.headers(), status: answer.status() };
}

test("files are compressed and not sent twice", async () => {
  const ada = await buyer(browser);
  await ada.page.goto("/");
  const style = await ada.page.locator("link[rel=stylesheet]").first().getAttribute("href");
  const plain = await fetch(BASE + style, { headers: { "Accept-Encoding": "gzip" } });
  assert.equal(plain.headers.get("content-encoding"), "gzip");
  assert.match(await plain.text(), /--accent/);
  const again = await fetch(BASE + style, { headers: { "If-None-Match": plain.headers.get("etag") } });
  assert.equal(again.status, 304);
  await content(ada);
});

test("the API's page finds operations without the internet", async () => {
  for (const size of ["phone", "desk"]) {
    const ada = await buyer(browser, { size });
    await ada.page.goto("/docs");
    await shot(ada, "20-docs");
    await ada.page.getByLabel("Find").fill("/extend hold");
    await ada.page.locator(".operation:visible", { hasText: "/extend" }).waitFor();
    assert.ok((await ada.page.locator(".operation:visible").count()) < 6);
    await content(ada);
  }
});

test("the mailbox has the confirmation, whose link opens the order", async () => {
  const ada = await buyer(browser, { scripts: false });
  const { page } = ada;
  await page.goto("/events/aurora/choose");
  await page.getByLabel("Adult, Upper tier: how many").selectOption("1");
  await page.getByRole("button", { name: "Hold the best places" }).click();
  await checkOut(ada);
  await payBy(ada, CARDS.approved);
  await hasTickets(ada, 1);
  await page.context().clearCookies();
  await page.goto("/mailbox");
  const mail = page.locator(".mails li", { hasText: ada.email });
  for (let n = 0; n < 150 && (await mail.count()) === 0; n++) {
    await page.waitForTimeout(200);
    await page.reload();
  }
  await shot(ada, "23-mailbox");
  await mail.getByRole("link", { name: /\/orders\// }).click();
  await hasTickets(ada, 1);
  await content(ada);
});

test("what isn't there is a page for people and a problem for programs", async () => {
  const ada = await buyer(browser, { refusals: [404] });
  await ada.page.goto("/nothing/here");
  await ada.page.getByRole("heading", { name: "Nothing here" }).waitFor();
  await shot(ada, "21-missing");
  const answer = await ada.context.request.get("/v1/nothing");
  assert.equal(answer.headers()["content-type"], "application/problem+json");
  await content(ada);
});

test("the session can't be read by scripts", async () => {
  const ada = await buyer(browser);
  await ada.page.goto("/events/aurora/choose");
  const cookies = await ada.context.cookies();
  const session = cookies.find((cookie) => cookie.name === "onsale_session");
  assert.equal(session.httpOnly, true);
  assert.equal(session.sameSite, "Lax");
  assert.equal(await ada.page.evaluate(() => document.cookie), "");
  await content(ada);
});

// Words on their ground must be readable by people with weak eyes: WCAG 2.2, 1.4.3.
test("contrast is enough in light and dark", async () => {
  for (const colorScheme of ["light", "dark"]) {
    const ada = await buyer(browser, { size: "desk", colorScheme });
    for (const path of ["/", "/events/the-seagull", "/events/the-seagull/choose", "/events/the-seagull/sections/CI", "/docs"]) {
      await ada.page.goto(path);
      const poor = await ada.page.evaluate(poorContrasts);
      assert.deepEqual(poor, [], `${path}, ${colorScheme}`);
    }
    await shot(ada, `22-${colorScheme}`);
    await content(ada);
  }
});
