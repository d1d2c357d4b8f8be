// A chart's places in typed arrays, and which of them are free.

const CM = 100;
export const ACCESSIBLE = 1;
export const COMPANION = 2;
export const RESTRICTED = 4;
export const AISLE = 8;
const AREA = 2;

// Turns differences into values.
function sums(column) {
  for (let at = 1; at < column.length; at++) column[at] += column[at - 1];
  return column;
}

// The seats of a stretch lie on a curve through its first, middle and last one.
function curve(start, across, bulge, n, into, from) {
  const last = n - 1;
  const m = last >> 1;
  for (let i = 0; i < n; i++) {
    const bow = n > 2 ? (bulge * i * (last - i)) / (m * (last - m)) : 0;
    into[from + i] = (start + (n > 1 ? (across * i) / last : 0) + bow) / CM;
  }
}

export async function load(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`the chart: ${answer.status}`);
  return new Chart(await answer.json());
}

export class Chart {
  constructor(body) {
    this.levels = body.levels;
    this.rows = body.rows;
    this.focus = body.focus.map((cm) => cm / CM);
    for (const column of ["first", "level", "section", "row", "x", "y"]) sums(body[column]);
    this.body = body;
    this.sections = body.sections.map((section, index) => this.#section(section, index));
    const seated = body.length.filter((_, at) => body.class[at] !== AREA);
    const count = seated.reduce((sum, n) => sum + n, 0);
    this.count = count;
    this.x = new Float32Array(count);
    this.y = new Float32Array(count);
    this.place = new Int32Array(count);
    this.level = new Uint8Array(count);
    this.section = new Uint16Array(count);
    this.stretch = new Uint32Array(count);
    this.marks = new Uint8Array(count);
    this.free = new Uint8Array(count).fill(1);
    // Stretches of seats: where they begin, and the box around them.
    this.starts = new Uint32Array(body.length.length + 1);
    this.boxes = new Float32Array(body.length.length * 4);
    this.odd = new Map(body.odd.map((odd) => [odd.at, odd]));
    this.areas = [];
    this.#layOut(body);
    this.#mark(body.marks);
    this.pitch = this.#pitch();
    this.#frame();
  }

  #section({ code, name, area, outline }, index) {
    const corners = Float32Array.from(outline);
    for (let at = 2; at < corners.length; at++) corners[at] += corners[at - 2];
    for (let at = 0; at < corners.length; at++) corners[at] /= CM;
    return { index, code, name, area, outline: corners, box: [Infinity, Infinity, -Infinity, -Infinity],
      from: 0, to: 0, stretches: [0, 0], total: 0, free: 0, levels: new Map(), version: 0 };
  }

  // Stretches come section by section, so the seats of each section are one range.
  #layOut(body) {
    let next = 0;
    let size = 0;
    for (let at = 0; at < body.length.length; at++) {
      const n = body.length[at];
      const section = this.sections[body.section[at]];
      size = Math.max(size, body.first[at] + n);
      this.starts[at] = next;
      section.total += n;
      section.free += n;
      section.levels.set(body.level[at], (section.levels.get(body.level[at]) ?? 0) + n);
      if (body.class[at] === AREA) {
        this.areas.push({ section, first: body.first[at], length: n, level: body.level[at] });
        continue;
      }
      if (section.to === 0) {
        section.from = next;
        section.stretches[0] = at;
      }
      this.#seats(body, at, next, n, section);
      next += n;
      section.to = next;
      section.stretches[1] = at + 1;
    }
    this.starts[body.length.length] = next;
    this.at = new Int32Array(size).fill(-1);
    for (let i = 0; i < this.count; i++) this.at[this.place[i]] = i;
    for (const section of this.sections) {
      let [most, level] = [0, 0];
      for (const [known, n] of section.levels) if (n > most) [most, level] = [n, known];
      section.level = level;
    }
  }

  #seats(body, at, next, n, section) {
    const odd = this.odd.get(at);
    if (odd) {
      for (let i = 0; i < n; i++) {
        this.x[next + i] = odd.x[i] / CM;
        this.y[next + i] = odd.y[i] / CM;
      }
    } else {
      curve(body.x[at], body.dx[at], body.mx[at], n, this.x, next);
      curve(body.y[at], body.dy[at], body.my[at], n, this.y, next);
    }
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    for (let i = next; i < next + n; i++) {
      this.place[i] = body.first[at] + i - next;
      this.level[i] = body.level[at];
      this.section[i] = section.index;
      this.stretch[i] = at;
      grow(box, this.x[i], this.y[i]);
    }
    this.boxes.set(box, at * 4);
    grow(section.box, box[0], box[1]);
    grow(section.box, box[2], box[3]);
  }

  #mark(marks) {
    let place = 0;
    for (let at = 0; at < marks.length; at += 3) {
      place += marks[at];
      for (let n = 0; n < marks[at + 1]; n++) {
        const i = this.at[place + n] ?? -1;
        if (i >= 0) this.marks[i] = marks[at + 2];
      }
    }
  }

  // The usual distance between neighbours, in metres.
  #pitch() {
    const ways = [];
    const step = Math.max(1, Math.floor(this.count / 500));
    for (let i = 1; i < this.count; i += step) {
      if (this.stretch[i] === this.stretch[i - 1]) {
        ways.push(Math.hypot(this.x[i] - this.x[i - 1], this.y[i] - this.y[i - 1]));
      }
    }
    ways.sort((a, b) => a - b);
    return ways[ways.length >> 1] || 0.5;
  }

  // The box around everything; sections without an outline get that of their seats.
  #frame() {
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    for (const section of this.sections) {
      const corners = section.outline;
      for (let at = 0; at < corners.length; at += 2) grow(section.box, corners[at], corners[at + 1]);
      if (section.box[0] === Infinity) continue;
      const [left, top, right, bottom] = section.box;
      if (corners.length < 6) {
        section.outline = Float32Array.of(left, top, right, top, right, bottom, left, bottom);
      }
      grow(box, left, top);
      grow(box, right, bottom);
      [section.middle, section.room] = room(section.outline);
    }
    this.seatsBox = [...box];
    grow(box, this.focus[0], this.focus[1] - 1);
    grow(box, this.focus[0], this.focus[1] + 1);
    this.box = box;
  }

  // All of it, from a snapshot's bitmap. Gives the sections that changed.
  take(unavailable) {
    const changed = new Set();
    for (let i = 0; i < this.count; i++) {
      if (this.#set(i, !unavailable(this.place[i]))) changed.add(this.section[i]);
    }
    for (const section of this.sections) if (section.area) section.free = 0;
    for (const area of this.areas) {
      area.taken = new Uint8Array(area.length);
      for (let i = 0; i < area.length; i++) area.taken[i] = unavailable(area.first + i) ? 1 : 0;
      area.section.free += area.taken.reduce((free, taken) => free + 1 - taken, 0);
      area.section.version++;
    }
    return changed;
  }

  // One place. Gives its seat if that changed.
  change(place, free) {
    const i = this.at[place] ?? -1;
    if (i >= 0) return this.#set(i, free) ? i : -1;
    const area = this.areas.find(({ first, length }) => place >= first && place < first + length);
    if (area?.taken && area.taken[place - area.first] === (free ? 1 : 0)) {
      area.taken[place - area.first] = free ? 0 : 1;
      area.section.free += free ? 1 : -1;
      area.section.version++;
    }
    return -1;
  }

  #set(i, free) {
    if (this.free[i] === (free ? 1 : 0)) return false;
    this.free[i] = free ? 1 : 0;
    const section = this.sections[this.section[i]];
    section.free += free ? 1 : -1;
    section.version++;
    return true;
  }

  // Free places by level, areas included.
  freeByLevel() {
    const free = new Array(this.levels.length).fill(0);
    for (let i = 0; i < this.count; i++) free[this.level[i]] += this.free[i];
    for (const area of this.areas) {
      free[area.level] += area.taken ? area.taken.reduce((n, t) => n + 1 - t, 0) : area.length;
    }
    return free;
  }

  seatLabel(i) {
    const at = this.stretch[i];
    const n = i - this.starts[at];
    const odd = this.odd.get(at);
    return odd ? odd.seats[n] : String(this.body.seat[at] + n * this.body.step[at]);
  }

  rowLabel(i) {
    return this.rows[this.body.row[this.stretch[i]]];
  }

  isStandard(stretch) {
    return this.body.class[stretch] === 0;
  }
}

// The centre of a polygon, and the side of a square as large as it: room for a name.
function room(corners) {
  let [area, x, y] = [0, 0, 0];
  for (let a = 0, b = corners.length - 2; a < corners.length; b = a, a += 2) {
    const cross = corners[b] * corners[a + 1] - corners[a] * corners[b + 1];
    area += cross / 2;
    x += ((corners[a] + corners[b]) * cross) / 6;
    y += ((corners[a + 1] + corners[b + 1]) * cross) / 6;
  }
  if (Math.abs(area) < 1e-6) return [[corners[0], corners[1]], 0];
  return [[x / area, y / area], Math.sqrt(Math.abs(area))];
}

export function grow(box, x, y) {
  if (x < box[0]) box[0] = x;
  if (y < box[1]) box[1] = y;
  if (x > box[2]) box[2] = x;
  if (y > box[3]) box[3] = y;
}
