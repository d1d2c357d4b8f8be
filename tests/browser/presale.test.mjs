// An evening that isn't on sale yet: its page leads to the presale's, where one registers.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { buyer, content, judge, launch, poorContrasts, shot, signIn } from "./support.mjs";

const WORDS = {
  en: {
    go: "Register", signIn: "Sign in and register",
    register: "Register", withdraw: "Withdraw my registration",
  },
  de: {
    go: "Zur Verlosung", signIn: "Mit E-Mail-Adresse anmelden",
    register: "Zur Verlosung anmelden", withdraw: "Anmeldung zurückziehen",
  },
};

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

async function looked(ada, name) {
  await judge(ada, name);
  assert.deepEqual(await ada.page.evaluate(poorContrasts), []);
}

for (const [size, language, scheme] of [["small", "de", "dark"], ["phone", "en", "light"], ["wide", "en", "light"]]) {
  test(`one registers and withdraws (${size}, ${language})`, async () => {
    const ada = await buyer(browser, { size, colorScheme: scheme });
    const { page } = ada;
    const words = WORDS[language];
    await page.goto(`/events/night-songs-again?lang=${language}`);
    await looked(ada, "an event that is announced");
    await shot(ada, `70-announced-${language}`);
    await page.getByRole("link", { name: words.go, exact: true }).click();
    await page.waitForURL(/\/presale$/);
    await looked(ada, "the presale, signed out");
    await shot(ada, `71-presale-${language}`);
    await page.getByRole("link", { name: words.signIn }).click();
    await signIn(ada);
    await page.getByRole("button", { name: words.register, exact: true }).click();
    await page.getByRole("button", { name: words.withdraw }).waitFor();
    assert.match(await page.getByRole("status").innerText(), new RegExp(ada.email));
    await looked(ada, "the presale, registered");
    await shot(ada, `72-presale-registered-${language}`);
    await page.getByRole("button", { name: words.withdraw }).click();
    await page.getByRole("button", { name: words.register, exact: true }).waitFor();
    await content(ada);
  });
}
