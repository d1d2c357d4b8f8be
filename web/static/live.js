// What is free, as it changes: a snapshot, then deltas. The stream begins with a snapshot or goes
// on from what the page has; whoever misses a delta all the same fetches the snapshot.

// A page fetches snapshots about this often at most, however fast the sale runs, in milliseconds.
const FETCH_EVERY = 4000;
// Without a stream it is asked this often.
const POLL_EVERY = 10_000;
// When the sale opens or pauses, not everybody asks for the page in the same moment.
const RELOAD_WITHIN = 2000;

export class Live {
  #url;
  #here;
  #state;
  #epoch = null;
  #seq = null;
  #etag = null;
  #listeners;
  #timer = null;
  // As if somewhere in the past: pages that opened together don't fetch together.
  #last = Date.now() - FETCH_EVERY * Math.random();

  // `listeners`: `snapshot(body)` after each fetch, `delta(change)` after each change.
  constructor(root, listeners) {
    this.#url = root.dataset.live;
    this.#here = root.dataset.here;
    this.#state = root.dataset.state;
    this.#listeners = listeners;
    const since = root.dataset.since;
    if (since) [this.#epoch, this.#seq] = since.split("-").map(Number);
    this.#follow(since);
  }

  #follow(since) {
    const stream = new EventSource(`${this.#url}/stream${since ? `?since=${since}` : ""}`);
    stream.addEventListener("delta", (event) => this.#take(JSON.parse(event.data)));
    stream.addEventListener("snapshot", (event) => this.#whole(JSON.parse(event.data)));
    stream.addEventListener("error", () => {
      // A browser tries again by itself unless the server refused: then it is asked now and then.
      if (stream.readyState === EventSource.CLOSED) this.#poll();
    });
    addEventListener("pagehide", () => stream.close());
    addEventListener("pageshow", (event) => {
      if (event.persisted) location.replace(this.#here);
    });
  }

  #poll() {
    setInterval(() => this.fetchSoon(), POLL_EVERY * (0.8 + 0.4 * Math.random()));
  }

  #take(delta) {
    this.#see(delta.state);
    if (delta.epoch === this.#epoch && delta.to <= this.#seq) return;
    if (delta.epoch !== this.#epoch || delta.from !== this.#seq) {
      this.fetchSoon();
      return;
    }
    this.#seq = delta.to;
    this.#listeners.delta?.(delta);
  }

  #whole(body) {
    [this.#epoch, this.#seq] = [body.epoch, body.seq];
    this.#see(body.state);
    this.#listeners.snapshot?.(body);
  }

  #see(state) {
    if (state === this.#state) return;
    this.#state = state;
    // Not a reload: that could send a form again.
    setTimeout(() => location.replace(this.#here), Math.random() * RELOAD_WITHIN);
  }

  fetchSoon() {
    if (this.#timer) return;
    const wait = Math.max(0, this.#last + FETCH_EVERY - Date.now());
    this.#timer = setTimeout(() => this.#fetch(), wait);
  }

  async #fetch() {
    this.#last = Date.now();
    try {
      const headers = this.#etag ? { "If-None-Match": this.#etag } : {};
      const answer = await fetch(this.#url, { headers, cache: "no-store" });
      if (answer.status === 200) {
        const body = await answer.json();
        this.#etag = answer.headers.get("etag");
        this.#whole(body);
      }
    } catch {
      // No connection: the stream says when there is one again.
    } finally {
      this.#timer = null;
    }
  }
}

// Place numbers that a snapshot's bitmap has as unavailable.
export function bitmap(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return (place) => ((bytes[place >> 3] >> (7 - (place & 7))) & 1) === 1;
}
