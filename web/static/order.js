// An order that is still moving: looked at until it has changed, then shown anew.

// Soon at first, then ever more patiently, in milliseconds.
const FIRST = 1000;
const LAST = 15_000;
const GROWTH = 1.3;

const root = document.querySelector("[data-order]");

function mark(order) {
  const statuses = (list) => (list ?? []).map((one) => one.status).join(",");
  return [order.status, statuses(order.tickets), statuses(order.refunds), order.decline ?? ""].join("|");
}

let wait = FIRST;
let etag = null;

async function look() {
  try {
    const headers = etag ? { "If-None-Match": etag } : {};
    const answer = await fetch(root.dataset.order, { headers, cache: "no-store" });
    if (answer.status === 200) {
      etag = answer.headers.get("etag");
      if (mark(await answer.json()) !== root.dataset.mark) {
        // Not a reload: that could send a form again.
        location.replace(root.dataset.here);
        return;
      }
    }
  } catch {
    // No connection: asked again.
  }
  wait = Math.min(LAST, wait * GROWTH);
  setTimeout(look, wait * (0.8 + 0.4 * Math.random()));
}

if (root && "moving" in root.dataset) setTimeout(look, wait);

const print = document.querySelector("[data-print]");
if (print) {
  print.hidden = false;
  print.addEventListener("click", () => globalThis.print());
}
