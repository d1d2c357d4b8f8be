// Lighthouse on the pages that a buyer passes, as on a phone: `npm run lighthouse`.
//
// Lighthouse isn't one of this folder's dependencies, since it is larger than all of them:
// `npm install --no-save lighthouse` puts it here, or LIGHTHOUSE names its module.

import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { chromium } from "playwright-core";
import { BASE } from "./support.mjs";

// The least that every page must have, in percent; and the most that its first view may weigh on
// the wire, in bytes.
const LEAST = 95;
const MOST_BYTES = 100_000;
const CATEGORIES = ["performance", "accessibility", "best-practices"];

const lighthouse = await import(process.env.LIGHTHOUSE ?? "lighthouse").catch(() => null);
if (!lighthouse) {
  console.error("There is no lighthouse: npm install --no-save lighthouse");
  process.exit(1);
}

const port = await new Promise((done) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => done(port));
  });
});
const profile = mkdtempSync(`${tmpdir()}/onsale-lighthouse-`);
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  baseURL: BASE,
  args: ["--no-sandbox", "--disable-gpu", `--remote-debugging-port=${port}`],
});

// Every page with what it needs before it can be looked at.
async function pages() {
  const page = await context.newPage();
  await page.goto("/events/the-seagull/choose");
  await page.getByLabel("Adult, Second price: how many").selectOption("1");
  await page.getByRole("button", { name: "Hold the best places" }).click();
  await page.getByRole("heading", { name: "Your places" }).waitFor();
  const hold = new URL(page.url()).pathname;
  await page.goto("/events/aurora/waiting-room");
  const waits = new URL(page.url()).pathname.endsWith("/waiting-room");
  await page.close();
  return [
    ["home", "/"],
    ["event", "/events/the-seagull", "seo"],
    ["seats", "/events/the-seagull/choose"],
    ["section", "/events/the-seagull/sections/CI"],
    ["checkout", hold],
    ...(waits ? [["waiting room", "/events/aurora/waiting-room"]] : [["arena", "/events/aurora/choose"]]),
  ];
}

const failed = [];
// A first view finds nothing that an earlier one has left, but who looks stays the same.
const wire = await context.newCDPSession(context.pages()[0] ?? (await context.newPage()));
try {
  for (const [name, path, ...more] of await pages()) {
    const flags = { port, output: "json", logLevel: "error", disableStorageReset: true, onlyCategories: [...CATEGORIES, ...more] };
    await wire.send("Network.clearBrowserCache");
    const { lhr } = await lighthouse.default(BASE + path, flags);
    if (lhr.runtimeError) throw new Error(`${name}: ${lhr.runtimeError.message}`);
    const scores = Object.values(lhr.categories).map(({ id, score }) => [id, Math.round(score * 100)]);
    const bytes = lhr.audits["total-byte-weight"].numericValue;
    const figures = ["first-contentful-paint", "largest-contentful-paint", "total-blocking-time", "cumulative-layout-shift"]
      .map((id) => `${id.replace(/[a-z]+-?/g, ([letter]) => letter.toUpperCase())} ${lhr.audits[id].displayValue}`);
    console.log(`${name}: ${scores.map(([id, score]) => `${id} ${score}`).join(", ")}; ${(bytes / 1000).toFixed(1)} kB; ${figures.join(", ")}`);
    for (const [id, score] of scores) if (!(score >= LEAST)) failed.push(`${name}: ${id} ${score}`);
    if (!(bytes <= MOST_BYTES)) failed.push(`${name}: ${Math.round(bytes)} bytes`);
    for (const { auditRefs } of Object.values(lhr.categories)) {
      for (const { id, weight } of auditRefs) {
        const audit = lhr.audits[id];
        if (weight > 0 && audit.score !== null && audit.score < 0.9) console.log(`  ${id}: ${audit.score} ${audit.displayValue ?? audit.title}`);
      }
    }
  }
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}
if (failed.length > 0) {
  console.error(`Not good enough:\n${failed.join("\n")}`);
  process.exit(1);
}
