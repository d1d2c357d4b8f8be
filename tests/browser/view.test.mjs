// The view from a place: in the list, in the chart's card, and large.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { buyer, content, judge, launch, shot } from "./support.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

test("the list of a section has it, without scripts", async () => {
  const ada = await buyer(browser, { size: "small", scripts: false });
  const { page } = ada;
  await page.goto("/events/the-seagull/sections/CI");
  await page.getByText("View from here").click();
  await page.locator(".view svg").waitFor();
  await page.locator(".view").getByText(/^about \d+\sm to the stage · straight on · \d+\srows in front$/).waitFor();
  await page.locator(".view").getByText(/not a photograph/).waitFor();
  await shot(ada, "60-view-list");
  await content(ada);
});

for (const size of ["small", "desk"]) {
  test(`a seat's card shows it, and a press shows it large (${size})`, async () => {
    const ada = await buyer(browser, { size });
    const { page } = ada;
    await page.goto("/events/the-seagull/choose");
    await page.waitForFunction(() => document.querySelector("[data-chart]")?.chart);
    // The first seat of a box at the stage's left, as if it had been tapped.
    const name = await page.evaluate(() => {
      const { chart } = document.querySelector("[data-chart]");
      const section = chart.chart.sections.find(({ code }) => code === "BX1");
      chart.showSeats([section.from]);
      chart.toggle(section.from);
      return chart.seatName(section.from);
    });
    const button = page.getByRole("button", { name: "View from here" });
    const picture = button.locator("img");
    await picture.evaluate((image) => image.decode());
    await shot(ada, "61-view-card");
    await button.click();
    const dialog = page.getByRole("dialog", { name });
    await dialog.getByText(/^about \d+\sm to the stage · from the (left|right)/).waitFor();
    await judge(ada, "the view, large");
    await shot(ada, "62-view-large");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    assert.equal(await button.evaluate((one) => one === document.activeElement), true);
    await content(ada);
  });
}

// So many pictures in a moment are more than one address may ask for: then later, as it is told.
async function whenAllowed({ page, context }, path) {
  for (;;) {
    const answer = await context.request.get(path);
    if (answer.status() !== 429) return answer;
    await page.waitForTimeout(1_000 * Number(answer.headers()["retry-after"]));
  }
}

test("every section of every plan has a picture that weighs little", async () => {
  const ada = await buyer(browser);
  const { page } = ada;
  for (const event of ["the-seagull", "aurora", "cup-final"]) {
    await page.goto(`/events/${event}/choose`);
    await page.waitForFunction(() => document.querySelector("[data-chart]")?.chart);
    const places = await page.evaluate(() => {
      const { chart } = document.querySelector("[data-chart]").chart;
      const area = (section) => chart.areas.find((one) => one.section === section).first;
      return chart.sections.map((one) => (one.area ? area(one) : chart.place[(one.from + one.to) >> 1]));
    });
    for (const place of places) {
      const answer = await whenAllowed(ada, `/events/${event}/places/${place}/view.svg`);
      const text = await answer.text();
      assert.equal(answer.status(), 200, `${event} ${place}`);
      assert.ok(text.endsWith("</svg>") && !/NaN|inf/.test(text), `${event} ${place}`);
      assert.ok(text.length < 60_000, `${event} ${place}: ${text.length}`);
    }
  }
  const none = await whenAllowed(ada, "/events/the-seagull/places/999999/view.svg");
  assert.equal(none.status(), 404);
  await content(ada);
});
