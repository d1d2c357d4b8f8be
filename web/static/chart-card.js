// What the chart says of one seat, or of an area.

import { shapePicture } from "./chart-seats.js";
import { viewButton } from "./chart-view.js";
import { words } from "./words.js";

export class Card {
  constructor(host) {
    this.host = host;
  }

  about(i) {
    const line = (tag, text) => {
      const element = document.createElement(tag);
      element.textContent = text;
      return element;
    };
    const level = this.host.chart.levels[this.host.chart.level[i]];
    const what = line("span", `${level.name} · ${this.host.price(i)}`);
    what.prepend(shapePicture(this.host.chart.level[i], level.color), " ");
    const marks = this.host.attributes(i);
    const status = this.host.chart.free[i] ? [] : [line("span", words.taken)];
    return [line("strong", this.host.seatName(i)), what, ...(marks.length ? [line("span", marks.join(", "))] : []), ...status];
  }

  show(i) {
    const card = this.host.part("card");
    card.hidden = i < 0;
    if (i < 0) return;
    const text = document.createElement("p");
    text.append(...this.about(i));
    const actions = [];
    if (this.host.picks.has(i)) actions.push(this.host.button(words.remove, () => this.host.toggle(i), "small second"));
    else if (this.host.available(i)) actions.push(this.host.button(words.choose, () => this.host.toggle(i)));
    card.replaceChildren(viewButton(this.host, this.host.chart.place[i]), text, ...actions, this.#close());
  }

  #close() {
    const button = this.host.button("×", () => {
      this.host.part("card").hidden = true;
      this.host.part("view").focus({ preventScroll: true });
    }, "plain");
    button.setAttribute("aria-label", words.close);
    return button;
  }

  // An area has no seats, but numbers.
  openArea(section, focus = false) {
    const card = this.host.part("card");
    const offers = this.host.page.areas.find((area) => area.section === section.code)?.offers ?? [];
    const title = document.createElement("p");
    const name = document.createElement("strong");
    name.textContent = this.host.sectionName(section);
    const left = document.createElement("span");
    left.textContent = offers.length > 0 ? words.left(section.free) : words.notSold;
    title.append(name, left);
    const { first } = this.host.chart.areas.find((area) => area.section === section);
    card.replaceChildren(viewButton(this.host, first), title, ...offers.map((offer) => this.#stepper(offer)), this.#close());
    card.hidden = false;
    if (focus) card.querySelector(".stepper button")?.focus();
  }

  #stepper(offer) {
    const row = document.createElement("div");
    row.className = "offer";
    const name = document.createElement("span");
    name.textContent = offer.name;
    const price = document.createElement("strong");
    price.textContent = this.host.money(offer.amount);
    const stepper = document.createElement("div");
    stepper.className = "stepper";
    const output = document.createElement("output");
    const choices = [0, ...offer.choices];
    const show = () => (output.textContent = this.host.picks.units.get(offer.field) ?? 0);
    const step = (by) => {
      const at = choices.indexOf(this.host.picks.units.get(offer.field) ?? 0) + by;
      if (at >= choices.length || (by > 0 && this.host.picks.count >= this.host.page.most)) this.host.note(words.most(this.host.page.most));
      else if (at >= 0) this.host.picks.setUnits(offer.field, choices[at]);
      show();
      this.host.say(`${offer.name}: ${output.textContent}`);
    };
    const [fewer, more] = [this.host.button("−", () => step(-1), ""), this.host.button("+", () => step(1), "")];
    fewer.setAttribute("aria-label", words.fewer(offer.name));
    more.setAttribute("aria-label", words.more(offer.name));
    stepper.append(fewer, output, more);
    row.append(name, price, stepper);
    show();
    return row;
  }
}
