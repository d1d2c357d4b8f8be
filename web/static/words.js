// What scripts say, in the language of the page. The texts come from the same lists as the page's.

const { texts } = await import(`./words-${document.documentElement.lang}.js`);

// The text under a key, with what stands for the names in it.
export function say(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

const plural = new Intl.PluralRules(document.documentElement.lang);

// The same, as a number demands.
export function counted(key, n, values = {}) {
  const form = `${key}.${plural.select(n)}`;
  return say(form in texts ? form : `${key}.other`, { n, ...values });
}

// Digits with separators of thousands.
export function grouped(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, say("format.group"));
}

export function left(count) {
  return count === 0 ? say("count.left.none") : say("count.left", { n: count });
}

// A length of time as precise as an estimate may be. The server rounds in the same way.
function measured(seconds) {
  if (seconds < 90) return [Math.ceil(Math.max(1, seconds) / 10) * 10, "time.seconds"];
  if (seconds < 5400) return [Math.floor((seconds + 30) / 60), "time.minutes"];
  return [Math.floor((seconds + 1800) / 3600), "time.hours"];
}

export function span(seconds) {
  const [n, unit] = measured(seconds);
  return say(unit, { n });
}

export function range({ from_s, to_s }) {
  const [[n, unit], [most, same]] = [measured(from_s), measured(to_s)];
  if (n === most && unit === same) return "";
  return say("time.range", { from: unit === same ? n : span(from_s), to: span(to_s) });
}

// On buttons and in bars lines may break wherever there is a space.
export const tickets = (n) => counted("count.tickets", n).replaceAll("\u00a0", " ");

// What the chart says.
const plain = (key) => say(`script.${key}`);
const named = (key, name) => (value) => say(`script.${key}`, { [name]: value });
const counting = (key) => (n) => counted(`script.${key}`, n);

export const words = {
  row: named("row", "row"),
  seat: named("seat", "seat"),
  left,
  seats: (first, last) => (first === last ? words.seat(first) : say("script.seats", { first, last })),
  removeSeat: named("removeSeat", "name"),
  typeOf: named("typeOf", "name"),
  fewer: named("fewer", "name"),
  more: named("more", "name"),
  noneTogether: named("noneTogether", "n"),
  found: counting("found"),
  most: named("most", "n"),
  lost: named("lost", "names"),
  alone: named("alone", "names"),
  takeToo: counting("takeToo"),
  hold: named("hold", "tickets"),
  pageSections: (name, left) => say("script.pageSections", { name, left }),
  opened: named("opened", "name"),
  chosen: named("chosen", "name"),
  given: named("given", "name"),
};
for (const key of [
  "standing", "stage", "centre", "free", "taken", "mine", "notSold", "noCharge", "accessible",
  "companion", "restricted", "aisle", "choose", "remove", "close", "suggestion", "zoomFirst",
  "tapSeat", "instead", "move", "moved", "sections", "view",
]) words[key] = plain(key);
