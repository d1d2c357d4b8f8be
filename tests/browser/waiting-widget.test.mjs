// A shop's own page with ALTCHA's widget: what the widget makes opens the waiting room, once.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { content, launch } from "./support.mjs";
import { known, solvedByWidget } from "./widget.mjs";

const ROOM = "/v1/events/aurora/waiting-room";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

// Joins from the widget's page, as its script would.
function join({ page, token }, body) {
  return page.evaluate(async ([path, token, body]) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    return { status: answer.status, body: await answer.json() };
  }, [`${ROOM}/join`, token, body]);
}

test("the widget's payload is accepted by the join route, once and from its session only", async () => {
  const ada = await known(browser, { refusals: [403, 409] });
  const eve = await known(browser, { refusals: [403] });
  const { payload } = await solvedByWidget(ada, `${ROOM}/challenge`);
  await eve.page.goto("/");

  const without = await join(ada, {});
  assert.deepEqual([without.status, without.body.code], [403, "proof_needed"]);
  const stolen = await join(eve, { proof: payload });
  assert.deepEqual([stolen.status, stolen.body.code], [403, "proof_invalid"]);

  const joined = await join(ada, { proof: payload });
  assert.equal(joined.status, 200, JSON.stringify(joined.body));
  const place = await ada.context.request.get(`${ROOM}/place`, {
    headers: { "onsale-queue": joined.body.token },
  });
  assert.equal(place.status(), 200);
  assert.equal((await place.json()).place, joined.body.place);

  const again = await join(ada, { proof: payload });
  assert.deepEqual([again.status, again.body.code], [409, "proof_spent"]);
  await Promise.all([ada, eve].map(content));
});
