// The batch codec, decoding half: payload and the canvas before it -> pixels.

import { WireError } from "./errors";
import { decodeRange } from "./range";
import { decodeRice } from "./rice";

export const codingRice = 0;
export const codingRange = 1;

/** One shard's valid area, a byte a pixel: what a decoder may look at. */
export interface Area {
  pixels: Uint8Array;
  width: number;
  height: number;
  bits: number;
}

/** Pixels that change: index << 8 | colour each, rising by index. Reused from batch to batch. */
export class Changes {
  packed = new Uint32Array(1024);
  length = 0;

  push(index: number, color: number): void {
    if (this.length === this.packed.length) {
      const wider = new Uint32Array(2 * this.length);
      wider.set(this.packed);
      this.packed = wider;
    }
    this.packed[this.length++] = (index << 8) | color;
  }

  /** A copy of its own, to be given away. */
  copy(): Uint32Array<ArrayBuffer> {
    return this.packed.slice(0, this.length);
  }
}

/**
 * Fills out with the pixels of payload; throws a WireError and leaves nothing
 * in out for a payload that no encoder makes.
 */
export function decode(out: Changes, coding: number, param: number, payload: Uint8Array, area: Area): void {
  out.length = 0;
  try {
    if (coding === codingRice) decodeRice(out, param, payload, area.width * area.height, area.bits);
    else if (coding === codingRange) decodeRange(out, param, payload, area);
    else throw new WireError("range", "batch coding");
  } catch (err) {
    out.length = 0;
    throw err;
  }
}
