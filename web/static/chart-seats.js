// How a seat looks: a shape for its price level besides the colour, so that nobody has to tell
// colours apart. Each look is drawn once per size and then copied.

const SHAPES = ["square", "circle", "diamond", "triangle", "hexagon", "cross"];
const MAX_SPRITES = 600;

export function shapeOf(level) {
  return SHAPES[level % SHAPES.length];
}

const LIGHTER = 0.4;

// Red, green and blue of `#rrggbb`, lighter where the page is dark.
function parts(color) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  return [1, 3, 5].map((at) => {
    const part = parseInt(color.slice(at, at + 2), 16);
    return dark ? Math.round(part + (255 - part) * LIGHTER) : part;
  });
}

function toned(color) {
  return `rgb(${parts(color).join(" ")})`;
}

// A shape around the origin, within a square of 2.
function trace(context, shape, r) {
  context.beginPath();
  if (shape === "circle") {
    context.arc(0, 0, 0.94 * r, 0, 2 * Math.PI);
  } else if (shape === "square") {
    context.roundRect(-0.86 * r, -0.86 * r, 1.72 * r, 1.72 * r, 0.4 * r);
  } else if (shape === "cross") {
    const [a, b] = [0.4 * r, 0.96 * r];
    const corners = [[-a, -b], [a, -b], [a, -a], [b, -a], [b, a], [a, a], [a, b], [-a, b], [-a, a], [-b, a], [-b, -a], [-a, -a]];
    for (const [x, y] of corners) context.lineTo(x, y);
  } else {
    const [n, turn, size] = { diamond: [4, 0, 1.12], triangle: [3, -0.5, 1.16], hexagon: [6, 0, 1.02] }[shape];
    const down = shape === "triangle" ? 0.2 * r : 0;
    for (let i = 0; i < n; i++) {
      const angle = Math.PI * (turn + (2 * i) / n);
      context.lineTo(size * r * Math.cos(angle), down + size * r * Math.sin(angle));
    }
  }
  context.closePath();
}

// A path for pictures beside texts: the same shapes, in a box of 20.
export function shapePicture(level, color) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 40;
  canvas.className = "shape";
  canvas.setAttribute("aria-hidden", "true");
  const context = canvas.getContext("2d");
  context.translate(20, 20);
  context.fillStyle = toned(color);
  trace(context, shapeOf(level), 17);
  context.fill();
  hole(context, level, 17, "#fff");
  return canvas;
}

// After six levels shapes come again, with a hole.
function hole(context, level, r, color) {
  if (level < SHAPES.length) return;
  context.beginPath();
  context.arc(0, 0, r * 0.36, 0, 2 * Math.PI);
  context.fillStyle = color;
  context.fill();
}

export class Seats {
  #sprites = new Map();

  constructor(levels) {
    this.levels = levels;
    this.read();
  }

  // Colours of the page, which change with light and dark.
  read() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    this.page = color("--sheet");
    this.floor = color("--floor");
    this.ink = color("--ink");
    this.soft = color("--soft");
    this.line = color("--line");
    this.accent = color("--accent");
    this.onAccent = color("--on-accent");
    this.gone = color("--gone");
    this.font = getComputedStyle(document.body).fontFamily;
    this.colors = this.levels.map(({ color }) => toned(color));
    // Numbers on seats are dark on light colours and light on dark ones.
    this.on = this.levels.map(({ color }) => {
      const [r, g, b] = parts(color).map((part) => (part / 255) ** 2.2);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.3 ? "#14110f" : "#fff";
    });
    this.#sprites.clear();
  }

  // `state`: free, dim, gone, mine, hint, alone. `px`: the seat's size on the device.
  sprite(level, state, px) {
    const key = `${state === "gone" || state === "mine" ? 0 : level} ${state} ${px}`;
    let sprite = this.#sprites.get(key);
    if (!sprite) {
      if (this.#sprites.size > MAX_SPRITES) this.#sprites.clear();
      sprite = this.#draw(level, state, px);
      this.#sprites.set(key, sprite);
    }
    return sprite;
  }

  #draw(level, state, px) {
    const canvas = document.createElement("canvas");
    const room = Math.ceil(px * (state === "mine" || state === "hint" || state === "alone" ? 1.5 : 1)) + 2;
    canvas.width = canvas.height = room;
    const context = canvas.getContext("2d");
    context.translate(room / 2, room / 2);
    const r = px * 0.43;
    if (state === "gone") this.#gone(context, r, px);
    else if (state === "mine") this.#mine(context, r, px);
    else this.#free(context, level, state, r, px);
    return canvas;
  }

  #gone(context, r, px) {
    context.fillStyle = this.gone;
    context.beginPath();
    context.arc(0, 0, Math.max(0.5, px < 7 ? r * 0.45 : r * 0.38), 0, 2 * Math.PI);
    context.fill();
  }

  #mine(context, r, px) {
    context.beginPath();
    context.arc(0, 0, Math.max(1.6 * r, 3), 0, 2 * Math.PI);
    context.fillStyle = this.page;
    context.fill();
    context.beginPath();
    context.arc(0, 0, Math.max(1.36 * r, 2.4), 0, 2 * Math.PI);
    context.fillStyle = this.ink;
    context.fill();
    if (px < 9) return;
    context.strokeStyle = this.page;
    context.lineWidth = r * 0.32;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(-0.6 * r, 0.05 * r);
    context.lineTo(-0.15 * r, 0.48 * r);
    context.lineTo(0.62 * r, -0.45 * r);
    context.stroke();
  }

  #free(context, level, state, r, px) {
    context.globalAlpha = state === "dim" ? 0.16 : 1;
    context.fillStyle = this.colors[level];
    trace(context, shapeOf(level), r);
    context.fill();
    if (px >= 9) {
      context.strokeStyle = `color-mix(in srgb, ${this.colors[level]} 62%, ${this.ink})`;
      context.lineWidth = Math.max(0.75, px * 0.045);
      context.stroke();
    }
    hole(context, level, r, this.page);
    if (state === "hint" || state === "alone") {
      context.beginPath();
      context.arc(0, 0, 1.42 * r, 0, 2 * Math.PI);
      context.strokeStyle = state === "hint" ? this.ink : this.accent;
      context.lineWidth = Math.max(1.5, r * 0.26);
      if (state === "alone") context.setLineDash([r * 0.5, r * 0.35]);
      context.stroke();
    }
  }
}
