// The filter of the API's page.

const filter = document.getElementById("filter");
const found = document.querySelector("[data-found]");
const operations = [...document.querySelectorAll(".operation")].map((element) => ({
  element,
  entry: document.querySelector(`[data-for="${CSS.escape(element.id)}"]`),
  text: element.textContent.toLowerCase(),
}));

function apply() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const { element, entry, text } of operations) {
    const fits = words.every((word) => text.includes(word));
    element.hidden = !fits;
    if (entry) entry.hidden = !fits;
    count += fits ? 1 : 0;
  }
  for (const group of document.querySelectorAll("[data-group]")) {
    group.hidden = !group.querySelector(".operation:not([hidden]), li:not([hidden])");
  }
  found.textContent = words.length ? `${count} operations` : "";
}

filter.addEventListener("input", apply);
apply();
