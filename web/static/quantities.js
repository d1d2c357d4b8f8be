// The sum of what is chosen by quantity.

import { money } from "./sums.js";
import { tickets } from "./words.js";

const form = document.querySelector("form.best");
const shown = form?.querySelector("[data-chosen]");

function update() {
  let count = 0;
  let sum = 0;
  for (const select of form.querySelectorAll("select[data-amount]")) {
    const chosen = Number(select.value);
    count += chosen;
    sum += (chosen / Number(select.dataset.package)) * Number(select.dataset.amount);
  }
  shown.textContent = count === 0 ? "" : `${tickets(count)} · ${money(form, sum)}`;
}

if (shown) {
  form.addEventListener("change", update);
  update();
}
