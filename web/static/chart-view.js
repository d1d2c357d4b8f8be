// The view from a place: small in its card, large when it is pressed.

import { words } from "./words.js";

// What the server says of it, in the reader's language: a picture and its words.
async function figure(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`the view: ${answer.status}`);
  const body = new DOMParser().parseFromString(await answer.text(), "text/html");
  return body.querySelector("figure");
}

async function open(host, address) {
  const dialog = host.part("view-dialog");
  const shown = await figure(address);
  dialog.querySelector("figure")?.remove();
  dialog.append(shown);
  dialog.querySelector("h3").textContent = shown.dataset.name;
  dialog.showModal();
}

export function viewButton(host, place) {
  const [event, version] = host.page.url.split("/chart?");
  const address = `${event}/places/${place}/view`;
  const picture = document.createElement("img");
  Object.assign(picture, { src: `${address}.svg?${version}`, alt: "", width: 96, height: 56 });
  const button = host.button(picture, () => open(host, address), "card-view");
  button.setAttribute("aria-label", words.view);
  button.setAttribute("aria-haspopup", "dialog");
  // Some plans don't tell where the place is.
  picture.addEventListener("error", () => button.remove());
  return button;
}
