// Within another site's page: tells that page, and no other, what has happened here.

const host = document.documentElement.dataset.host;
// Has the orders that this frame has led to and that aren't paid yet.
const AWAITED = "onsale-awaited";

function tell(what, detail = {}) {
  parent.postMessage({ onsale: what, ...detail }, host);
}

// Only of orders that were made here, and once: not of tickets that are looked at again.
function awaited(change) {
  try {
    const ids = new Set((sessionStorage.getItem(AWAITED) ?? "").split(" "));
    const known = change(ids);
    sessionStorage.setItem(AWAITED, [...ids].join(" "));
    return known;
  } catch {
    // A browser that keeps nothing for frames: the page around may be told twice.
    return true;
  }
}

for (const form of document.querySelectorAll("form[action$='/checkout']")) {
  // The order will have the hold's id.
  const id = form.action.split("/").at(-2);
  form.addEventListener("submit", () => awaited((ids) => ids.add(id)));
}

const order = document.querySelector("[data-bought]")?.dataset;
if (order?.status === "paid" && awaited((ids) => ids.delete(order.bought))) {
  const { event, code, tickets, total, currency } = order;
  tell("bought", { event, order: code, tickets: Number(tickets), total: Number(total), currency });
}

// The dialog around the frame hears no keys that are pressed in it.
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.defaultPrevented) tell("close");
});

tell("ready", { title: document.title.replace(/ · [^·]*$/, "") });
