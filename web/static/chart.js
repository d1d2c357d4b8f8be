// The seat chart of the choose page: puts its parts together.

import { Camera } from "./chart-camera.js";
import { Card } from "./chart-card.js";
import { ACCESSIBLE, COMPANION, grow, load } from "./chart-data.js";
import { Drawing } from "./chart-draw.js";
import { Keys } from "./chart-keys.js";
import { Names } from "./chart-names.js";
import { suggest } from "./chart-suggest.js";
import { Tools } from "./chart-tools.js";
import { write } from "./counts.js";
import { bitmap } from "./live.js";
import { Picks } from "./picks.js";
import { words } from "./words.js";

// Seats that a finger and a mouse can hit, in CSS pixels.
const TOUCH_PX = 15;
const MOUSE_PX = 8;
const OPEN_PX = { touch: 24, mouse: 19, pen: 22 };
const NOTE_MS = 9000;
const PATIENCE_MS = 1500;

class ChartPage extends Names {
  constructor(root, chart) {
    super(root, chart);
    this.card = new Card(this);
    this.wantedLevels = new Set();
    this.accessible = false;
    this.together = 2;
    this.onlyTogether = false;
    this.hints = [];
    this.runs = new Uint16Array(chart.count);
    for (const at of chart.body.first.keys()) this.#run(at);
    this.picks = new Picks(root, this.page, chart, this);
    this.drawing = new Drawing(this.part("canvas"), chart, (i) => this.state(i));
    this.drawing.seen = (i) => this.seen(i);
    this.drawing.levelSeen = (level) => this.wants(level);
    this.camera = new Camera(this.part("view"), chart, {
      moved: () => this.#moved(),
      tapped: (at, kind) => this.#tapped(at, kind),
      hovered: (at) => this.#hovered(at),
    });
    this.drawing.camera = this.camera;
    this.keys = new Keys(chart, this.camera, this.drawing, this);
    new Tools(this);
    this.picks.render();
    this.changed();
    if (this.page.alone.length > 0) this.#showPlaces(this.page.alone);
    else if (this.page.picked.length > 0) this.#showPlaces(this.page.picked);
  }

  // --- What seats are.

  available(i) {
    return this.chart.free[i] === 1 && this.sold[this.chart.level[i]];
  }

  wants(level) {
    return this.sold[level] && (this.wantedLevels.size === 0 || this.wantedLevels.has(level));
  }

  seen(i) {
    if (!this.wants(this.chart.level[i])) return false;
    if (this.accessible && !(this.chart.marks[i] & (ACCESSIBLE | COMPANION))) return false;
    return !this.onlyTogether || this.runs[i] >= this.together;
  }

  state(i) {
    if (this.picks.has(i)) return "mine";
    if (this.picks.alone?.includes(i)) return "alone";
    return "hint";
  }

  // --- What happens to them.

  say(text) {
    this.part("live-words").textContent = text;
  }

  note(text, ...buttons) {
    const note = this.part("note");
    note.replaceChildren(text, ...buttons);
    note.hidden = false;
    this.say(text);
    clearTimeout(this.noteTimer);
    if (buttons.length === 0) this.noteTimer = setTimeout(() => (note.hidden = true), NOTE_MS);
  }

  toggle(i, byKey = false) {
    if (this.picks.has(i)) {
      this.picks.remove(i);
      this.say(words.given(this.shortName(i)));
    } else if (this.available(i)) {
      if (this.picks.add(i)) this.say(words.chosen(this.shortName(i)));
    } else {
      this.say(this.describe(i));
    }
    if (!byKey) this.card.show(i);
  }

  // Something else is chosen now.
  changed() {
    if (!this.drawing) return;
    this.hints = this.hints.filter((i) => this.available(i));
    this.drawing.marked = [...this.hints, ...(this.picks.alone ?? []), ...this.picks.seats.keys()];
    this.drawing.ask();
  }

  snapshot({ unavailable }) {
    this.chart.take(bitmap(unavailable));
    this.#recount(null);
  }

  delta({ gone, freed }) {
    const touched = new Set();
    for (const [list, free] of [[gone, false], [freed, true]]) {
      for (const place of list) {
        const i = this.chart.change(place, free);
        if (i < 0) continue;
        this.drawing.fade(i);
        touched.add(this.chart.stretch[i]);
      }
    }
    this.#recount(touched);
  }

  #recount(stretches) {
    const { chart } = this;
    const free = chart.freeByLevel();
    chart.levels.forEach((level, at) => write("level", level.code, free[at]));
    for (const { code, free } of chart.sections) write("section", code, free);
    this.picks.taken = chart.sections.reduce((n, section) => n + section.total - section.free, 0);
    for (const at of stretches ?? chart.body.first.keys()) this.#run(at);
    const lost = this.picks.lose();
    if (lost.length > 0) this.#lost(lost);
    else if (this.picks.count > 0) this.picks.advise();
    this.changed();
  }

  // How many free seats together each seat is one of.
  #run(at) {
    const { chart, runs } = this;
    let from = chart.starts[at];
    for (let i = from; i <= chart.starts[at + 1]; i++) {
      if (i < chart.starts[at + 1] && chart.free[i]) continue;
      runs.fill(i - from, from, i);
      from = i + 1;
    }
  }

  #lost(lost) {
    const button = this.button(words.instead, () => {
      const level = this.chart.level[lost[0]];
      const avoid = new Set(this.picks.seats.keys());
      const ask = { n: lost.length, wanted: (known) => known === level, accessible: this.accessible, avoid };
      const [found] = suggest(this.chart, { ...ask, section: this.chart.section[lost[0]] }).concat(suggest(this.chart, ask));
      if (!found) return this.note(words.noneTogether(lost.length));
      this.picks.set([...this.picks.seats.keys(), ...found.seats]);
      this.showSeats(found.seats);
      this.note(this.summary(found.seats));
    });
    this.note(words.lost(this.summary(lost)), button);
  }

  showSeats(seats) {
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    for (const i of seats) grow(box, this.chart.x[i], this.chart.y[i]);
    this.camera.show([box[0] - 2, box[1] - 2, box[2] + 2, box[3] + 2], OPEN_PX.mouse);
  }

  #showPlaces(places) {
    const seats = places.map((place) => this.chart.at[place]).filter((i) => i >= 0);
    if (seats.length > 0) this.showSeats(seats);
  }

  // --- Pointers.

  #moved() {
    if (!this.drawing.camera) return;
    this.part("zoom-out").disabled = this.camera.isFit;
    this.drawing.ask();
  }

  #seatAt([px, py], reach) {
    const { chart, camera } = this;
    const [x, y] = camera.toWorld(px, py);
    const most = Math.max(chart.pitch * 0.7, reach / camera.scale);
    let best = -1;
    let least = most * most;
    for (const section of chart.sections) {
      const [left, top, right, bottom] = section.box;
      if (x < left - most || x > right + most || y < top - most || y > bottom + most) continue;
      for (let i = section.from; i < section.to; i++) {
        const away = (chart.x[i] - x) ** 2 + (chart.y[i] - y) ** 2;
        if (away < least) [least, best] = [away, i];
      }
    }
    return best;
  }

  #sectionAt([px, py]) {
    const [x, y] = this.camera.toWorld(px, py);
    return this.chart.sections.find(({ outline, box }) =>
      x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3] && inside(outline, x, y));
  }

  #tapped(at, kind) {
    const section = this.#sectionAt(at);
    if (section?.area) {
      this.card.openArea(section);
      return true;
    }
    const touch = kind !== "mouse";
    if (this.camera.seatPx >= (touch ? TOUCH_PX : MOUSE_PX)) {
      const i = this.#seatAt(at, touch ? 16 : 6);
      if (i >= 0) {
        this.keys.seat = i;
        this.keys.section = this.chart.section[i];
        this.toggle(i);
        return true;
      }
      this.card.show(-1);
      return false;
    }
    if (!section) return false;
    const [x, y] = this.camera.toWorld(...at);
    const open = (OPEN_PX[kind] ?? OPEN_PX.touch) / this.chart.pitch;
    const room = Math.min(this.camera.width / (section.box[2] - section.box[0]), this.camera.height / (section.box[3] - section.box[1]));
    // First the section; from there to the seats that were meant.
    if (room * 0.9 > this.camera.scale * 1.5) this.camera.show(section.box, OPEN_PX[kind] ?? OPEN_PX.touch);
    else this.camera.fly(x, y, open);
    return true;
  }

  #hovered(at) {
    const tip = this.part("tip");
    const i = at && this.camera.seatPx >= MOUSE_PX ? this.#seatAt(at, 3) : -1;
    if (i !== this.drawing.hover) {
      this.drawing.hover = i;
      this.drawing.ask();
      tip.hidden = i < 0;
      if (i >= 0) tip.replaceChildren(...this.card.about(i));
      this.part("view").classList.toggle("over", i >= 0 && (this.available(i) || this.picks.has(i)));
    }
    if (i < 0) return;
    const [px, py] = this.camera.toScreen(this.chart.x[i], this.chart.y[i]);
    const left = Math.min(this.camera.width - tip.offsetWidth - 8, Math.max(8, px - tip.offsetWidth / 2));
    const above = py - tip.offsetHeight - this.camera.seatPx;
    tip.style.translate = `${Math.round(left)}px ${Math.round(above > 4 ? above : py + this.camera.seatPx)}px`;
  }
}

function inside(outline, x, y) {
  let odd = false;
  for (let a = 0, b = outline.length - 2; a < outline.length; b = a, a += 2) {
    const [xa, ya, xb, yb] = [outline[a], outline[a + 1], outline[b], outline[b + 1]];
    if (ya > y !== yb > y && x < ((xb - xa) * (y - ya)) / (yb - ya) + xa) odd = !odd;
  }
  return odd;
}

const root = document.querySelector("[data-chart]");
// What happened before the chart was there.
const before = [];
let shown = null;
// Seats that are taken aren't shown as free first, unless nothing is heard of them.
const heard = new Promise((done) => {
  document.addEventListener("snapshot", done, { once: true });
  setTimeout(done, PATIENCE_MS);
});
for (const kind of ["snapshot", "delta"]) {
  document.addEventListener(kind, ({ detail }) => (shown ? shown[kind](detail) : before.push([kind, detail])));
}
if (root) {
  try {
    const [chart] = await Promise.all([load(JSON.parse(root.dataset.chart).url), heard]);
    shown = new ChartPage(root, chart);
    for (const [kind, detail] of before) shown[kind](detail);
    // From now on the chart counts.
    delete document.querySelector("[data-live]").dataset.counts;
    root.classList.remove("waits");
    // For tests and for who is curious.
    root.chart = shown;
  } catch (error) {
    // The lists below have the same seats.
    root.remove();
    throw error;
  }
}
