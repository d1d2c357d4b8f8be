// ALTCHA's own widget, as its package has it, on a page of the shop's origin under the shop's policy.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { BASE, buyer } from "./support.mjs";

const SOLVED_MS = 60_000;

// A buyer whose pages know them, as they do whoever has held a place.
export async function known(browser, options) {
  const one = await buyer(browser, options);
  const answer = await one.context.request.post("/v1/sessions");
  const { token, account } = await answer.json();
  await one.context.addCookies([{ name: "onsale_session", value: token, url: BASE }]);
  return { ...one, account, token };
}

// What the widget puts into its form once it has fetched and solved the server's challenge.
export async function solvedByWidget({ page, context }, address) {
  const policy = (await context.request.get("/")).headers()["content-security-policy"];
  assert.match(policy, /script-src 'self'/);
  const dist = createRequire(import.meta.url).resolve("altcha/external").replace(/external\/[^/]+$/, "");
  const files = {
    "altcha.js": readFileSync(`${dist}external/altcha.js`),
    "altcha.css": readFileSync(`${dist}external/altcha.css`),
    "sha.js": readFileSync(`${dist}workers/sha.js`),
    "setup.js": `import "./altcha.js";
      $altcha.algorithms.set("SHA-256", () => new Worker("/altcha/sha.js"));`,
  };
  const kind = { js: "text/javascript", css: "text/css" };
  await context.route("**/altcha/*", (route) => {
    const name = new URL(route.request().url()).pathname.split("/").pop();
    if (name === "page") {
      return route.fulfill({
        contentType: "text/html",
        headers: { "content-security-policy": policy },
        body: `<!doctype html><link rel="stylesheet" href="/altcha/altcha.css">
          <script type="module" src="/altcha/setup.js"></script>
          <form><altcha-widget challenge="${address}" auto="onload"></altcha-widget></form>`,
      });
    }
    return route.fulfill({ contentType: kind[name.split(".").pop()], body: files[name] });
  });
  const answered = page.waitForResponse((answer) => answer.url().endsWith(address));
  await page.goto("/altcha/page");
  const challenge = await (await answered).json();
  const field = page.locator("input[name=altcha]");
  await field.waitFor({ state: "attached", timeout: SOLVED_MS });
  await page.waitForFunction(
    () => document.querySelector("input[name=altcha]")?.value, null, { timeout: SOLVED_MS },
  );
  return { payload: await field.inputValue(), challenge };
}
