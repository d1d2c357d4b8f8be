// The shop in another site's page: `/embed.js` and its element.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { BASE, CARDS, buyer, checkOut, content, hasTickets, judge, launch, payBy, shot } from "./support.mjs";

// The one origin whose pages may frame the shop: http.embed_origins of the server has it.
const HOST = process.env.EMBED_HOST ?? "http://127.0.0.2:8090";

let browser;
const servers = [];
before(async () => {
  browser = await launch();
  const { hostname, port } = new URL(HOST);
  await listen(hostname, Number(port));
});
after(async () => {
  await browser?.close();
  for (const server of servers) server.close();
});

function page(query) {
  const lang = query.get("lang") ?? "en";
  const inside = query.has("frame")
    ? `<iframe id="stolen" src="${BASE}${query.get("frame")}"></iframe>`
    : `<onsale-shop event="the-seagull"${query.has("inline") ? " inline" : ""}>${query.get("label") ?? ""}</onsale-shop>`;
  return `<!doctype html><html lang="${lang}"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Festival</title><main><h1>Festival</h1><p>Come to our festival.</p>${inside}</main>
    <script>
      globalThis.told = [];
      for (const what of ["open", "bought", "close"]) {
        addEventListener("onsale-" + what, ({ target, detail }) => told.push({ what, by: target.localName, detail }));
      }
    </script>
    <script src="${BASE}/embed.js" async></script></html>`;
}

// A site of its own. Gives its origin.
async function listen(hostname, port) {
  const server = createServer((request, response) => {
    const url = new URL(request.url, "http://host");
    response.writeHead(url.pathname === "/" ? 200 : 404, { "content-type": "text/html; charset=utf-8" });
    response.end(url.pathname === "/" ? page(url.searchParams) : "");
  });
  await new Promise((done, failed) => server.once("error", failed).listen(port, hostname, done));
  servers.push(server);
  return `http://${hostname}:${server.address().port}`;
}

const told = (page, what) => page.evaluate((what) => globalThis.told.filter((one) => one.what === what), what);
const shopIn = (page) => page.frameLocator("onsale-shop iframe");
// Browsers ask every site for an icon.
const refusals = [404];

for (const size of ["small", "desk"]) {
  test(`a ticket is bought in a dialog over another site's page (${size})`, async () => {
    const ada = await buyer(browser, { size, refusals });
    const { page, context } = ada;
    await page.goto(HOST);
    await page.getByRole("button", { name: "Get tickets" }).click();
    await page.getByRole("dialog").waitFor();
    const shop = shopIn(page);
    await shop.getByLabel("Adult, Second price: how many").selectOption("2");
    await shot(ada, "50-embedded");
    await shop.getByRole("button", { name: "Hold the best places" }).click();
    await shop.getByRole("heading", { name: "Your places" }).waitFor();
    await shot(ada, "51-embedded-hold");
    await shop.getByLabel("E-mail").fill(ada.email);
    await shop.getByRole("button", { name: /^Pay / }).click();
    await shop.getByText("Payment opens in a window of its own").waitFor();
    await shot(ada, "52-embedded-pay");
    assert.deepEqual(await told(page, "bought"), []);

    const opened = context.waitForEvent("page");
    await shop.getByRole("button", { name: /^Pay / }).click();
    const window = await opened;
    await payBy({ page: window }, CARDS.approved);
    await hasTickets({ page: window, context }, 2);
    await window.close();
    await shop.getByRole("heading", { name: /You are going/ }).waitFor({ timeout: 30_000 });
    await shot(ada, "53-embedded-tickets");
    await page.waitForFunction(() => globalThis.told.some(({ what }) => what === "bought"));
    const [{ by, detail }, ...more] = await told(page, "bought");
    assert.deepEqual([by, more], ["onsale-shop", []]);
    assert.deepEqual(Object.keys(detail).sort(), ["currency", "event", "order", "tickets", "total"]);
    assert.deepEqual([detail.event, detail.tickets, detail.currency], ["the-seagull", 2, "EUR"]);
    assert.ok(detail.total > 0);

    // The cookies of the frame are this page's alone; the shop's own window knows none of them.
    const cookies = (await context.cookies(BASE)).filter(({ name }) => name === "onsale_session");
    assert.ok(cookies.some(({ sameSite, secure, httpOnly }) => sameSite === "None" && secure && httpOnly));
    const own = await context.newPage();
    await own.goto(`${BASE}/events/the-seagull/choose`);
    const sent = await own.evaluate(() => document.documentElement.className);
    assert.equal(sent, "");
    await content(ada);
  });
}

test("the dialog is closed with Escape from within, and the focus goes back to its button", async () => {
  const ada = await buyer(browser, { size: "desk", refusals });
  const { page } = ada;
  await page.goto(HOST);
  const button = page.getByRole("button", { name: "Get tickets" });
  await button.focus();
  await page.keyboard.press("Enter");
  const shop = shopIn(page);
  await shop.getByRole("heading", { name: "Choose tickets", level: 1 }).waitFor();
  await page.getByRole("dialog", { name: /The Seagull/ }).waitFor();
  await judge(ada, "another site's page with the dialog");
  // From the dialog's own button by Tab into the shop; a key pressed there is the frame's.
  await page.keyboard.press("Tab");
  await page.waitForFunction(() => document.querySelector("onsale-shop").shadowRoot.activeElement?.localName === "iframe");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  const focused = () => page.evaluate(() => document.activeElement.shadowRoot?.activeElement?.className);
  assert.equal(await focused(), "open");
  // The same without a word of the frame.
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  assert.equal(await focused(), "open");
  await page.waitForFunction(() => globalThis.told.filter(({ what }) => what === "close").length === 2);
  assert.equal((await told(page, "open")).length, 2);
  await content(ada);
});

test("inline, in German, with words of the page's own", async () => {
  const eva = await buyer(browser, { size: "small", refusals });
  const { page } = eva;
  await page.goto(`${HOST}/?inline&lang=de-AT`);
  await shopIn(page).getByRole("heading", { name: "Tickets auswählen" }).waitFor({ state: "attached" });
  assert.equal(await shopIn(page).locator("html").getAttribute("lang"), "de");
  assert.equal(await page.getByRole("dialog").count(), 0);
  await shot(eva, "54-embedded-inline");
  await page.goto(`${HOST}/?lang=de&label=Karten`);
  await page.getByRole("button", { name: "Karten" }).click();
  await page.getByRole("button", { name: "Schließen" }).click();
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  await content(eva);
});

test("a page that isn't allowed leads to the shop, and can frame nothing of it", async () => {
  const other = await listen("127.0.0.3", 0);
  const ada = await buyer(browser, { size: "desk", refusals });
  const { page, context } = ada;
  await page.goto(other);
  const opened = context.waitForEvent("page");
  await page.getByRole("link", { name: "Get tickets" }).click();
  const tab = await opened;
  await tab.getByRole("heading", { name: "The Seagull" }).waitFor();
  await tab.close();
  await content(ada);

  // Whatever of it such a page puts into a frame, the browser shows nothing.
  const eve = await buyer(browser, { size: "desk", refusals: [403, 404] });
  const blocked = (text) => /frame-ancestors/.test(text);
  const address = `/embed/the-seagull?host=${encodeURIComponent(HOST)}`;
  for (const [site, path] of [
    [other, "/events/the-seagull/choose"], [other, address],
    [other, `/embed/the-seagull?host=${encodeURIComponent(other)}`], [HOST, "/events/the-seagull"], [HOST, "/sandbox/pay/x"],
  ]) {
    const refused = eve.page.waitForEvent("console", (message) => blocked(message.text()));
    await eve.page.goto(`${site}/?frame=${encodeURIComponent(path)}`);
    await refused;
    const frame = eve.page.frames().find((one) => one.parentFrame());
    assert.ok(!frame.url().startsWith(BASE), `${site} ${path}: ${frame.url()}`);
  }
  eve.complaints.splice(0, eve.complaints.length, ...eve.complaints.filter((text) => !blocked(text)));
  await content(eve);
});

test("where the frame stays empty the element leads to the shop", async () => {
  const ada = await buyer(browser, { refusals: [403, 404] });
  const { page } = ada;
  // As in a browser that keeps no cookies for frames: the shop doesn't know the page around.
  await page.route("**/embed/*", (route) => route.fulfill({ status: 403, contentType: "text/html", body: "" }));
  await page.goto(HOST);
  await page.getByRole("button", { name: "Get tickets" }).click();
  const link = page.getByRole("dialog").getByRole("link", { name: "Open the shop in a new tab" });
  assert.match(await link.getAttribute("href"), /\/events\/the-seagull\?lang=en$/);
  await content(ada);
});
