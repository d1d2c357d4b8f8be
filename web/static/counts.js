// Keeps "123 left" true on pages that count by level and section.

import { Live } from "./live.js";
import { left } from "./words.js";

// So few are worth a colour.
const FEW = 20;

export function write(name, code, free) {
  const selector = `[data-${name}="${CSS.escape(code)}"]`;
  for (const element of document.querySelectorAll(selector)) {
    element.textContent = left(free);
    element.classList.toggle("few", name === "level" && free <= FEW);
  }
}

function snapshot(body) {
  for (const { level, free } of body.levels) write("level", level, free);
  for (const { section, free } of body.sections) write("section", section, free);
  document.dispatchEvent(new CustomEvent("snapshot", { detail: body }));
}

const root = document.querySelector("[data-live]");
if (root) {
  const live = new Live(root, {
    snapshot,
    delta: (change) => {
      document.dispatchEvent(new CustomEvent("delta", { detail: change }));
      // A seat list counts its seats by itself.
      if ("counts" in root.dataset) live.fetchSoon();
    },
  });
}
