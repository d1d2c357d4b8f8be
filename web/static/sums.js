// Sums as the server writes them.

import { grouped, say } from "./words.js";

export function money(form, amount) {
  const digits = Number(form.dataset.digits);
  const text = String(amount).padStart(digits + 1, "0");
  const whole = grouped(text.slice(0, text.length - digits));
  const rest = digits > 0 ? say("format.point") + text.slice(-digits) : "";
  return form.dataset.money.replace("{amount}", whole + rest);
}
