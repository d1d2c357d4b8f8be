// Buyers with a browser: each has a context of their own, and every complaint of it is kept.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

// Where a server with the demo's events runs: `onsale demo --ready-file` writes it.
export const BASE = (process.env.BASE_URL ?? "http://127.0.0.1:8080").replace(/\/$/, "");
const ARTIFACTS = new URL("./artifacts/", import.meta.url).pathname;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PATIENCE_MS = 10_000;

export const SIZES = {
  phone: { width: 390, height: 844 },
  small: { width: 360, height: 740 },
  desk: { width: 1280, height: 800 },
  wide: { width: 1600, height: 1000 },
};

export const CARDS = {
  approved: "4242424242424242",
  declined: "4000000000000002",
  asked: "4000002500003155",
};

mkdirSync(ARTIFACTS, { recursive: true });

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

// A buyer. `complaints` are console errors, exceptions and violations of the pages' policy;
// answers that the journey expects to be refusals are named by their status.
export async function buyer(browser, { size = "phone", scripts = true, refusals = [], ...more } = {}) {
  const context = await browser.newContext({
    baseURL: BASE,
    viewport: SIZES[size],
    javaScriptEnabled: scripts,
    ...more,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(`exception: ${error.message}`));
  page.on("console", (message) => {
    const text = message.text();
    const expected = refusals.some((status) => text.includes(`status of ${status}`));
    if (message.type() === "error" && !expected) complaints.push(`console: ${text}`);
  });
  page.on("response", (answer) => {
    if (answer.status() >= 500) complaints.push(`${answer.status()} ${answer.url()}`);
  });
  const email = `buyer-${Date.now()}-${Math.floor(Math.random() * 1e6)}@example.org`;
  return { context, page, complaints, email, size };
}

// Every journey ends so: nothing was complained about, and nothing reaches beyond the screen.
export async function content({ context, complaints }) {
  await context.close();
  assert.deepEqual(complaints, []);
}

export async function shot({ page, size }, name) {
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  await page.screenshot({ path: `${ARTIFACTS}${name}-${size}.png`, fullPage: true, timeout: 120_000 });
  assert.ok(wider <= 0, `${name} is ${wider} px wider than the ${size}'s screen`);
}

// Two free neighbours whose loss strands nobody: the first two of a run of four or more.
export async function freePair(page, skip = 0) {
  await page.waitForLoadState();
  const pair = await page.evaluate((skip) => {
    for (const row of document.querySelectorAll(".row")) {
      const free = [...row.querySelectorAll("input:not(:disabled)")].map((i) => Number(i.value));
      let run = [];
      for (const place of free) {
        run = run.at(-1) === place - 1 ? [...run, place] : [place];
        if (run.length === 4 && skip-- === 0) return run;
      }
    }
    return null;
  }, skip);
  assert.ok(pair, "no four free neighbours are left: start with fresh data");
  return pair;
}

export async function tick(page, places) {
  for (const place of places) await page.locator(`input[name=place][value="${place}"]`).check({ force: true });
}

// Signs in by the code in the mailbox, from a page that asks for the address.
export async function signIn({ page, context, email }) {
  await page.locator("#email").fill(email);
  await page.locator("main form button").first().click();
  await page.locator("#code").waitFor();
  const mails = await context.newPage();
  // The newest with a code: there may be mails about orders, too.
  const link = mails.locator("a[href*='/sign-in/link']");
  const mail = mails.locator(".mails li", { hasText: email, has: link }).first();
  await mails.goto("/mailbox");
  while ((await mail.count()) === 0) {
    await mails.waitForTimeout(100);
    await mails.reload();
  }
  const code = (await mail.innerText()).match(/^\s*(\d{6})\s*$/m)[1];
  await mails.close();
  await page.locator("#code").fill(code);
  await page.locator("main form button").first().click();
  await page.waitForURL((url) => !url.pathname.startsWith("/sign-in"));
}

// From the hold's page to the payment page.
export async function checkOut({ page, email }) {
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Name").fill("Ada Lovelace");
  await page.getByRole("button", { name: /^Pay / }).click();
  await page.waitForURL(/\/sandbox\/pay\//);
}

export async function payBy({ page }, card) {
  await page.getByLabel("Card number").fill(card);
  await page.getByLabel("Expiry").fill("12 / 39");
  await page.getByLabel("CVC").fill("123");
  await page.getByLabel("Name on card").fill("Ada Lovelace");
  await page.getByRole("button", { name: /^Pay / }).click();
}

// The order is paid, and each of its codes is a picture and verifies at the gate's address.
export async function hasTickets({ page, context }, count) {
  await page.waitForURL(/\/orders\//);
  await page.getByRole("heading", { name: /You are going/ }).waitFor();
  const pictures = page.locator(".ticket img");
  assert.equal(await pictures.count(), count);
  const codes = await page.locator(".ticket-code").allTextContents();
  assert.equal(new Set(codes).size, count);
  for (let at = 0; at < count; at++) {
    const answer = await context.request.get(await pictures.nth(at).getAttribute("src"));
    assert.equal(answer.status(), 200);
    assert.match(await answer.text(), /^<svg/);
    const verdict = await context.request.post("/v1/tickets/verify", { data: { code: codes[at] } });
    const { authentic, status } = await verdict.json();
    assert.deepEqual({ authentic, status }, { authentic: true, status: "valid" });
  }
  return codes;
}

// Goes on with Tab until an element that fits has the focus.
export async function tabTo(page, selector, most = 200) {
  for (let n = 0; n < most; n++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate((s) => document.activeElement?.matches(s) ?? false, selector)) return;
  }
  assert.fail(`${selector} can't be reached with the Tab key`);
}

// Nothing that axe finds: WCAG 2.2 A and AA, and what axe calls best practice.
export async function judge({ page }, name) {
  // Pages that end a form's way are judged when they have come to rest.
  await page.waitForLoadState("load");
  // Not as a script of the page, which its policy forbids.
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes[0].html.slice(0, 160)} (${nodes.length})`);
  });
  assert.deepEqual(found, [], name);
}

// Runs in the page: texts that people with weak eyes can't read.
export function poorContrasts() {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => {
    const part = (c) => ((c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = rgba(getComputedStyle(e).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255, 255];
  };
  const poor = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    const style = getComputedStyle(element);
    const off = element.closest("script, :disabled, .seat:has(:disabled), .bar, .skip");
    if (off || !walk.currentNode.data.trim() || !element.checkVisibility()) continue;
    const [a, b] = [luminance(rgba(style.color)), luminance(ground(element))].sort((x, y) => y - x);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) poor.add(`${ratio.toFixed(2)} ${walk.currentNode.data.trim().slice(0, 30)}`);
  }
  return [...poor];
}
