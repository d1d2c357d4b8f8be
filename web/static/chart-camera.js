// What of the chart is seen: pan, pinch, wheel and flights, all by one point and one scale.

const WHEEL = 0.0016;
const CTRL_WHEEL = 0.012;
// Further than this a press is a move, in pixels.
const SLOP = 7;
const FLIGHT_MS = 320;
const FRICTION = 0.994;
const MAX_SEAT_PX = 40;
const DOUBLE_MS = 280;

export class Camera {
  constructor(view, chart, { moved, tapped, hovered }) {
    this.view = view;
    this.chart = chart;
    this.moved = moved;
    this.tapped = tapped;
    this.hovered = hovered;
    this.x = 0;
    this.y = 0;
    this.scale = 1;
    this.moving = false;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.pointers = new Map();
    this.#measure();
    this.fit(false);
    new ResizeObserver(() => {
      const whole = this.isFit;
      this.#measure();
      if (whole) this.fit(false);
      else this.#settle();
    }).observe(view);
    view.addEventListener("pointerdown", (event) => this.#down(event));
    view.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) view.addEventListener(end, (event) => this.#up(event));
    view.addEventListener("pointerleave", () => this.hovered(null));
    view.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  #measure() {
    this.width = this.view.clientWidth || 1;
    this.height = this.view.clientHeight || 1;
    const [left, top, right, bottom] = this.chart.box;
    const pad = Math.min(28, this.width * 0.05);
    this.least = Math.min((this.width - 2 * pad) / (right - left), (this.height - 2 * pad) / (bottom - top));
    this.most = Math.max(MAX_SEAT_PX / this.chart.pitch, this.least);
  }

  get isFit() {
    return this.scale <= this.least * 1.02;
  }

  get seatPx() {
    return this.chart.pitch * this.scale;
  }

  toScreen(x, y) {
    return [(x - this.x) * this.scale + this.width / 2, (y - this.y) * this.scale + this.height / 2];
  }

  toWorld(px, py) {
    return [(px - this.width / 2) / this.scale + this.x, (py - this.height / 2) / this.scale + this.y];
  }

  fit(fly = true) {
    const [left, top, right, bottom] = this.chart.box;
    this.fly((left + right) / 2, (top + bottom) / 2, this.least, fly);
  }

  // Shows a box, but seats no larger than `px`.
  show([left, top, right, bottom], px = 22, fly = true) {
    const room = Math.min(this.width / (right - left + 2), this.height / (bottom - top + 2)) * 0.92;
    this.fly((left + right) / 2, (top + bottom) / 2, Math.min(room, px / this.chart.pitch), fly);
  }

  fly(x, y, scale, fly = true) {
    cancelAnimationFrame(this.flight);
    const to = this.#within(x, y, scale);
    if (!fly || this.calm.matches) {
      [this.x, this.y, this.scale] = to;
      this.#settle();
      return;
    }
    const from = [this.x, this.y, this.scale];
    const began = performance.now();
    const step = (now) => {
      const t = Math.min(1, Math.max(0, (now - began) / FLIGHT_MS));
      const part = 1 - (1 - t) ** 3;
      this.scale = from[2] * (to[2] / from[2]) ** part;
      // The way goes with the scale, so that the target grows straight towards the eye.
      const way = Math.abs(to[2] - from[2]) < 1e-6 ? part : (1 / from[2] - 1 / this.scale) / (1 / from[2] - 1 / to[2]);
      this.x = from[0] + (to[0] - from[0]) * way;
      this.y = from[1] + (to[1] - from[1]) * way;
      this.moving = t < 1;
      this.moved();
      if (t < 1) this.flight = requestAnimationFrame(step);
      else this.#settle();
    };
    this.flight = requestAnimationFrame(step);
  }

  zoom(factor, px = this.width / 2, py = this.height / 2, fly = true) {
    const [x, y] = this.toWorld(px, py);
    const scale = this.#scale(this.scale * factor);
    const rest = this.scale / scale;
    this.fly(x + (this.x - x) * rest, y + (this.y - y) * rest, scale, fly);
  }

  #scale(scale) {
    return Math.min(this.most, Math.max(this.least, scale));
  }

  // The chart never leaves the view altogether.
  #within(x, y, wanted) {
    const scale = this.#scale(wanted);
    const [left, top, right, bottom] = this.chart.box;
    const clamp = (value, low, high, room) => {
      const half = room / scale / 2;
      const [from, to] = [low + half * 0.7, high - half * 0.7];
      return from > to ? (low + high) / 2 : Math.min(to, Math.max(from, value));
    };
    return [clamp(x, left, right, this.width), clamp(y, top, bottom, this.height), scale];
  }

  #settle() {
    this.moving = false;
    [this.x, this.y, this.scale] = this.#within(this.x, this.y, this.scale);
    // While all is seen, a finger scrolls the page.
    this.view.classList.toggle("fit", this.isFit);
    this.moved();
  }

  #at(event) {
    const box = this.view.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #down(event) {
    if (event.button > 0) return;
    cancelAnimationFrame(this.flight);
    const [px, py] = this.#at(event);
    this.pointers.set(event.pointerId, { px, py, sx: px, sy: py, time: event.timeStamp });
    this.view.setPointerCapture(event.pointerId);
    this.press = this.pointers.size === 1 ? { px, py, moved: false } : null;
    this.speed = [0, 0];
  }

  #move(event) {
    const pointer = this.pointers.get(event.pointerId);
    const [px, py] = this.#at(event);
    if (!pointer) {
      if (event.pointerType === "mouse") this.hovered([px, py]);
      return;
    }
    const before = [...this.pointers.values()].map(({ px, py }) => [px, py]);
    const [dx, dy] = [px - pointer.px, py - pointer.py];
    const dt = Math.max(1, event.timeStamp - pointer.time);
    Object.assign(pointer, { px, py, time: event.timeStamp });
    if (this.press && Math.hypot(px - this.press.px, py - this.press.py) > SLOP) this.press.moved = true;
    if (this.pointers.size === 1) {
      if (!this.press?.moved) return;
      this.hovered(null);
      this.speed = [0.7 * (dx / dt) + 0.3 * this.speed[0], 0.7 * (dy / dt) + 0.3 * this.speed[1]];
      this.#shift(-dx / this.scale, -dy / this.scale, this.scale);
      return;
    }
    const after = [...this.pointers.values()].map(({ px, py }) => [px, py]);
    const middle = ([a, b]) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    const span = ([a, b]) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
    const [m0, m1] = [middle(before), middle(after)];
    const world = this.toWorld(...m0);
    this.scale = this.#scale(this.scale * (span(after) / span(before)));
    this.x = world[0] - (m1[0] - this.width / 2) / this.scale;
    this.y = world[1] - (m1[1] - this.height / 2) / this.scale;
    this.#shift(0, 0, this.scale);
  }

  #shift(dx, dy, scale) {
    this.moving = true;
    [this.x, this.y, this.scale] = this.#within(this.x + dx, this.y + dy, scale);
    this.moved();
  }

  #up(event) {
    const pointer = this.pointers.get(event.pointerId);
    if (!pointer) return;
    this.pointers.delete(event.pointerId);
    if (this.pointers.size > 0) return;
    const tap = event.type === "pointerup" && this.press && !this.press.moved;
    const still = event.timeStamp - pointer.time > 60 || Math.hypot(...this.speed) < 0.05;
    if (!tap && !still && !this.calm.matches && event.type === "pointerup") this.#glide(...this.speed);
    else this.#settle();
    if (tap) this.#tap(pointer, event);
  }

  #tap({ px, py }, event) {
    const again = this.last && event.timeStamp - this.last.time < DOUBLE_MS
      && Math.hypot(px - this.last.px, py - this.last.py) < 30 && !this.last.took;
    const took = this.tapped([px, py], event.pointerType);
    if (!took && again) this.zoom(2, px, py);
    this.last = { px, py, time: event.timeStamp, took };
  }

  #glide(vx, vy) {
    let before = performance.now();
    const step = (now) => {
      const dt = Math.min(50, Math.max(0, now - before));
      before = now;
      const rest = FRICTION ** dt;
      this.#shift((-vx * dt) / this.scale, (-vy * dt) / this.scale, this.scale);
      [vx, vy] = [vx * rest, vy * rest];
      if (Math.hypot(vx, vy) > 0.02) this.flight = requestAnimationFrame(step);
      else this.#settle();
    };
    this.flight = requestAnimationFrame(step);
  }

  #wheel(event) {
    // At the end of the way the page scrolls on.
    if (event.deltaY > 0 && this.isFit && !event.ctrlKey) return;
    event.preventDefault();
    cancelAnimationFrame(this.flight);
    const unit = event.deltaMode === 1 ? 30 : 1;
    const [px, py] = this.#at(event);
    const speed = event.ctrlKey ? CTRL_WHEEL : WHEEL;
    const [x, y] = this.toWorld(px, py);
    const scale = this.#scale(this.scale * Math.exp(-event.deltaY * unit * speed));
    const rest = this.scale / scale;
    this.moving = true;
    [this.x, this.y, this.scale] = this.#within(x + (this.x - x) * rest, y + (this.y - y) * rest, scale);
    this.moved();
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.#settle(), 140);
  }
}
