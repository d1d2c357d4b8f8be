// The waiting room, from joining to the tickets, among the demo's simulated visitors. Starts with
// the demo: whoever is here joins the draw, or comes after it; both are journeys.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  CARDS, buyer, checkOut, content, hasTickets, judge, launch, payBy, poorContrasts, shot,
} from "./support.mjs";

const ROOM = "/events/aurora/waiting-room";
// The line is over after about a minute and a half.
const LINE_MS = 180_000;

let browser;
// Ada is on a small phone, Bob has no scripts, Cy loses the network.
let ada, bob, cy;

before(async () => {
  browser = await launch();
  [ada, bob, cy] = await Promise.all([
    buyer(browser, { size: "small" }),
    buyer(browser, { scripts: false }),
    buyer(browser, { size: "desk" }),
  ]);
  await signIn(bob, "bob@example.org");
  await Promise.all([bob, cy].map(async (one) => {
    await one.page.goto(ROOM);
    await shot(one, "30-join");
    await join(one);
  }));
});
after(() => browser?.close());

// The page loads itself anew when the draw is near: a press in that moment is lost.
async function join({ page }) {
  for (let turn = 1; ; turn++) {
    await page.waitForLoadState();
    await page.getByRole("button", { name: "Join the line" }).click();
    const joined = page.locator("[data-joined]").waitFor({ state: "attached" });
    if (await joined.then(() => true, () => false)) return;
    assert.ok(turn < 3, "joined");
  }
}

// Without scripts a code from the mailbox takes the place of the proof of work.
async function signIn({ page, context }, email) {
  await page.goto(ROOM);
  await page.getByRole("main").getByRole("link", { name: "Sign in by e-mail" }).click();
  await page.getByLabel("E-mail").fill(email);
  await page.getByRole("button", { name: "Send me a code" }).click();
  const mails = await context.newPage();
  let code;
  while (!code) {
    await mails.goto("/mailbox");
    const mail = mails.locator("li", { hasText: `to ${email}` }).first();
    if (await mail.count()) code = (await mail.innerText()).match(/^\s*(\d{6})\s*$/m)?.[1];
    if (!code) await mails.waitForTimeout(200);
  }
  await mails.close();
  await page.getByLabel("Code").fill(code);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(/waiting-room$/);
}

const heading = (page) => page.locator(".scene:not([hidden]) h1");
const place = async ({ page }) => (await page.request.get(`${ROOM}/place`)).json();
const queueCookie = async ({ context }) =>
  (await context.cookies()).find((cookie) => cookie.name.startsWith("onsale_queue_"))?.value;

test("from the event to the line in two presses; a reload keeps the place", async () => {
  const { page } = ada;
  await page.goto("/events/aurora");
  await shot(ada, "31-event");
  await page.getByRole("link", { name: "To the waiting room" }).click();
  await shot(ada, "30-join");
  await join(ada);
  await shot(ada, "32-joined");
  const [token, before] = [await queueCookie(ada), await place(ada)];
  assert.notEqual(before.state, "missed");
  await page.reload();
  await heading(page).waitFor();
  const now = await place(ada);
  assert.equal(await queueCookie(ada), token);
  assert.equal(now.lane, before.lane);
  if (before.place) assert.equal(now.place, before.place);
  assert.deepEqual(await page.evaluate(poorContrasts), []);
  await judge(ada, "waiting room");
});

test("without a pass the way to the seats leads to the waiting room", async () => {
  const eve = await buyer(browser, { refusals: [403] });
  await eve.page.goto("/events/aurora/choose");
  assert.ok(eve.page.url().endsWith(ROOM));
  const hold = await eve.context.request.post("/events/aurora/holds", {
    form: { key: "k", "n-0": "2" }, maxRedirects: 0,
  });
  assert.equal(hold.status(), 403);
  assert.match(await hold.text(), /There is a waiting room/);
  await content(eve);
});

test("the network goes and comes back; the place stays", async () => {
  const { page, context, complaints } = cy;
  await heading(page).waitFor();
  await shot(cy, "33-line");
  const token = await queueCookie(cy);
  const lost = page.getByText("Connection lost. Your place is kept");
  // The browser lets a stream that is open go on: news that come on it say that all is well. So it
  // may take a few turns.
  for (let turn = 1; ; turn++) {
    await context.setOffline(true);
    const told = await lost.waitFor({ timeout: 4_000 }).then(() => true, () => false);
    if (told) await shot(cy, "34-lost");
    await context.setOffline(false);
    if (told) break;
    assert.ok(turn < 20, "it was told");
  }
  await lost.waitFor({ state: "hidden", timeout: 30_000 });
  assert.equal(await queueCookie(cy), token);
  for (let at = complaints.length; at-- > 0;) {
    if (/ERR_INTERNET_DISCONNECTED|ERR_NETWORK/.test(complaints[at])) complaints.splice(at, 1);
  }
});

test("the draw is explained, and the browser finds the same place", async () => {
  const { page } = cy;
  let drawn;
  for (let n = 0; !drawn; n++) {
    assert.ok(n < 100, "the draw is made");
    ({ place: drawn } = await place(cy));
    if (!drawn) await page.waitForTimeout(500);
  }
  const look = await cy.context.newPage();
  await look.goto("/events/aurora/draw");
  const own = look.locator("[data-rank]");
  // Whoever came after the draw has nothing to check; then it is somebody else's place.
  const subject = (await own.count()) > 0
    ? await own.getAttribute("data-subject")
    : "01890a5d-ac96-774b-bcce-b302099a8057";
  await look.getByLabel(/^Id/).fill(subject);
  await look.getByRole("button", { name: "Compute the place" }).click();
  await look.getByText("Your browser has computed the same place").first().waitFor();
  if ((await own.count()) > 1) assert.equal(await own.first().getAttribute("data-place"), drawn);
  for (const size of ["small", "desk"]) {
    await look.setViewportSize(size === "small" ? { width: 360, height: 740 } : { width: 1280, height: 800 });
    await shot({ page: look, size }, "35-draw");
  }
  assert.deepEqual(await look.evaluate(poorContrasts), []);
  await look.close();
});

// Turns wait for a minute only: each is waited for at the same time.
describe("turns", { concurrency: true }, () => {
  test("the turn comes, lets in for a while, and ends in tickets", async () => {
    const { page } = ada;
    let [most, shots] = [0, 0];
    for (const began = Date.now(); (await heading(page).textContent()) !== "It’s your turn";) {
      assert.ok(Date.now() - began < LINE_MS, `still: ${await heading(page).textContent()}`);
      const [far, title] = await page.evaluate(() => [
        document.querySelector("[data-progress]").value, document.title,
      ]);
      assert.ok(far >= most, "the bar never goes back");
      most = far;
      if (/in line/.test(title) && shots++ === 2) await shot(ada, "33-line");
      await page.waitForTimeout(500);
    }
    assert.match(await page.title(), /^● It’s your turn/);
    await shot(ada, "36-turn");
    assert.deepEqual(await page.evaluate(poorContrasts), []);
    await page.getByRole("button", { name: "Go in and choose tickets" }).click();
    await page.waitForURL(/choose$/);
    await page.getByText(/You are in for/).waitFor();
    await shot(ada, "37-inside");
    await page.getByLabel("Adult, Upper tier: how many").selectOption("2");
    await page.getByRole("button", { name: "Hold the best places" }).click();
    await page.getByRole("heading", { name: "Your places" }).waitFor();
    await shot(ada, "38-hold");
    await checkOut(ada);
    await payBy(ada, CARDS.approved);
    await hasTickets(ada, 2);
    await content(ada);
  });

  test("without scripts the page follows the line by itself", async () => {
    const { page } = bob;
    await page.getByRole("button", { name: "Go in and choose tickets" }).waitFor({ timeout: LINE_MS });
    await shot(bob, "36-turn");
    await page.getByRole("button", { name: "Go in and choose tickets" }).click();
    await page.waitForURL(/choose$/);
    await page.getByText(/You are in for/).waitFor();
    await page.getByRole("button", { name: "Give up my turn" }).click();
    await page.getByText("You gave up your turn").waitFor();
    await shot(bob, "39-gave-up");
    await content(bob);
  });

  test("the turn waits for who was away, and in desk size too", async () => {
    const { page } = cy;
    await page.getByRole("button", { name: "Go in and choose tickets" }).waitFor({ timeout: LINE_MS });
    await shot(cy, "36-turn");
    await page.getByRole("button", { name: "Go in and choose tickets" }).click();
    await page.waitForURL(/choose$/);
    await shot(cy, "37-inside");
    await content(cy);
  });
});
