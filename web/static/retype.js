// The total that other price types would come to, before they are taken.

import { money } from "./sums.js";
import { say } from "./words.js";

const part = document.querySelector("[data-retype]");
const shown = part?.querySelector("[data-new-total]");

function update() {
  let [sum, changed] = [Number(part.dataset.rest), false];
  for (const select of part.querySelectorAll("select")) {
    const [chosen] = select.selectedOptions;
    sum += Number(chosen.dataset.amount);
    changed ||= !("own" in chosen.dataset);
  }
  shown.textContent = changed ? say("script.newTotal", { total: money(part, sum) }) : "";
}

if (shown) {
  part.addEventListener("change", update);
  update();
}
