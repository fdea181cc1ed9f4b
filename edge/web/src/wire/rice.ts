// Golomb-Rice batches. Per pixel: gap >> k ones and a zero, the k low bits of
// the gap, the colour; at the end ones up to the next full byte. A canvas of
// eight bits says the width of a colour in three bits before that.

import type { Changes } from "./codec";
import { WireError } from "./errors";

const paramMax = 22;

// Appends the pixels of payload to out. area is the number of valid pixels.
export function decodeRice(out: Changes, param: number, payload: Uint8Array, area: number, bits: number): void {
  if (param > paramMax || (payload.length === 0 && param !== 0)) throw new WireError("range", "batch coding parameter");
  if (payload.length === 0) return;

  // acc holds the next n bits in its low end; n never passes 24 + 8.
  const end = payload.length;
  let at = 0;
  let acc = 0;
  let n = 0;
  let width = 4;
  let all = 1;
  if (bits === 8) {
    acc = payload[at++];
    n = 5;
    width = (acc >> 5) + 1;
    acc &= 31;
  }
  let next = 0;
  for (;;) {
    let q = 0;
    for (;;) {
      if (n === 0) {
        if (at === end) break;
        acc = payload[at++];
        n = 8;
      }
      // The bits of acc above n are zero, so inverting shows the ones as zeros.
      const left = ~acc << (32 - n);
      const ones = left === 0 ? n : Math.min(n, Math.clz32(left));
      q += ones;
      n -= ones;
      if (n > 0) break;
      acc = 0;
    }
    if (n === 0) {
      if (q >= 8 || next === 0) throw new WireError("padding", "batch payload");
      break;
    }
    n--; // the zero that ends the ones
    acc &= (1 << n) - 1;
    // The gap's low bits and the colour are read in parts of at most 22 bits.
    let low = 0;
    if (param > 0) {
      while (n < param) {
        if (at === end) throw new WireError("truncated", "batch pixel");
        acc = (acc << 8) | payload[at++];
        n += 8;
      }
      n -= param;
      low = acc >>> n;
      acc &= (1 << n) - 1;
    }
    while (n < width) {
      if (at === end) throw new WireError("truncated", "batch pixel");
      acc = (acc << 8) | payload[at++];
      n += 8;
    }
    n -= width;
    const color = acc >>> n;
    acc &= (1 << n) - 1;
    const index = next + q * 2 ** param + low;
    if (index >= area) throw new WireError("range", "batch pixel beyond the valid area");
    all |= color;
    out.push(index, color);
    next = index + 1;
  }
  if (bits === 8 && 32 - Math.clz32(all) !== width) throw new WireError("range", "batch colour width");
}
