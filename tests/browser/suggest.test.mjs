// What the chart suggests and warns of, without a browser: the same rules as the sale's.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const source = readFileSync(new URL("../../web/static/chart-suggest.js", import.meta.url), "utf8");
const { moved, stranded, suggest } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

// Rows as texts: `o` is free, `x` is taken; each is a stretch of its own level.
function chart(...rows) {
  const starts = [0];
  for (const row of rows) starts.push(starts.at(-1) + row.length);
  const free = Uint8Array.from([...rows.join("")].map((seat) => (seat === "o" ? 1 : 0)));
  const stretch = rows.flatMap((row, at) => Array(row.length).fill(at));
  const ids = rows.map((_, at) => at);
  return { starts, free, stretch, isStandard: () => true, body: { first: ids.map((at) => at * 8), level: ids, section: ids } };
}

const ask = { n: 2, wanted: () => true, accessible: false, avoid: new Set() };

test("a single seat is stranded only if another choice would not strand it", () => {
  const alone = (row, ...mine) => stranded(chart(row), new Set(mine));
  assert.deepEqual(alone("ooooo", 1), [0]);
  assert.deepEqual(alone("ooooo", 1, 3), [0, 2, 4]);
  assert.deepEqual(alone("ooooo", 0, 1), []);
  // One left over of three can't be helped by two.
  assert.deepEqual(alone("xooox", 1, 2), []);
  assert.deepEqual(alone("xoxoox", 1), []);
  assert.deepEqual(alone("oooo", 1), [0]);
});

test("a choice is moved by one to where nobody is alone", () => {
  const all = chart("oooooo");
  const mine = new Set([1, 2]);
  const [single] = stranded(all, mine);
  assert.deepEqual(moved(all, mine, single), { from: [1, 2], to: [0, 1] });
  const walled = chart("xooox");
  assert.equal(moved(walled, new Set([2]), 1)?.to.length, 1);
});

test("suggestions are the best of each level, and leave nobody alone", () => {
  const found = suggest(chart("oooooo", "xoxoxo", "xoooox", "ooo"), ask);
  assert.deepEqual(found.map(({ level }) => level), [0, 2, 3]);
  assert.deepEqual(found[0].seats, [2, 3]);
  assert.deepEqual(found[1].seats, [13, 14]);
  for (const { seats, alone } of found.slice(0, 2)) assert.ok(!alone, `${seats}`);
});

test("nothing is suggested of prices that are not wanted, nor of chosen seats", () => {
  assert.deepEqual(suggest(chart("oooo"), { ...ask, wanted: () => false }), []);
  assert.deepEqual(suggest(chart("oooo"), { ...ask, n: 5 }), []);
  const [{ seats }] = suggest(chart("oooooo"), { ...ask, avoid: new Set([2, 3]) });
  assert.ok(!seats.includes(2) && !seats.includes(3));
});
