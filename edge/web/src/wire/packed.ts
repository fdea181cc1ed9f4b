// Packed pixels: a shard's valid area row after row, with 4 bits two pixels a
// byte, the first in the high half. Here a pixel is a byte.

import { WireError } from "./errors";

export function packedBytes(pixels: number, bits: number): number {
  return (pixels * bits + 7) >> 3;
}

export function unpack(packed: Uint8Array, pixels: number, bits: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(pixels);
  if (bits === 8) {
    out.set(packed.subarray(0, pixels));
    return out;
  }
  const pairs = pixels >> 1;
  for (let i = 0; i < pairs; i++) {
    out[2 * i] = packed[i] >> 4;
    out[2 * i + 1] = packed[i] & 15;
  }
  if (pixels & 1) {
    if (packed[pairs] & 15) throw new WireError("padding", "packed shard");
    out[pixels - 1] = packed[pairs] >> 4;
  }
  return out;
}

export function pack(pixels: Uint8Array, bits: number): Uint8Array {
  if (bits === 8) return pixels;
  const out = new Uint8Array(packedBytes(pixels.length, 4));
  const pairs = pixels.length >> 1;
  for (let i = 0; i < pairs; i++) out[i] = (pixels[2 * i] << 4) | pixels[2 * i + 1];
  if (pixels.length & 1) out[pairs] = pixels[pixels.length - 1] << 4;
  return out;
}
