// What every page has: forms that are sent once, and countdowns by the server's clock.

import { say } from "./words.js";

const SECOND = 1000;
// When a screen reader is told how much is left, in seconds.
const WARN_AT = [120, 60, 30];
// Waits a moment longer than the hold lasts, so that the server agrees that it is over.
const RELOAD_AFTER = 800;

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "1";
  });
}

// Whoever comes back to a page by the back button may send its form again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

function clock(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(seconds / 60);
  if (minutes < 100) return `${minutes}:${two(seconds % 60)}`;
  const days = Math.floor(minutes / 1440);
  const hours = `${two(Math.floor(minutes / 60) % 24)}:${two(minutes % 60)}:${two(seconds % 60)}`;
  return days > 0 ? say("frame.days_left", { n: days, clock: hours }) : hours;
}

function count(element) {
  const ends = Number(element.dataset.ends);
  const whole = ends - Number(element.dataset.now);
  // Time since the page was made, which no wrong clock on this device can change.
  const made = performance.timeOrigin + (performance.getEntriesByType("navigation")[0]?.responseStart ?? 0);
  const bar = document.getElementById(element.dataset.bar ?? "");
  // Only what ends the page is worth interrupting for.
  const warning = "reload" in element.dataset ? document.querySelector("[data-warning]") : null;
  let told = Infinity;
  const tick = () => {
    const left = whole - (performance.timeOrigin + performance.now() - made);
    const seconds = Math.max(0, Math.ceil(left / SECOND));
    element.textContent = clock(seconds);
    if (bar) bar.value = whole > 0 ? Math.max(0, left / whole) : 0;
    const step = WARN_AT.find((at) => seconds <= at && at < told && seconds > at - 5);
    if (warning && step) {
      told = step;
      warning.textContent = say("frame.seconds_left", { n: seconds });
    }
    if (left > 0) {
      setTimeout(tick, left % SECOND || SECOND);
    } else if ("reload" in element.dataset) {
      setTimeout(() => location.replace(location.pathname), RELOAD_AFTER);
    }
  };
  tick();
}

for (const element of document.querySelectorAll("[data-countdown]")) count(element);
