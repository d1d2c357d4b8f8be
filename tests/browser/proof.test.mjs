// Proof of work before the waiting room: by our own solver, and by ALTCHA's widget as it is.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { buyer, content, launch } from "./support.mjs";
import { known, solvedByWidget } from "./widget.mjs";

const EVENT = "the-seagull";
const CHALLENGE = `/v1/events/${EVENT}/waiting-room/challenge`;

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

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
    const ada = await known(browser);
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
  const ada = await known(browser);
  const { payload, challenge } = await solvedByWidget(ada, CHALLENGE);
  solves(payload, challenge, ada.account);
  await content(ada);
});
