// What seats, sections and prices are called.

import { ACCESSIBLE, AISLE, COMPANION, RESTRICTED } from "./chart-data.js";
import { money } from "./sums.js";
import { words } from "./words.js";

export class Names {
  constructor(root, chart) {
    this.root = root;
    this.chart = chart;
    this.page = JSON.parse(root.dataset.chart);
    this.sold = chart.levels.map((_, level) => this.page.prices[level].length > 0);
  }

  part(name) {
    return this.root.querySelector(`[data-${name}]`);
  }

  money(amount) {
    return amount === 0 ? words.noCharge : money(this.root, amount);
  }

  sectionName({ name, area }) {
    return area ? `${name} (${words.standing})` : name;
  }

  nameOf(code) {
    return this.chart.sections.find((section) => section.code === code)?.name ?? code;
  }

  shortName(i) {
    return `${words.row(this.chart.rowLabel(i))}, ${words.seat(this.chart.seatLabel(i))}`;
  }

  seatName(i) {
    return `${this.chart.sections[this.chart.section[i]].name}, ${this.shortName(i)}`;
  }

  attributes(i) {
    const known = [[ACCESSIBLE, words.accessible], [COMPANION, words.companion], [RESTRICTED, words.restricted], [AISLE, words.aisle]];
    return known.filter(([bit]) => this.chart.marks[i] & bit).map(([, text]) => text);
  }

  price(i) {
    if (!this.sold[this.chart.level[i]]) return words.notSold;
    return this.money(this.picks.amount(i, this.picks.usual(i)));
  }

  status(i) {
    return this.picks.has(i) ? words.mine : this.chart.free[i] ? words.free : words.taken;
  }

  describe(i) {
    const level = this.chart.levels[this.chart.level[i]].name;
    return [this.shortName(i), this.status(i), level, this.price(i), ...this.attributes(i)].join(", ");
  }

  // Seats with their rows told once.
  summary(seats) {
    const groups = new Map();
    for (const i of [...seats].sort((a, b) => a - b)) {
      const key = `${this.chart.sections[this.chart.section[i]].name}, ${words.row(this.chart.rowLabel(i))}`;
      groups.set(key, [...(groups.get(key) ?? []), i]);
    }
    return [...groups].map(([row, list]) => {
      const runs = [];
      for (const i of list) {
        if (runs.at(-1)?.at(-1) === i - 1 && this.chart.stretch[i] === this.chart.stretch[i - 1]) runs.at(-1).push(i);
        else runs.push([i]);
      }
      const text = (run) => words.seats(this.chart.seatLabel(run[0]), this.chart.seatLabel(run.at(-1)));
      return `${row}, ${runs.map(text).join(", ")}`;
    }).join("; ");
  }

  button(text, act, kind = "small") {
    const button = document.createElement("button");
    button.type = "button";
    button.className = kind;
    button.append(text);
    button.addEventListener("click", act);
    return button;
  }
}
