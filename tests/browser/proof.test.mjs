// Proof of work before the waiting room: by our own solver, and by ALTCHA's widget as it is.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { BASE, buyer, content, launch } from "./support.mjs";

const EVENT = "the-seagull";
const CHALLENGE = `/v1/events/${EVENT}/waiting-room/challenge`;

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

// A buyer whose pages know them, as they do whoever has held a place.
async function known(options) {
  const ada = await buyer(browser, options);
  const answer = await ada.context.request.post("/v1/sessions");
  const { token, account } = await answer.json();
  await ada.context.addCookies([{ name: "onsale_session", value: token, url: BASE }]);
  return { ...ada, account };
}

// What the server computes too: the hash is right, and what it signed came back as it was.
function solves(payload, challenge, account) {
  const { number, ...rest } = JSON.parse(Buffer.from(payload, "base64").toString());
  const { maxnumber, ...issued } = challenge;
  delete rest.took;
  assert.deepEqual(rest, issued);
  assert.ok(Number.isInteger(number) && number >= 0 && number <= maxnumber, `${number}`);
  assert.equal(createHash("sha256").update(`${rest.salt}${number}`).digest("hex"), rest.challenge);
  const salt = new URLSearchParams(rest.salt.split("?")[1]);
  assert.equal(salt.get("account"), account.replaceAll("-", ""));
  assert.ok(Number(salt.get("expires")) * 1_000 > Date.now());
}

// A page's own address of its scripts, which changes with them.
async function scripts(page) {
  await page.goto("/");
  const style = await page.locator("link[rel=stylesheet]").first().getAttribute("href");
  return style.replace(/[^/]+$/, "");
}

describe("our solver", () => {
  test("solves what the server asks, under the pages' policy", async () => {
    const ada = await known();
    const proof = (await scripts(ada.page)) + "proof.js";
    const [challenge, payload] = await ada.page.evaluate(async ([proof, path]) => {
      const { solve } = await import(proof);
      const challenge = await (await fetch(path)).json();
      return [challenge, await solve(challenge)];
    }, [proof, CHALLENGE]);
    solves(payload, challenge, ada.account);
    await content(ada);
  });

  // Lengths at which the number begins, ends or crosses a block of the hash.
  test("finds the number wherever it lies in a block", async () => {
    const ada = await buyer(browser);
    const proof = (await scripts(ada.page)) + "proof.js";
    const cases = [0, 1, 50, 51, 52, 53, 54, 55, 56, 61, 62, 63, 64, 119, 120, 132].flatMap((n) =>
      [0, 9, 10, 999, 1_000, 4_099].map((number) => ({ salt: "é".repeat(n % 2) + "s".repeat(n), number })));
    const challenges = cases.map(({ salt, number }) => ({
      algorithm: "SHA-256", salt, maxnumber: 5_000, signature: "00",
      challenge: createHash("sha256").update(`${salt}${number}`).digest("hex"),
    }));
    const found = await ada.page.evaluate(async ([proof, challenges]) => {
      const { solve } = await import(proof);
      const numbers = [];
      for (const challenge of challenges) {
        const workers = 1 + (numbers.length % 4);
        const payload = await solve(challenge, { workers });
        numbers.push(JSON.parse(atob(payload)).number);
      }
      return numbers;
    }, [proof, challenges]);
    assert.deepEqual(found, cases.map(({ number }) => number));
    await content(ada);
  });

  test("says when there is no solution, and stops when told", async () => {
    const ada = await buyer(browser);
    const proof = (await scripts(ada.page)) + "proof.js";
    const said = await ada.page.evaluate(async (proof) => {
      const { solve } = await import(proof);
      const hopeless = { algorithm: "SHA-256", salt: "s", challenge: "0".repeat(64), signature: "" };
      const why = (promise) => promise.then(() => "solved", (error) => `${error.name}: ${error.message}`);
      const stop = new AbortController();
      const long = why(solve({ ...hopeless, maxnumber: 4_000_000_000 }, { signal: stop.signal }));
      stop.abort();
      return [
        await why(solve({ ...hopeless, maxnumber: 5_000 })),
        await why(solve({ ...hopeless, algorithm: "SHA-1", maxnumber: 1 })),
        await long,
      ].map((text) => text.split(":")[0] + text.includes("no solution"));
    }, proof);
    assert.deepEqual(said, ["Errortrue", "Errorfalse", "AbortErrorfalse"]);
    await content(ada);
  });
});

test("ALTCHA's widget, unmodified, solves it under the pages' policy", async () => {
  const ada = await known();
  const { page, context } = ada;
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
          <form><altcha-widget challenge="${CHALLENGE}" auto="onload"></altcha-widget></form>`,
      });
    }
    return route.fulfill({ contentType: kind[name.split(".").pop()], body: files[name] });
  });
  const answered = page.waitForResponse((answer) => answer.url().endsWith(CHALLENGE));
  await page.goto("/altcha/page");
  const challenge = await (await answered).json();
  const field = page.locator("input[name=altcha]");
  await field.waitFor({ state: "attached", timeout: 60_000 });
  await page.waitForFunction(() => document.querySelector("input[name=altcha]")?.value, null, { timeout: 60_000 });
  solves(await field.inputValue(), challenge, ada.account);
  await content(ada);
});
