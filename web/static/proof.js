// Proof of work before joining a waiting room. Shows nothing: who calls says what is going on.

// More workers than this gain little and make a phone hot.
const WORKERS = 4;

function cores() {
  return Math.min(Math.max(navigator.hardwareConcurrency || 1, 1), WORKERS);
}

// Solves a challenge of `GET /v1/events/{event}/waiting-room/challenge`; the payload to join
// with. Rejects if there is no solution, if workers can't run here, or when `signal` is aborted:
// then signing in by e-mail takes the proof's place.
export async function solve(challenge, { signal, workers = cores() } = {}) {
  const { algorithm, challenge: hash, maxnumber: max, salt, signature } = challenge;
  if (algorithm !== "SHA-256" || !/^[0-9a-f]{64}$/.test(hash)) {
    throw new Error("not a challenge that can be solved here");
  }
  signal?.throwIfAborted();
  const crew = [];
  const ended = new AbortController();
  try {
    const number = await new Promise((found, failed) => {
      let busy = workers;
      const { signal: end } = ended;
      signal?.addEventListener("abort", () => failed(signal.reason), { signal: end });
      for (let first = 0; first < workers; first++) {
        const worker = new Worker(new URL("proof-worker.js", import.meta.url));
        crew.push(worker);
        worker.onmessage = ({ data }) => {
          if (data !== null) found(data);
          else if (--busy === 0) failed(new Error("the challenge has no solution"));
        };
        worker.onerror = (event) => failed(new Error(event.message || "a worker failed"));
        worker.postMessage({ salt, challenge: hash, max, first, step: workers });
      }
    });
    return btoa(JSON.stringify({ algorithm, challenge: hash, number, salt, signature }));
  } finally {
    ended.abort();
    for (const worker of crew) worker.terminate();
  }
}
