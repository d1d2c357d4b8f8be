// Computes the places on the page again, in the browser: by the rule that the page states.

import { say } from "./words.js";

const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const hex = (buffer) => [...new Uint8Array(buffer)].map((b) => b.toString(16).padStart(2, "0")).join("");

async function place({ event, lane, subject, seed, beacon }) {
  const text = new TextEncoder().encode(beacon);
  const secret = new Uint8Array([...bytes(seed), ...text]);
  const number = Number(lane);
  const id = (uuid) => bytes(uuid.replaceAll("-", ""));
  const message = new Uint8Array([...id(event), number >> 8, number & 255, ...id(subject)]);
  const kind = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", secret, kind, false, ["sign"]);
  const mac = new DataView(await crypto.subtle.sign("HMAC", key, message));
  return mac.getBigUint64(0) >> 2n;
}

async function check(element) {
  const verdict = element.querySelector("[data-verdict]");
  const data = element.dataset;
  if (!globalThis.crypto?.subtle) {
    verdict.textContent = say("script.insecure");
    return;
  }
  const print = hex(await crypto.subtle.digest("SHA-256", bytes(data.seed)));
  const mine = await place(data);
  const good = print === data.hash && mine === BigInt(data.place);
  element.classList.add(good ? "agrees" : "differs");
  verdict.textContent = good
    ? say("script.agrees")
    : say("script.differs", { place: mine, print });
}

for (const element of document.querySelectorAll("[data-rank]")) check(element);
