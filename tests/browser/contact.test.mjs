// After buying: the confirmation once more, and another address, by who bought and by a friend.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  CARDS, buyer, checkOut, content, hasTickets, judge, launch, payBy, poorContrasts, shot, signIn,
} from "./support.mjs";

const WORDS = {
  en: { again: "Send it again", change: "Change the e-mail address", save: "Change the address" },
  de: { again: "Noch einmal senden", change: "E-Mail-Adresse ändern", save: "Adresse ändern" },
};

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

// Buys two tickets in English, and reads on in the language; the address of the order's page.
async function bought(ada, language) {
  const { page } = ada;
  await page.goto("/events/the-seagull/choose?lang=en");
  await page.getByLabel("Adult, Second price: how many").selectOption("2");
  await page.getByRole("button", { name: "Hold the best places" }).click();
  await page.getByRole("heading", { name: "Your places" }).waitFor();
  await checkOut(ada);
  await payBy(ada, CARDS.approved);
  await hasTickets(ada, 2);
  const order = page.url();
  await page.goto(`${order}&lang=${language}`);
  return order;
}

// The kinds of mail that an address got, the newest first.
async function mails({ context }, address, count) {
  const page = await context.newPage();
  const found = page.locator(".mails li", { hasText: address });
  await page.goto("/mailbox");
  while ((await found.count()) < count) {
    await page.waitForTimeout(100);
    await page.reload();
  }
  const texts = await found.allInnerTexts();
  await page.close();
  return texts;
}

for (const [size, language, scripts] of [["small", "de", true], ["desk", "en", true], ["phone", "en", false]]) {
  test(`on a ${size}, ${language}${scripts ? "" : ", without scripts"}`, async () => {
    const ada = await buyer(browser, { size, scripts, refusals: [422] });
    const { page } = ada;
    const words = WORDS[language];
    const order = await bought(ada, language);
    const part = page.locator("#contact");
    await mails(ada, ada.email, 1);
    await part.getByRole("button", { name: words.again }).click();
    await part.getByRole("status").getByText(ada.email).waitFor();
    await mails(ada, ada.email, 2);

    await part.getByText(words.change).click();
    await part.locator("#email").fill("new@example");
    await part.getByRole("button", { name: words.save, exact: true }).click();
    await part.getByRole("alert").waitFor();
    await page.waitForLoadState("load");
    assert.equal(await part.locator("#email").getAttribute("aria-invalid"), "true");
    await shot(ada, `50-contact-refused-${language}`);
    // Without scripts axe can't be run in the page.
    if (scripts) {
      await judge(ada, "a refused address");
      assert.deepEqual(await page.evaluate(poorContrasts), []);
    }
    const other = ada.email.replace("buyer", "moved");
    await part.locator("#email").fill(other);
    await part.getByRole("button", { name: words.save, exact: true }).click();
    await part.getByRole("status").getByText(other).waitFor();
    await page.waitForLoadState("load");
    await shot(ada, `51-contact-changed-${language}`);
    const [confirmation] = await mails(ada, other, 1);
    assert.ok(confirmation.includes(order), "the confirmation has the link");
    const [notice] = await mails(ada, ada.email, 3);
    assert.ok(!notice.includes(other), "who is told isn't told what was typed");

    // A friend with the link sees the tickets, and no field.
    const friend = await buyer(browser, { size, scripts });
    await friend.page.goto(`${order}&lang=en`);
    await friend.page.getByText("Change the e-mail address").click();
    assert.equal(await friend.page.locator("#contact #email").count(), 0);
    await shot(friend, `52-contact-friend-${language}`);
    // Whoever reads the mail of the address at checkout undoes it.
    await friend.page.locator("#contact").getByRole("link", { name: "Sign in" }).click();
    await signIn({ ...friend, email: ada.email });
    await friend.page.getByText("Change the e-mail address").click();
    await friend.page.locator("#contact #email").fill(ada.email);
    await friend.page.getByRole("button", { name: "Change the address", exact: true }).click();
    await friend.page.locator("#contact").getByRole("status").getByText(ada.email).waitFor();
    await content(friend);
    await content(ada);
  });
}
