// Good seats together, as the server would find them, with alternatives; and the rule that no
// single seat is left over.

// Suggestions that are shown.
const MOST = 4;

// The best n neighbours of one stretch, or null: [first seat, whether it leaves one alone].
function fit(chart, at, n, usable) {
  const [from, to] = [chart.starts[at], chart.starts[at + 1]];
  const length = to - from;
  let best = null;
  let start = -1;
  for (let i = 0; i <= length; i++) {
    if (i < length && usable(from + i)) {
      if (start < 0) start = i;
      continue;
    }
    if (start >= 0 && i - start >= n) {
      const spare = i - start - n;
      let offset = Math.min(spare, Math.max(0, ((length - n) >> 1) - start));
      if (offset === 1) offset = 0;
      if (spare - offset === 1) offset = spare;
      const far = Math.abs(2 * (start + offset) + n - length);
      const alone = spare === 1;
      if (!best || (best.alone && !alone) || (best.alone === alone && far < best.far)) {
        best = { first: from + start + offset, alone, far };
      }
    }
    start = -1;
  }
  return best;
}

// Places are numbered by their quality within a level: the first that fits is the best.
let order = null;
function byQuality(chart) {
  if (order?.chart !== chart) {
    const list = [...chart.body.first.keys()].filter((at) => chart.starts[at + 1] > chart.starts[at]);
    list.sort((a, b) => chart.body.first[a] - chart.body.first[b]);
    order = { chart, list };
  }
  return order.list;
}

// `ask`: n, levels that are wanted, accessible, seats to avoid, the section to stay in (or -1).
export function suggest(chart, { n, wanted, accessible, avoid, section = -1 }) {
  const found = [];
  const perLevel = new Map();
  const usable = (i) => chart.free[i] === 1 && !avoid.has(i);
  for (const at of byQuality(chart)) {
    const level = chart.body.level[at];
    if (!wanted(level) || chart.isStandard(at) === accessible) continue;
    if (section >= 0 && chart.body.section[at] !== section) continue;
    const known = perLevel.get(level) ?? [];
    if (known.length >= MOST || known.some(({ where }) => where === chart.body.section[at])) continue;
    const best = fit(chart, at, n, usable);
    if (!best || (best.alone && known.length > 0)) continue;
    const one = { level, where: chart.body.section[at], alone: best.alone, seats: Array.from({ length: n }, (_, k) => best.first + k) };
    // What leaves nobody alone goes before what does.
    if (known[0]?.alone && !one.alone) known[0] = one;
    else known.push(one);
    perLevel.set(level, known);
  }
  const levels = [...perLevel].sort(([a], [b]) => a - b).map(([, known]) => known);
  for (let round = 0; round < MOST && found.length < MOST; round++) {
    for (const known of levels) if (known[round] && found.length < MOST) found.push(known[round]);
  }
  return found.sort((a, b) => a.level - b.level || a.seats[0] - b.seats[0]);
}

// Free seats that a choice would leave without a free neighbour, though that could be helped.
export function stranded(chart, mine) {
  const alone = [];
  const stretches = new Set([...mine].map((i) => chart.stretch[i]));
  for (const at of stretches) {
    if (!chart.isStandard(at)) continue;
    const to = chart.starts[at + 1];
    let i = chart.starts[at];
    while (i < to) {
      let j = i;
      let rest = 0;
      const lonely = [];
      for (; j < to && chart.free[j]; j++) {
        if (mine.has(j)) continue;
        rest++;
        const before = j > i && !mine.has(j - 1);
        const after = j + 1 < to && chart.free[j + 1] && !mine.has(j + 1);
        if (!before && !after) lonely.push(j);
      }
      if (rest > 1 && rest < j - i) alone.push(...lonely);
      i = j + 1;
    }
  }
  return alone;
}

// The same seats moved by one along their row, where that leaves nobody alone; else null.
export function moved(chart, mine, alone) {
  const at = chart.stretch[alone];
  const here = [...mine].filter((i) => chart.stretch[i] === at).sort((a, b) => a - b);
  const rest = [...mine].filter((i) => chart.stretch[i] !== at);
  // Only the group beside the single seat moves.
  const group = here.filter((i) => {
    for (let k = Math.min(i, alone) + 1; k < Math.max(i, alone); k++) if (!mine.has(k)) return false;
    return true;
  });
  for (const by of alone < (group[0] ?? 0) ? [-1, 1] : [1, -1]) {
    const shifted = group.map((i) => i + by);
    const others = here.filter((i) => !group.includes(i));
    const fits = shifted.every((i) => i >= chart.starts[at] && i < chart.starts[at + 1] && chart.free[i] && !others.includes(i));
    if (!fits) continue;
    const all = new Set([...rest, ...others, ...shifted]);
    if (stranded(chart, all).length === 0) return { from: group, to: shifted };
  }
  return null;
}
