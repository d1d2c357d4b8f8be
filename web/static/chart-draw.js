// Draws a chart: sections from afar, then each section's seats as a kept picture, then the seats
// that are seen one by one. Only what is visible is drawn, and only when something has changed.

import { ACCESSIBLE, COMPANION, RESTRICTED } from "./chart-data.js";
import { Plan } from "./chart-plan.js";

// Sizes of a seat from which on seats are drawn, and one by one, in CSS pixels.
const SEATS_FROM = 2.3;
const SINGLE_FROM = 9;
const NUMBERS_FROM = 17;
// Time for making pictures of sections within one frame, in milliseconds.
const BUDGET_MS = 7;
// Pixels of pictures that are kept.
const MAX_KEPT = 14_000_000;
const MAX_DPR = 2.5;
const FADE_MS = 700;

export class Drawing extends Plan {
  #kept = new Map();
  #fading = new Map();
  #frame = 0;
  #asked = false;

  // `state(i)`: how seat i looks, if not as free or gone.
  constructor(canvas, chart, state) {
    super(canvas, chart);
    this.state = state;
    this.filter = 0;
    this.cursor = -1;
    this.hover = -1;
    this.section = -1;
    // Seats that are shown over all others: mine, suggested, alone.
    this.marked = [];
    this.frames = null;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.seats.read();
      this.forget();
    });
  }

  // Everything is drawn anew: other colours, other filters.
  forget() {
    this.filter++;
    this.tiles.clear();
    this.ask();
  }

  fade(i) {
    if (this.#fading.size < 400) this.#fading.set(i, performance.now());
  }

  ask() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame((now) => {
      this.#asked = false;
      const began = performance.now();
      this.draw(now);
      this.frames?.push([now, performance.now() - began]);
    });
  }

  get single() {
    return this.camera.seatPx >= SINGLE_FROM;
  }

  draw(now) {
    const { camera, canvas, context } = this;
    this.#frame++;
    this.dpr = Math.min(MAX_DPR, devicePixelRatio || 1);
    const [width, height] = [Math.round(camera.width * this.dpr), Math.round(camera.height * this.dpr)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    this.scale = camera.scale * this.dpr;
    this.left = camera.x - width / 2 / this.scale;
    this.top = camera.y - height / 2 / this.scale;
    this.right = this.left + width / this.scale;
    this.bottom = this.top + height / this.scale;
    context.fillStyle = this.seats.floor;
    context.fillRect(0, 0, width, height);
    this.focus();
    const seen = this.chart.sections.filter(({ box }) =>
      box[2] > this.left && box[0] < this.right && box[3] > this.top && box[1] < this.bottom);
    const far = camera.seatPx < SEATS_FROM;
    for (const section of seen) {
      if (section.area || !far) this.outline(section, section.area);
    }
    if (!far && this.single) this.#single(seen, now);
    else this.#pictures(seen, far);
    for (const section of seen) if (section.area) this.label(section);
    if (!far && !this.single) this.names(seen);
    if (this.section >= 0) this.highlight(this.chart.sections[this.section]);
    this.#marks();
    this.#faded(now);
  }

  // Nothing is drawn again for what is over, or for what can't be seen from afar.
  #faded(now) {
    for (const [i, since] of this.#fading) {
      if (!this.single || now - since > FADE_MS) this.#fading.delete(i);
    }
    if (this.#fading.size > 0) this.ask();
  }

  // Pictures by section: made a few per frame, the nearest to the middle first.
  #pictures(seen, far) {
    const missing = [];
    for (const section of seen) {
      if (section.area) continue;
      const kept = this.#kept.get(section.index);
      const current = kept?.far === far && kept.version === section.version && kept.filter === this.filter;
      const sharp = current && Math.abs(kept.scale / this.scale - 1) < 0.02;
      if (!current || (!sharp && !this.camera.moving) || this.scale > kept.scale * 2.2) missing.push(section);
    }
    const way = ({ middle: [x, y] }) => Math.hypot(x - this.camera.x, y - this.camera.y);
    missing.sort((a, b) => way(a) - way(b));
    const until = performance.now() + BUDGET_MS * (this.#kept.size === 0 ? 5 : 1);
    for (const section of missing) {
      if (performance.now() > until) {
        this.ask();
        break;
      }
      this.#picture(section, far);
    }
    for (const section of seen) {
      const kept = this.#kept.get(section.index);
      if (!kept) {
        if (!section.area) this.outline(section, false);
        continue;
      }
      kept.used = this.#frame;
      const [x, y] = this.px(kept.left, kept.top);
      const part = this.scale / kept.scale;
      const sharp = Math.abs(part - 1) < 0.02;
      this.context.drawImage(kept.canvas, sharp ? Math.round(x) : x, sharp ? Math.round(y) : y,
        kept.canvas.width * part, kept.canvas.height * part);
    }
    this.#drop();
  }

  #picture(section, far) {
    const pad = this.chart.pitch;
    const [left, top] = [section.box[0] - pad, section.box[1] - pad];
    const canvas = this.#kept.get(section.index)?.canvas ?? document.createElement("canvas");
    canvas.width = Math.ceil((section.box[2] - left + pad) * this.scale);
    canvas.height = Math.ceil((section.box[3] - top + pad) * this.scale);
    const screen = [this.context, this.left, this.top];
    [this.context, this.left, this.top] = [canvas.getContext("2d"), left, top];
    if (far) {
      this.outline(section, true);
      this.label(section);
    } else {
      this.#dots(section);
    }
    [this.context, this.left, this.top] = screen;
    this.#kept.set(section.index, { canvas, far, left, top, scale: this.scale, version: section.version, filter: this.filter, used: this.#frame });
  }

  #dots(section) {
    const { chart, context } = this;
    const size = Math.max(1, Math.round(chart.pitch * this.scale));
    for (let i = section.from; i < section.to; i++) {
      const sprite = this.seats.sprite(chart.level[i], this.#look(i), size);
      const [x, y] = this.px(chart.x[i], chart.y[i]);
      context.drawImage(sprite, Math.round(x - sprite.width / 2), Math.round(y - sprite.height / 2));
    }
  }

  #drop() {
    let pixels = 0;
    for (const { canvas } of this.#kept.values()) pixels += canvas.width * canvas.height;
    if (pixels < MAX_KEPT) return;
    for (const [index, kept] of this.#kept) if (kept.used < this.#frame) this.#kept.delete(index);
  }

  #look(i) {
    if (!this.chart.free[i]) return "gone";
    return this.seen(i) ? "free" : "dim";
  }

  seen() {
    return true;
  }

  #single(seen, now) {
    const { chart, context } = this;
    const size = Math.max(1, Math.round(chart.pitch * this.scale));
    const numbers = this.camera.seatPx >= NUMBERS_FROM;
    for (const section of seen) {
      for (let at = section.stretches[0]; at < section.stretches[1]; at++) {
        const b = at * 4;
        const pad = chart.pitch;
        if (chart.boxes[b + 2] < this.left - pad || chart.boxes[b] > this.right + pad
          || chart.boxes[b + 3] < this.top - pad || chart.boxes[b + 1] > this.bottom + pad) continue;
        for (let i = chart.starts[at]; i < chart.starts[at + 1]; i++) {
          if (chart.x[i] < this.left - pad || chart.x[i] > this.right + pad) continue;
          const [x, y] = this.px(chart.x[i], chart.y[i]);
          const look = this.#look(i);
          this.#put(this.seats.sprite(chart.level[i], look, size), x, y, i, now);
          if (look === "free") this.#sign(i, x, y, size, numbers);
        }
        if (numbers) this.#rowName(at, size);
      }
    }
    context.globalAlpha = 1;
  }

  // Seats that come or go do so gently.
  #put(sprite, x, y, i, now) {
    const since = this.#fading.get(i);
    if (since !== undefined) {
      const part = (now - since) / FADE_MS;
      this.context.globalAlpha = Math.min(1, Math.max(0.05, part));
    }
    this.context.drawImage(sprite, Math.round(x - sprite.width / 2), Math.round(y - sprite.height / 2));
    this.context.globalAlpha = 1;
  }

  #sign(i, x, y, size, numbers) {
    const marks = this.chart.marks[i];
    const sign = marks & ACCESSIBLE ? "♿\u{fe0e}" : marks & COMPANION ? "+1" : marks & RESTRICTED ? "◐" : "";
    if (sign) this.write(sign, x, y + size * 0.02, size * 0.5, this.seats.on[this.chart.level[i]], 700);
    else if (numbers) this.write(this.chart.seatLabel(i), x, y + size * 0.03, size * 0.4, this.seats.on[this.chart.level[i]], 700);
  }

  #rowName(at, size) {
    const { chart } = this;
    const [from, to] = [chart.starts[at], chart.starts[at + 1] - 1];
    if (to <= from) return;
    const way = Math.hypot(chart.x[from + 1] - chart.x[from], chart.y[from + 1] - chart.y[from]) || 1;
    for (const [end, next] of [[from, from + 1], [to, to - 1]]) {
      const x = chart.x[end] + ((chart.x[end] - chart.x[next]) / way) * chart.pitch * 1.05;
      const y = chart.y[end] + ((chart.y[end] - chart.y[next]) / way) * chart.pitch * 1.05;
      if (this.#isSeat(at, x, y)) continue;
      this.write(chart.rowLabel(from), ...this.px(x, y), size * 0.45, this.seats.soft, 700);
    }
  }

  // Whether the row goes on there, with other stretches.
  #isSeat(at, x, y) {
    const { chart } = this;
    const { row, section } = chart.body;
    for (const step of [-1, 1]) {
      for (let by = at + step; row[by] === row[at] && section[by] === section[at]; by += step) {
        for (const i of [chart.starts[by], chart.starts[by + 1] - 1]) {
          if (Math.hypot(chart.x[i] - x, chart.y[i] - y) < chart.pitch * 0.7) return true;
        }
      }
    }
    return false;
  }

  #marks() {
    const { chart, context } = this;
    const least = 9 * this.dpr;
    const size = Math.round(Math.max(least, chart.pitch * this.scale));
    for (const i of this.marked) {
      const sprite = this.seats.sprite(chart.level[i], this.state(i), size);
      const [x, y] = this.px(chart.x[i], chart.y[i]);
      context.drawImage(sprite, Math.round(x - sprite.width / 2), Math.round(y - sprite.height / 2));
    }
    for (const [i, color] of [[this.hover, this.seats.soft], [this.cursor, this.seats.accent]]) {
      if (i < 0) continue;
      const [x, y] = this.px(chart.x[i], chart.y[i]);
      context.beginPath();
      context.arc(x, y, size * 0.72, 0, 2 * Math.PI);
      context.strokeStyle = color;
      context.lineWidth = 2.5 * this.dpr;
      context.stroke();
    }
  }
}
