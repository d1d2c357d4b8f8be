// A seat list that follows the sale, and says what is ticked.

import { bitmap } from "./live.js";
import { money } from "./sums.js";
import { left, say, tickets } from "./words.js";

const form = document.querySelector("form.seat-form");
const shown = form.querySelector("[data-chosen]");
const seats = new Map();
for (const input of form.querySelectorAll("input[name=place]")) seats.set(Number(input.value), input);
const prices = [...form.querySelectorAll("[data-prices] data")].map((data) => Number(data.value));
// Seats of levels that aren't sold now stay as they are.
const sold = (input) => prices[Number(input.dataset.at)] > 0 || !input.disabled;
const watched = new Set([...seats].filter(([, input]) => sold(input)).map(([place]) => place));

// The server gives reduced prices to the last ticked seats; so does this sum.
function sum(ticked) {
  const reduced = [];
  for (const select of form.querySelectorAll("select[data-amounts]")) {
    const amounts = select.dataset.amounts.split(",");
    for (let n = 0; n < Number(select.value); n++) reduced.push(amounts);
  }
  const usual = ticked.length - reduced.length;
  if (usual < 0) return null;
  return ticked.reduce((total, input, at) => {
    const level = Number(input.dataset.at);
    const amount = at < usual ? prices[level] : reduced[at - usual][level];
    return total === null || amount === "" ? null : total + Number(amount);
  }, 0);
}

function recount() {
  const free = [...seats.values()].filter((input) => !input.disabled).length;
  const shown = document.querySelector(".section-title .left");
  if (shown) shown.textContent = left(free);
}

function name(input) {
  return input.dataset.name;
}

function update(gone = []) {
  const ticked = [...seats.values()].filter((input) => input.checked);
  const total = sum(ticked);
  const price = total === null ? "" : ` · ${money(form, total)}`;
  shown.textContent = ticked.length === 0 ? "" : `${tickets(ticked.length)}${price}`;
  const note = document.createElement("small");
  if (gone.length > 0) note.textContent = say("script.went", { names: gone.map(name).join("; ") });
  else if (ticked.length > 0) note.textContent = ticked.map(name).join("; ");
  if (note.textContent) shown.append(note);
}

function set(place, free) {
  const input = seats.get(place);
  if (!input || !watched.has(place) || input.disabled === !free) return null;
  const lost = !free && input.checked;
  input.disabled = !free;
  if (!free) input.checked = false;
  input.parentElement.classList.toggle("went", !free);
  return lost ? input : null;
}

document.addEventListener("snapshot", ({ detail }) => {
  const unavailable = bitmap(detail.unavailable);
  const lost = [...watched].map((place) => set(place, !unavailable(place)));
  update(lost.filter(Boolean));
});
document.addEventListener("delta", ({ detail }) => {
  const lost = detail.gone.map((place) => set(place, false));
  for (const place of detail.freed) set(place, true);
  recount();
  update(lost.filter(Boolean));
});
form.addEventListener("change", () => update());
update();

// Halls are wider than phones: the middle is what most want to see first.
const map = form.querySelector(".map");
map.scrollLeft = (map.scrollWidth - map.clientWidth) / 2;
