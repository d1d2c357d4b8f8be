// What is above the chart: how many together, which prices, and suggestions with alternatives.

import { ACCESSIBLE } from "./chart-data.js";
import { shapePicture } from "./chart-seats.js";
import { suggest } from "./chart-suggest.js";
import { words } from "./words.js";

const STEP = 1.7;

export class Tools {
  constructor(host) {
    this.host = host;
    this.part = (name) => host.part(name);
    this.#chips();
    const press = (name, act) => this.part(name).addEventListener("click", act);
    press("zoom-in", () => this.host.camera.zoom(STEP));
    press("zoom-out", () => this.host.camera.zoom(1 / STEP));
    press("zoom-fit", () => this.host.camera.fit());
    press("fewer", () => this.#count(-1));
    press("more", () => this.#count(1));
    press("suggest", () => this.#suggest());
    const chip = this.part("accessible");
    chip.hidden = !this.host.chart.marks.some((bits) => bits & ACCESSIBLE);
    chip.addEventListener("click", () => {
      this.host.accessible = !this.host.accessible;
      chip.setAttribute("aria-pressed", this.host.accessible);
      this.#filtered();
    });
  }

  #count(by) {
    this.host.together = Math.min(Math.max(1, this.host.together + by), this.host.page.most);
    this.host.onlyTogether = this.host.together > 1;
    this.part("together").textContent = this.host.together;
    this.#filtered();
  }

  #filtered() {
    this.host.drawing.forget();
    if (!this.part("suggestions").hidden) this.#suggest(false);
  }

  #chips() {
    const seated = new Set([...this.host.chart.level]);
    const areas = new Set(this.host.chart.areas.map(({ level }) => level));
    const list = this.host.chart.levels.map((level, at) => {
      const offers = this.host.page.areas.find(({ section }) => this.host.chart.areas.some((a) => a.level === at && a.section.code === section))?.offers;
      const price = this.host.page.prices[at][0]?.amount ?? offers?.[0]?.amount;
      if (price === undefined || !(seated.has(at) || areas.has(at))) return null;
      if (offers?.length > 0) this.host.sold[at] = true;
      const chip = this.host.button(shapePicture(at, level.color), () => {
        const on = !this.host.wantedLevels.delete(at);
        if (on) this.host.wantedLevels.add(at);
        chip.setAttribute("aria-pressed", on);
        this.#filtered();
      }, "chip");
      const sum = document.createElement("strong");
      sum.textContent = this.host.money(price);
      chip.append(`${level.name} `, sum);
      chip.setAttribute("aria-pressed", "false");
      return chip;
    });
    this.part("levels").replaceChildren(...list.filter(Boolean));
  }

  #suggest(fly = true) {
    const found = suggest(this.host.chart, {
      n: this.host.together, wanted: (level) => this.host.wants(level) && this.host.page.prices[level].length > 0,
      accessible: this.host.accessible, avoid: new Set(),
    });
    const list = this.part("suggestions");
    list.hidden = found.length === 0;
    this.host.hints = found.flatMap(({ seats }) => seats);
    if (found.length === 0) this.host.note(words.noneTogether(this.host.together));
    else this.host.say(words.found(found.length));
    list.replaceChildren(...found.map((one, at) => this.#suggestion(one, at)));
    this.host.changed();
    if (fly && found.length > 0) this.host.showSeats(this.host.hints);
  }

  #suggestion({ seats, level }, at) {
    const item = document.createElement("li");
    const letter = document.createElement("b");
    const hidden = document.createElement("span");
    hidden.className = "visually-hidden";
    hidden.textContent = `${words.suggestion} `;
    letter.append(hidden, "ABCDEFGH"[at]);
    const text = document.createElement("span");
    text.textContent = this.host.summary(seats);
    const price = document.createElement("strong");
    price.textContent = this.host.money(seats.reduce((sum, i) => sum + this.host.picks.amount(i, this.host.picks.usual(i)), 0));
    const name = document.createElement("small");
    name.textContent = this.host.chart.levels[level].name;
    const button = this.host.button(letter, () => {
      this.host.picks.set(seats);
      for (const other of this.part("suggestions").querySelectorAll("button")) other.setAttribute("aria-pressed", other === button);
      this.host.showSeats(seats);
      this.host.say(words.chosen(this.host.summary(seats)));
    }, "suggestion");
    button.setAttribute("aria-pressed", "false");
    button.append(text, name, price);
    item.append(button);
    return item;
  }
}
