// Looks at an ask until it is more than a place in line.

// In milliseconds, not for everybody at once.
const EVERY = 4000;

const { ask, here } = document.querySelector("[data-ask]").dataset;
const ahead = document.querySelector("[data-ahead]");

async function look() {
  try {
    const answer = await fetch(ask, { cache: "no-store" });
    const view = answer.ok ? await answer.json() : null;
    if (answer.status === 410 || (view && view.state !== "waiting")) {
      // Not a reload: that could send a form again.
      location.replace(here);
      return;
    }
    if (view && ahead.textContent !== String(view.ahead)) ahead.textContent = view.ahead;
  } catch {
    // No connection: looked at again.
  }
  setTimeout(look, EVERY * (0.8 + 0.4 * Math.random()));
}

setTimeout(look, EVERY * Math.random());
