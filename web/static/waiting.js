// The waiting room: follows the line, switches between what the page already says, and counts.

import { grouped, left, range, say, span } from "./words.js";

const SECOND = 1000;
// A stream says something at least every ten seconds; after this it is believed to be dead.
const SILENT_AFTER = 25 * SECOND;
// A connection that comes back at once is not worth a word.
const LOST_AFTER = 2500;
// Asking again after a failure: soon, then ever more patiently.
const RETRY_FIRST = 2 * SECOND;
const RETRY_LAST = 20 * SECOND;
// A screen reader hears of the position when it has halved, or after so long.
const TELL_EVERY = 60 * SECOND;
// When the waiting room opens, not everybody asks for the page in the same moment.
const OPEN_WITHIN = 2 * SECOND;

const root = document.querySelector("[data-line]");
const all = (selector) => document.querySelectorAll(selector);
const one = (selector) => document.querySelector(selector);
const write = (selector, text) => {
  for (const element of all(selector)) if (element.textContent !== text) element.textContent = text;
};
const show = (element, yes) => { if (element) element.hidden = !yes; };

const about = ({ likely_s }) => say("time.about", { span: span(likely_s) });
function clock(ms) {
  const seconds = Math.max(0, Math.ceil(ms / SECOND));
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (number) => String(number).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

// Countdowns go by the server's clock.
let offset = Number(root.dataset.now) - Date.now();
const times = Object.fromEntries(
  ["joins", "draw", "opens", "turn"].map((name) => [name, Number(root.dataset[name])]),
);
let state = root.dataset.state;

function tick() {
  const now = Date.now() + offset;
  for (const element of all("[data-clock]")) {
    const at = times[element.dataset.clock];
    element.textContent = at > 0 ? clock(at - now) : "–";
  }
  if (state === "soon" && now >= times.joins) {
    state = "opening";
    setTimeout(() => location.replace(root.dataset.here), 300 + Math.random() * OPEN_WITHIN);
  }
  // Who looks at the form is told when joining became something else.
  if (state === "join" && times.draw > 0 && now >= times.draw && one("[data-join] [data-clock]")) {
    state = "drawn";
    if (!one("[data-join]").dataset.sent) location.replace(root.dataset.here);
  }
}
tick();
setInterval(tick, SECOND / 4);

// The title tells who looks at another tab.
const name = root.dataset.name;
const plain = document.title;
function title(view) {
  if (state === "your_turn") return say("script.yourTurn", { name });
  if (view?.position && state === "waiting") return say("script.inLine", { position: grouped(view.position), name });
  return plain;
}

// Announcements, politely and seldom.
const told = { state, position: Infinity, at: 0 };
function announce(view) {
  const said = one("[data-said]");
  const title = one(`.scene[data-in="${state}"] h1`)?.textContent ?? "";
  if (state !== told.state) {
    said.textContent = `${title}.`;
    Object.assign(told, { state, position: view.position ?? Infinity, at: Date.now() });
  } else if (view.position && state === "waiting") {
    const halved = view.position <= told.position / 2;
    if (halved || (view.position < told.position && Date.now() - told.at > TELL_EVERY)) {
      const position = grouped(view.position);
      said.textContent = view.eta
        ? say("script.positionEta", { position, span: about(view.eta) })
        : say("script.position", { position });
      Object.assign(told, { position: view.position, at: Date.now() });
    }
  }
}

// How far the line has come: never back, also not through a reload of the page.
const DRAWN = 2n ** 62n;
function progress(view, lane) {
  const bar = one("[data-progress]");
  if (!bar || !view.place) return;
  const place = BigInt(view.place);
  const before = place < DRAWN
    ? (Number(place) / Number(DRAWN)) * lane.joined
    : lane.joined + Number(place - DRAWN);
  const now = view.ahead == null || before < 1 ? 0 : 1 - view.ahead / before;
  const key = `line:${location.pathname}:${view.lane}:${view.place}`;
  let most = Math.max(0, Math.min(1, now));
  try {
    most = Math.max(most, Number(sessionStorage.getItem(key) ?? 0));
    sessionStorage.setItem(key, most);
  } catch {
    // No storage: then it may start anew with a reload.
  }
  bar.value = Math.max(most, Number(bar.value));
}

// A gentle sound, for who asked for it: three soft notes, made here.
let audio = null;
const sound = one("[data-sound]");
function play(notes) {
  if (!audio) return;
  notes.forEach((frequency, at) => {
    const [tone, gain] = [audio.createOscillator(), audio.createGain()];
    const begin = audio.currentTime + at * 0.22;
    tone.frequency.value = frequency;
    gain.gain.setValueAtTime(0, begin);
    gain.gain.linearRampToValueAtTime(0.12, begin + 0.04);
    gain.gain.exponentialRampToValueAtTime(0.0001, begin + 0.9);
    tone.connect(gain).connect(audio.destination);
    tone.start(begin);
    tone.stop(begin + 1);
  });
}
if (sound && "AudioContext" in window) {
  sound.hidden = false;
  sound.addEventListener("click", async () => {
    if (audio) {
      await audio.close();
      audio = null;
    } else {
      audio = new AudioContext();
      play([523.25]);
    }
    sound.setAttribute("aria-pressed", String(Boolean(audio)));
    sound.textContent = say(audio ? "script.soundOn" : "script.soundOff");
  });
}

function take(view) {
  const { room } = view;
  const lane = room.lanes.find((known) => known.lane === view.lane);
  const before = state;
  state = view.state;
  offset = view.now_ms - Date.now();
  Object.assign(times, {
    joins: Date.parse(lane.joins_at),
    draw: Date.parse(lane.draw_at),
    opens: Date.parse(lane.opens_at),
    turn: view.turn_at_ms ?? 0,
  });
  for (const element of all("[data-in]")) {
    element.hidden = !element.dataset.in.split(" ").includes(state);
  }
  for (const element of all("[data-figure]")) element.hidden = view.position == null;
  if (view.position != null) write("[data-position]", grouped(view.position));
  if (view.ahead != null) write("[data-ahead]", grouped(view.ahead));
  show(one("[data-eta-box]"), view.eta != null);
  if (view.eta) {
    write("[data-eta]", about(view.eta));
    write("[data-range]", range(view.eta));
  }
  for (const element of all("[data-odds]")) element.hidden = element.dataset.odds !== view.odds;
  if (room.enough_for != null) write("[data-enough]", grouped(room.enough_for));
  write("[data-joined-count]", grouped(lane.joined));
  for (const level of room.levels) {
    write(`[data-free="${CSS.escape(level.level)}"]`, left(level.free));
  }
  show(one("[data-message]"), room.message !== "");
  write("[data-message] span", room.message);
  progress(view, lane);
  announce(view);
  document.title = title(view);
  if (state === "your_turn" && before !== "your_turn") play([523.25, 659.25, 783.99]);
  tick();
}

// A stream while it lasts, polls where there is none.
let stream = null;
let heard = Date.now();
let poll = null;
let retry = RETRY_FIRST;
let lost = null;
let wait = Number(root.dataset.poll) || RETRY_FIRST;

function found() {
  heard = Date.now();
  retry = RETRY_FIRST;
  clearTimeout(lost);
  lost = null;
  show(one("[data-lost]"), false);
}

function missing() {
  lost ??= setTimeout(() => show(one("[data-lost]"), true), LOST_AFTER);
}

function follow() {
  stream?.close();
  heard = Date.now();
  stream = new EventSource(`${root.dataset.here}/stream`);
  stream.addEventListener("place", (event) => {
    found();
    take(JSON.parse(event.data));
  });
  stream.addEventListener("error", () => {
    // A browser tries again by itself, unless it was refused: then it is told by polls.
    if (stream?.readyState !== EventSource.CLOSED) missing();
    else later(wait);
  });
}

function later(ms) {
  clearTimeout(poll);
  poll = setTimeout(ask, ms);
}

async function ask() {
  clearTimeout(poll);
  try {
    const answer = await fetch(`${root.dataset.here}/place`, { cache: "no-store" });
    if (answer.status === 403 || answer.status === 404) {
      // The place isn't known any more: the page says what can be done.
      location.replace(root.dataset.here);
      return;
    }
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const view = await answer.json();
    found();
    take(view);
    wait = view.poll_after_ms;
    if (stream?.readyState !== EventSource.OPEN) later(wait);
  } catch {
    missing();
    later(retry * (0.8 + 0.4 * Math.random()));
    retry = Math.min(RETRY_LAST, retry * 1.6);
  }
}

// After sleep or a lost network, what is shown is old: asked at once.
function wake() {
  if (!("joined" in root.dataset) || document.visibilityState === "hidden") return;
  if (stream?.readyState !== EventSource.OPEN || Date.now() - heard > SILENT_AFTER) {
    ask();
    if (stream?.readyState !== EventSource.CLOSED) follow();
  }
}

if ("joined" in root.dataset) {
  follow();
  addEventListener("online", wake);
  addEventListener("offline", missing);
  document.addEventListener("visibilitychange", wake);
  setInterval(() => { if (Date.now() - heard > SILENT_AFTER) wake(); }, 5 * SECOND);
  addEventListener("pagehide", () => stream?.close());
}
document.title = title(null);
addEventListener("pageshow", (event) => {
  if (event.persisted) location.replace(root.dataset.here);
});

// Joining: the code is asked for where it is needed, and a proof of work goes with the form.
const form = one("[data-join]");
if (form) {
  const code = one("[data-code]");
  const lane = () => form.querySelector("[name=lane]:checked, [name=lane][type=hidden]");
  const look = () => show(code, lane() && "needsCode" in lane().dataset);
  form.addEventListener("change", look);
  look();
  form.addEventListener("submit", async (event) => {
    const field = form.querySelector("[data-proof]");
    if (!form.dataset.challenge || field.value || form.dataset.tried) return;
    event.preventDefault();
    form.dataset.tried = "1";
    show(one("[data-working]"), true);
    field.value = await prove(form.dataset.challenge);
    HTMLFormElement.prototype.submit.call(form);
  });
}

// Without a solution the form is sent all the same: the server says what takes its place.
async function prove(address) {
  try {
    const answer = await fetch(address, { cache: "no-store" });
    if (!answer.ok) return "";
    const { solve } = await import("./proof.js");
    return await solve(await answer.json());
  } catch {
    return "";
  }
}
