// The chart by keyboard: sections, then seats, each said in words.

import { words } from "./words.js";

const STEP = 1.6;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
// How much worse a way to the side is than one ahead.
const ASIDE = 2.2;
const SEAT_PX = 22;

export class Keys {
  // `host`: names and picks seats, says things, opens areas.
  constructor(chart, camera, drawing, host) {
    Object.assign(this, { chart, camera, drawing, host });
    this.seat = -1;
    this.section = -1;
    const { view } = camera;
    view.addEventListener("keydown", (event) => this.#key(event));
    view.addEventListener("focus", () => {
      if (!view.matches(":focus-visible")) return;
      if (this.section < 0) this.#toSection(this.#first());
      else this.#show();
    });
    view.addEventListener("blur", () => {
      drawing.cursor = drawing.section = -1;
      drawing.ask();
    });
  }

  #first() {
    const { sections } = this.chart;
    const free = sections.findIndex((section) => section.free > 0);
    return Math.max(0, free);
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const arrow = ARROWS[event.key];
    if (arrow) this.#go(arrow);
    else if (event.key === "Enter" || event.key === " ") this.#enter();
    else if (event.key === "Escape" && this.seat >= 0) this.#leave();
    else if (event.key === "Escape" && !this.camera.isFit) this.camera.fit();
    else if (event.key === "+" || event.key === "=") this.camera.zoom(STEP);
    else if (event.key === "-") this.camera.zoom(1 / STEP);
    else if (event.key === "0") this.camera.fit();
    else return;
    event.preventDefault();
  }

  #go(arrow) {
    if (this.seat >= 0) {
      const next = this.#nearest(arrow, this.seat);
      if (next >= 0) this.toSeat(next);
      return;
    }
    const { sections } = this.chart;
    const here = middle(sections[this.section] ?? sections[0]);
    let best = -1;
    let least = Infinity;
    for (const section of sections) {
      if (section.index === this.section || section.box[0] === Infinity) continue;
      const cost = way(arrow, here, middle(section));
      if (cost < least) [least, best] = [cost, section.index];
    }
    if (best >= 0) this.#toSection(best);
  }

  #nearest(arrow, from) {
    const { chart } = this;
    const here = [chart.x[from], chart.y[from]];
    let best = -1;
    let least = Infinity;
    for (let i = 0; i < chart.count; i++) {
      const dx = chart.x[i] - here[0];
      const dy = chart.y[i] - here[1];
      if (dx > 12 || dx < -12 || dy > 12 || dy < -12 || i === from) continue;
      const cost = way(arrow, here, [chart.x[i], chart.y[i]]);
      if (cost < least) [least, best] = [cost, i];
    }
    return best;
  }

  #toSection(index) {
    this.section = index;
    this.seat = -1;
    const section = this.chart.sections[index];
    this.#show();
    const [x, y] = middle(section);
    const [px, py] = this.camera.toScreen(x, y);
    if (px < 30 || py < 30 || px > this.camera.width - 30 || py > this.camera.height - 30) {
      this.camera.fly(x, y, this.camera.scale);
    }
    this.host.say(words.pageSections(this.host.sectionName(section), words.left(section.free)));
  }

  toSeat(i) {
    this.seat = i;
    this.section = this.chart.section[i];
    const [x, y] = [this.chart.x[i], this.chart.y[i]];
    const [px, py] = this.camera.toScreen(x, y);
    const edge = 50;
    const outside = px < edge || py < edge || px > this.camera.width - edge || py > this.camera.height - edge;
    if (outside || this.camera.seatPx < 12) {
      this.camera.fly(x, y, Math.max(this.camera.scale, SEAT_PX / this.chart.pitch));
    }
    this.#show();
    this.host.say(this.host.describe(i));
  }

  #show() {
    this.drawing.cursor = this.seat;
    this.drawing.section = this.seat >= 0 ? -1 : this.section;
    this.drawing.ask();
  }

  #enter() {
    if (this.seat >= 0) {
      this.host.toggle(this.seat, true);
      return;
    }
    const section = this.chart.sections[this.section];
    if (!section) return;
    if (section.area) {
      this.host.card.openArea(section, true);
      return;
    }
    let seat = section.from;
    for (let i = section.from; i < section.to; i++) {
      if (this.host.available(i)) {
        seat = i;
        break;
      }
    }
    this.camera.show(section.box, SEAT_PX);
    this.toSeat(seat);
  }

  #leave() {
    this.seat = -1;
    this.camera.fit();
    this.#show();
    this.host.say(words.sections);
  }
}

function middle({ box }) {
  return [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
}

// How far it is in the direction of an arrow; infinite if it isn't ahead.
function way([ax, ay], from, to) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const ahead = dx * ax + dy * ay;
  const aside = Math.abs(dx * ay) + Math.abs(dy * ax);
  return ahead > 0.05 && ahead >= aside * 0.9 ? ahead + ASIDE * aside : Infinity;
}
