// Brings an image to another width. Template images are often blown up, each
// cell a block with a sign in its colour: so a cell takes the colour that most
// of its block's opaque pixels have, and no average that nobody drew.

import { opaqueFrom } from "./mapping";

export interface Pixels {
  width: number;
  height: number;
  rgba: Uint8ClampedArray;
}

export function toWidth(image: Pixels, width: number): Pixels {
  if (width === image.width) return image;
  const height = Math.max(1, Math.round((image.height * width) / image.width));
  const from = new Uint32Array(image.rgba.buffer, image.rgba.byteOffset, image.width * image.height);
  const out = new Uint32Array(width * height);
  const begin = (cell: number, cells: number, side: number) => Math.floor((cell * side) / cells);
  for (let y = 0; y < height; y++) {
    const top = begin(y, height, image.height);
    const bottom = Math.max(top + 1, begin(y + 1, height, image.height));
    for (let x = 0; x < width; x++) {
      const left = begin(x, width, image.width);
      const right = Math.max(left + 1, begin(x + 1, width, image.width));
      out[y * width + x] = mostFrequent(from, image.width, left, top, right, bottom);
    }
  }
  return { width, height, rgba: new Uint8ClampedArray(out.buffer) };
}

/** The colour of most opaque pixels of a block, 0 where there are none; the first of equals. */
function mostFrequent(pixels: Uint32Array, stride: number, left: number, top: number, right: number, bottom: number): number {
  const counts = new Map<number, number>();
  let best = 0;
  let most = 0;
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const pixel = pixels[y * stride + x];
      if (pixel >>> 24 < opaqueFrom) continue; // alpha is the highest byte: every browser runs on little-endian machines
      const count = (counts.get(pixel) ?? 0) + 1;
      counts.set(pixel, count);
      if (count <= most) continue;
      most = count;
      best = pixel;
    }
  }
  return best;
}
