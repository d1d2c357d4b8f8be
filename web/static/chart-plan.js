// The plan under the seats: where people look, sections and their names.

import { Seats } from "./chart-seats.js";
import { words } from "./words.js";

export class Plan {
  tiles = new Map();

  constructor(canvas, chart) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.chart = chart;
    this.seats = new Seats(chart.levels);
    this.camera = null;
  }

  // A point of the venue on the canvas.
  px(x, y) {
    return [(x - this.left) * this.scale, (y - this.top) * this.scale];
  }

  focus() {
    const { chart, context, seats } = this;
    const [left, top, right, bottom] = chart.seatsBox;
    const [x, y] = this.px(...chart.focus);
    const around = chart.focus[0] > left && chart.focus[0] < right && chart.focus[1] > top + 6 && chart.focus[1] < bottom - 6
      && chart.focus[1] - top > 0.35 * (bottom - top);
    const half = Math.min(0.14 * (right - left), 18) * this.scale;
    const high = Math.max(half * (around ? 0.5 : 0.2), 17 * this.dpr);
    context.fillStyle = seats.line;
    context.beginPath();
    context.roundRect(x - half, y - high / 2, 2 * half, high, Math.min(high / 2, 14 * this.dpr));
    context.fill();
    const size = Math.min(high * 0.62, 15 * this.dpr, half * 0.45);
    if (size < 6 * this.dpr) return;
    this.write(around ? words.centre : words.stage, x, y, size, seats.soft, 700);
  }

  write(text, x, y, size, color, weight = 600) {
    const { context } = this;
    context.font = `${weight} ${size}px ${this.seats.font}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = color;
    context.fillText(text, x, y);
  }

  outline(section, filled) {
    const { context, seats } = this;
    this.trace(section);
    context.fillStyle = seats.page;
    context.fill();
    if (filled && section.free > 0) {
      const share = section.free / section.total;
      const dim = !this.allowed(section);
      context.globalAlpha = dim ? 0.1 : 0.35 + 0.65 * Math.sqrt(share);
      context.fillStyle = this.tile(section.level);
      context.fill();
      context.globalAlpha = 1;
    }
    context.strokeStyle = seats.line;
    context.lineWidth = this.dpr;
    context.stroke();
  }

  trace({ outline }) {
    this.context.beginPath();
    for (let at = 0; at < outline.length; at += 2) this.context.lineTo(...this.px(outline[at], outline[at + 1]));
    this.context.closePath();
  }

  // Where the keyboard is.
  highlight(section) {
    this.trace(section);
    this.context.strokeStyle = this.seats.accent;
    this.context.lineWidth = 3 * this.dpr;
    this.context.stroke();
  }

  // Whether a section has something of the prices that are looked for.
  allowed(section) {
    for (const level of section.levels.keys()) if (this.levelSeen(level)) return true;
    return false;
  }

  levelSeen() {
    return true;
  }

  // From afar a section is a pattern of its level's shapes.
  tile(level) {
    let tile = this.tiles.get(level);
    if (!tile) {
      const size = Math.round(7 * this.dpr);
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = size;
      const context = canvas.getContext("2d");
      context.globalAlpha = 0.42;
      context.fillStyle = this.seats.colors[level];
      context.fillRect(0, 0, size, size);
      context.globalAlpha = 1;
      const seat = this.seats.sprite(level, "free", Math.round(5.5 * this.dpr));
      context.drawImage(seat, (size - seat.width) / 2, (size - seat.height) / 2);
      tile = this.context.createPattern(canvas, "repeat");
      this.tiles.set(level, tile);
    }
    return tile;
  }

  label(section) {
    const { context, seats } = this;
    const room = section.room * this.scale;
    const [left, top, right, bottom] = section.box;
    const side = Math.min(right - left, bottom - top) * this.scale;
    const size = Math.min(14 * this.dpr, room * 0.34, side * 0.44);
    if (size < 7 * this.dpr) return;
    const [x, y] = this.px(...section.middle);
    const more = room > 52 * this.dpr;
    context.lineJoin = "round";
    context.strokeStyle = seats.page;
    context.lineWidth = size * 0.42;
    context.font = `700 ${size}px ${seats.font}`;
    const long = section.area && context.measureText(section.name).width < side;
    const text = long ? section.name : section.code;
    context.textAlign = "center";
    context.textBaseline = "middle";
    const up = more ? y - size * 0.5 : y;
    context.strokeText(text, x, up);
    this.write(text, x, up, size, section.free > 0 ? seats.ink : seats.soft, 700);
    if (!more) return;
    context.font = `500 ${size * 0.8}px ${seats.font}`;
    context.strokeText(words.left(section.free), x, y + size * 0.58);
    this.write(words.left(section.free), x, y + size * 0.58, size * 0.8, seats.ink, 500);
  }

  // Names above the seats of sections.
  names(seen) {
    const { context, seats } = this;
    const size = 12.5 * this.dpr;
    context.font = `700 ${size}px ${seats.font}`;
    context.lineJoin = "round";
    for (const section of seen) {
      if (section.area) continue;
      const room = (section.box[2] - section.box[0]) * this.scale;
      const text = context.measureText(section.name).width < room ? section.name : section.code;
      if (context.measureText(text).width > room) continue;
      const [x, y] = this.px(section.middle[0], section.box[1]);
      context.strokeStyle = seats.floor;
      context.lineWidth = size * 0.4;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.strokeText(text, x, y - size * 0.3);
      this.write(text, x, y - size * 0.3, size, section.free > 0 ? seats.ink : seats.soft, 700);
    }
  }
}
