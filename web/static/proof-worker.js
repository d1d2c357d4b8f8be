// Looks for the number whose SHA-256 after a salt is a given hash. Blocks of the salt are hashed
// once; each number then takes one compression (two if it doesn't fit into the salt's last
// block). Written out for speed: `crypto.subtle` takes longer to be asked than this to answer,
// and isn't there at all on plain http.

// Numbers that are counted up in place before a worker goes on where no other is.
const CHUNK = 1000;

const K = new Int32Array(64);
const START = new Int32Array(8);
const W = new Int32Array(64);

// The fractions of the roots of the first primes, as FIPS 180-4 defines the constants.
function constants() {
  const bits = (root) => ((root - Math.floor(root)) * 2 ** 32) | 0;
  for (let n = 2, found = 0; found < 64; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
    if (!prime) continue;
    if (found < 8) START[found] = bits(Math.sqrt(n));
    K[found++] = bits(Math.cbrt(n));
  }
}

// One block of 16 words, from `at` in `words`, on top of `from`, into `into`.
function compress(from, words, at, into) {
  for (let i = 0; i < 16; i++) W[i] = words[at + i];
  for (let i = 16; i < 64; i++) {
    const x = W[i - 15];
    const y = W[i - 2];
    const s = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const t = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    W[i] = (W[i - 16] + s + W[i - 7] + t) | 0;
  }
  let a = from[0], b = from[1], c = from[2], d = from[3];
  let e = from[4], f = from[5], g = from[6], h = from[7];
  for (let i = 0; i < 64; i++) {
    const s = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t = (h + s + (g ^ (e & (f ^ g))) + K[i] + W[i]) | 0;
    const u = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    h = g, g = f, f = e, e = (d + t) | 0;
    d = c, c = b, b = a, a = (t + u + ((b & c) | (d & (b | c)))) | 0;
  }
  into[0] = from[0] + a, into[1] = from[1] + b, into[2] = from[2] + c, into[3] = from[3] + d;
  into[4] = from[4] + e, into[5] = from[5] + f, into[6] = from[6] + g, into[7] = from[7] + h;
}

// Tries CHUNK numbers from every `step`th multiple of it on.
function search({ salt, challenge, max, first, step }) {
  const head = new TextEncoder().encode(salt);
  const wanted = Int32Array.from(challenge.match(/.{8}/g), (word) => parseInt(word, 16));
  const salted = Int32Array.from(START);
  const read = new DataView(head.buffer);
  const whole = head.length & ~63;
  const words = new Int32Array(32);
  for (let at = 0; at < whole; at += 64) {
    for (let i = 0; i < 16; i++) words[i] = read.getInt32(at + 4 * i);
    compress(salted, words, 0, salted);
  }
  const tail = head.subarray(whole);
  const block = new Uint8Array(128);
  const view = new DataView(block.buffer);
  const hash = new Int32Array(8);
  for (let chunk = first * CHUNK; chunk <= max; chunk += step * CHUNK) {
    let number = chunk;
    while (number < chunk + CHUNK && number <= max) {
      // The message as it stands for all numbers of this length.
      const digits = String(number);
      const end = tail.length + digits.length;
      const last = end > 55 ? 32 : 16;
      block.fill(0).set(tail);
      for (let i = 0; i < digits.length; i++) block[tail.length + i] = digits.charCodeAt(i);
      block[end] = 0x80;
      view.setUint32(4 * last - 4, 8 * (whole + end));
      for (let i = 0; i < last; i++) words[i] = view.getInt32(4 * i);
      const longest = Math.min(10 ** digits.length, chunk + CHUNK, max + 1);
      for (;;) {
        compress(salted, words, 0, hash);
        if (last === 32) compress(hash, words, 16, hash);
        if (hash[0] === wanted[0] && hash.every((word, i) => word === wanted[i])) return number;
        if (++number >= longest) break;
        let at = end - 1;
        while (block[at] === 0x39) block[at--] = 0x30;
        block[at]++;
        for (let i = at >> 2; i <= (end - 1) >> 2; i++) words[i] = view.getInt32(4 * i);
      }
    }
  }
  return null;
}

constants();
onmessage = ({ data }) => postMessage(search(data));
