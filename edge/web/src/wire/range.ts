// Range-coded batches, decoding half: CODEC.md section 3. coder takes bits from
// the payload, model says how likely they are, and the neighbours on the canvas
// say which colours come into question.

import type { Area, Changes } from "./codec";
import { WireError } from "./errors";
import { Coder } from "./range-coder";
import { Neighbours } from "./range-neighbours";
import { gapClasses, gapNodes, mantClasses, mantNodes, ranks, rankWeights, tables } from "./tables";

const primed = new Uint16Array(Uint8Array.from(atob(tables), (c) => c.charCodeAt(0)).buffer);
const gapPrimed = primed.subarray(0, gapClasses * gapNodes);
const restPrimed = primed.subarray(gapClasses * gapNodes);

const mantAt = gapNodes;
const rankAt = mantAt + mantClasses * mantNodes;
const literalAt = rankAt + ranks * rankWeights * rankWeights;

const gapBitsMax = 22;
const countParamMax = 31;
const primedShift = 6;
const literalShift = 5;

/** Scratch memory of a decoder: the probabilities of the batch at hand. */
const p = new Uint16Array(literalAt + 256);
const coder = new Coder(p);
const near = new Neighbours();

/** Appends the pixels of payload to out. */
export function decodeRange(out: Changes, param: number, payload: Uint8Array, area: Area): void {
  const pixels = area.width * area.height;
  if (param > countParamMax || pixels === 0) throw new WireError("range", "batch coding parameter");
  coder.start(payload);
  const n = readCount(param);
  const width = area.bits === 8 ? coder.direct(3) + 1 : 4;
  if (coder.bad) throw new WireError("truncated", "batch head");
  if (n > pixels) throw new WireError("range", "batch pixel count");
  const density = Math.min(log2(Math.floor(pixels / n)), gapClasses - 1);
  p.set(gapPrimed.subarray(density * gapNodes, (density + 1) * gapNodes));
  p.set(restPrimed, mantAt);
  p.fill(32768, literalAt, literalAt + (1 << width));
  near.start(area);

  let next = 0;
  let all = 1;
  for (let i = 0; i < n; i++) {
    const index = next + readGap(density);
    if (coder.bad) throw new WireError("truncated", "batch pixel");
    if (index >= pixels) throw new WireError("range", "batch pixel beyond the valid area");
    near.look(index);
    const color = readColor(width);
    // For each pixel, so that a count without pixels behind it costs little.
    if (coder.bad || coder.short) throw new WireError("truncated", "batch pixel");
    near.changed(color);
    out.push(index, color);
    all |= color;
    next = index + 1;
  }
  if (area.bits === 8 && log2(all) + 1 !== width) throw new WireError("range", "batch colour width");
  if (!coder.ended()) throw new WireError("padding", "batch payload");
}

function readCount(param: number): number {
  if (param === 0) return 1;
  if (param === countParamMax) return 65536 + coder.direct(gapBitsMax);
  const e = (param + 1) >> 1;
  return ((2 + ((param + 1) & 1)) << (e - 1)) + coder.direct(e - 1);
}

function readGap(density: number): number {
  let node = 1;
  for (let i = 0; i < 5; i++) node = 2 * node + coder.bit(node, primedShift);
  const e = node - gapNodes;
  if (e > gapBitsMax) return 1 << gapBitsMax; // outside of every canvas
  const kind = mantAt + mantNodes * Math.min(Math.max(e - density + 6, 0), mantClasses - 1);
  let v = 1;
  let left = e;
  for (; left > 0 && v < mantNodes; left--) v = 2 * v + coder.bit(kind + v, primedShift);
  return ((v << left) + coder.direct(left)) - 1;
}

function readColor(width: number): number {
  const { colors, weights, offered } = near;
  for (let i = 0; i < offered; i++) {
    const own = Math.min(weights[i], rankWeights) - 1;
    const after = i + 1 < near.count ? Math.min(weights[i + 1], rankWeights - 1) : 0;
    if (coder.bit(rankAt + (i * rankWeights + own) * rankWeights + after, primedShift) === 1) return colors[i];
  }
  let node = 1;
  let color = 0;
  for (let shift = width - 1; shift >= 0; shift--) {
    color *= 2;
    const zero = free(color, shift);
    const one = free(color + 1, shift);
    let b = 0;
    if (zero && one) b = coder.bit(literalAt + node, literalShift);
    else if (one) b = 1;
    else if (!zero) {
      coder.bad = true; // every colour of this width has been offered
      return 0;
    }
    node = 2 * node + b;
    color += b;
  }
  return color;
}

/** Whether a colour that begins with these bits has not been offered. */
function free(prefix: number, shift: number): boolean {
  if (shift > 2) return true; // at most four are offered, fewer than there are
  let taken = 0;
  for (let i = 0; i < near.offered; i++) if (near.colors[i] >> shift === prefix) taken++;
  return taken < 1 << shift;
}

function log2(v: number): number {
  return 31 - Math.clz32(v);
}
