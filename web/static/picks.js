// What is chosen on the chart: a calm bar with its sum, which holds it.

import { moved, stranded } from "./chart-suggest.js";
import { money } from "./sums.js";
import { tickets, words } from "./words.js";

export class Picks {
  // `host`: names seats, and is told of changes.
  constructor(root, page, chart, host) {
    Object.assign(this, { root, page, chart, host });
    this.form = root.querySelector("[data-picks]");
    this.part = (name) => this.form.querySelector(`[data-${name}]`);
    // Seats in the order in which they were chosen, each with its price type.
    this.seats = new Map();
    // Units of areas by form field.
    this.units = new Map();
    this.taken = 0;
    this.form.addEventListener("submit", () => this.#fields());
    this.form.querySelector("[data-codes]").addEventListener("click", () => {
      document.querySelector(".codes").open = true;
    });
    this.#restore();
  }

  #restore() {
    const known = this.page.picked.map((place) => this.chart.at[place] ?? -1).filter((i) => i >= 0);
    const reduced = this.page.reduced.flatMap(([field, n]) => Array(n).fill(Number(field.slice(2))));
    known.forEach((i, at) => {
      if (!this.host.available(i)) return;
      const late = at - (known.length - reduced.length);
      this.seats.set(i, late >= 0 ? reduced[late] : this.usual(i));
    });
    for (const [field, n] of this.page.units) this.units.set(field, n);
  }

  prices(i) {
    return this.page.prices[this.chart.level[i]];
  }

  usual(i) {
    return this.prices(i)[0]?.type ?? 0;
  }

  amount(i, type = this.seats.get(i)) {
    return (this.prices(i).find((price) => price.type === type) ?? this.prices(i)[0])?.amount ?? 0;
  }

  get count() {
    return this.seats.size + [...this.units.values()].reduce((sum, n) => sum + n, 0);
  }

  get total() {
    let sum = 0;
    for (const i of this.seats.keys()) sum += this.amount(i);
    for (const { offers } of this.page.areas) {
      for (const offer of offers) sum += ((this.units.get(offer.field) ?? 0) / offer.package) * offer.amount;
    }
    return sum;
  }

  has(i) {
    return this.seats.has(i);
  }

  // Gives whether there was room for it.
  add(i) {
    if (this.count >= this.page.most) {
      this.host.note(words.most(this.page.most));
      return false;
    }
    this.seats.set(i, this.usual(i));
    this.changed();
    return true;
  }

  remove(i) {
    this.seats.delete(i);
    this.changed();
  }

  // Instead of what was chosen before.
  set(list) {
    this.seats = new Map(list.slice(0, this.page.most).map((i) => [i, this.seats.get(i) ?? this.usual(i)]));
    this.changed();
  }

  setUnits(field, n) {
    if (n > 0) this.units.set(field, n);
    else this.units.delete(field);
    this.changed();
  }

  // Seats that others took meanwhile.
  lose() {
    const lost = [...this.seats.keys()].filter((i) => !this.host.available(i));
    for (const i of lost) this.seats.delete(i);
    if (lost.length > 0) this.changed();
    return lost;
  }

  changed() {
    this.render();
    this.host.changed();
  }

  render() {
    const { count } = this;
    this.form.hidden = count === 0;
    document.body.classList.toggle("picking", count > 0);
    if (count === 0) {
      this.advise();
      return;
    }
    const sum = this.part("sum");
    sum.textContent = `${tickets(count)} · ${money(this.root, this.total)}`;
    const names = document.createElement("small");
    names.textContent = this.host.summary([...this.seats.keys()]) || this.#areaNames();
    sum.append(names);
    this.form.querySelector("button[type=submit]").textContent = words.hold(tickets(count));
    this.part("rows").replaceChildren(...[...this.seats.keys()].map((i) => this.#row(i)), ...this.#unitRows());
    this.advise();
  }

  #areaNames() {
    const chosen = ({ offers }) => offers.some((offer) => this.units.has(offer.field));
    return this.page.areas.filter(chosen).map(({ section }) => this.host.nameOf(section)).join("; ");
  }

  #row(i) {
    const row = document.createElement("li");
    const name = document.createElement("span");
    name.textContent = this.host.seatName(i);
    const price = document.createElement("strong");
    price.textContent = money(this.root, this.amount(i));
    row.append(name);
    if (this.prices(i).length > 1) row.append(this.#types(i));
    row.append(price, this.#button("×", words.removeSeat(this.host.seatName(i)), () => {
      this.remove(i);
      // Not lost with its row.
      if (this.count > 0) this.part("list").querySelector("summary").focus();
      else this.root.querySelector("[data-view]").focus({ preventScroll: true });
    }));
    return row;
  }

  #types(i) {
    const select = document.createElement("select");
    select.setAttribute("aria-label", words.typeOf(this.host.seatName(i)));
    for (const { type } of this.prices(i)) {
      const name = this.page.types.find(({ number }) => number === type)?.name ?? "";
      select.add(new Option(name, type, false, type === this.seats.get(i)));
    }
    select.addEventListener("change", () => {
      this.seats.set(i, Number(select.value));
      this.changed();
    });
    return select;
  }

  #unitRows() {
    return this.page.areas.flatMap(({ section, offers }) => offers.filter((offer) => this.units.has(offer.field)).map((offer) => {
      const row = document.createElement("li");
      const name = document.createElement("span");
      const n = this.units.get(offer.field);
      name.textContent = `${n} × ${this.host.nameOf(section)}, ${offer.name}`;
      const price = document.createElement("strong");
      price.textContent = money(this.root, (n / offer.package) * offer.amount);
      row.append(name, price, this.#button("×", words.removeSeat(name.textContent), () => this.setUnits(offer.field, 0)));
      return row;
    }));
  }

  #button(text, label, act) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    button.textContent = text;
    if (label) button.setAttribute("aria-label", label);
    button.addEventListener("click", act);
    return button;
  }

  // What the sale would refuse is said before, with what helps.
  advise() {
    const strict = this.page.orphans_until !== null && this.taken < this.page.orphans_until;
    const mine = new Set(this.seats.keys());
    const alone = strict ? stranded(this.chart, mine) : [];
    // What is said already isn't said again: nothing jumps while others buy.
    const same = String([...mine, "", ...alone]) === this.advised;
    this.advised = String([...mine, "", ...alone]);
    this.alone = alone;
    if (same) return;
    const advice = this.part("advice");
    advice.replaceChildren();
    if (alone.length === 0) return;
    const text = document.createElement("p");
    text.textContent = words.alone(alone.map((i) => this.host.shortName(i)).join("; "));
    const actions = document.createElement("p");
    actions.className = "actions";
    const shift = moved(this.chart, mine, alone[0]);
    if (shift) actions.append(this.#button(words.move, "", () => this.#shift(shift)));
    if (this.count + alone.length <= this.page.most) {
      actions.append(this.#button(words.takeToo(alone.length), "", () => alone.forEach((i) => this.add(i))));
    }
    advice.append(text, actions);
  }

  #shift({ from, to }) {
    const types = from.map((i) => this.seats.get(i));
    for (const i of from) this.seats.delete(i);
    to.forEach((i, at) => this.seats.set(i, types[at]));
    this.host.say(words.moved);
    this.changed();
  }

  // The server gives reduced prices to the last seats, in the order of price types.
  #fields() {
    const fields = [];
    const field = (name, value) => {
      const input = document.createElement("input");
      [input.type, input.name, input.value] = ["hidden", name, value];
      fields.push(input);
    };
    const usual = [...this.seats].filter(([i, type]) => type === this.usual(i));
    for (const [i] of usual) field("place", this.chart.place[i]);
    for (const { number } of this.page.types) {
      const of = [...this.seats].filter(([i, type]) => type === number && type !== this.usual(i));
      for (const [i] of of) field("place", this.chart.place[i]);
      if (of.length > 0) field(`t-${number}`, of.length);
    }
    for (const [name, n] of this.units) field(name, n);
    for (const name of ["promo", "access"]) {
      const code = document.querySelector(`.codes input[name=${name}]`)?.value;
      if (code) field(name, code);
    }
    this.part("fields").replaceChildren(...fields);
  }
}
