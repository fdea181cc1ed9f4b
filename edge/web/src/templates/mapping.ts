// RGBA pixels in, colours of the canvas out: a palette colour stays what it is,
// everything else becomes the nearest one, dithered or not.

import { toLinear } from "../color";
import { none, type Distance, type Dithering } from "./template";

/** From this alpha on a pixel is part of the template. */
export const opaqueFrom = 128;

type Point = [number, number, number];

/** Finds the nearest colour, and remembers it. */
export class Nearest {
  private readonly points: Point[];
  private readonly found = new Uint16Array(1 << 24); // by 0xRRGGBB: index + 1, 0 for not asked yet

  constructor(rgbs: number[], private readonly distance: Distance) {
    this.points = rgbs.map((rgb) => this.point(rgb));
  }

  /** The colour nearest to 0xRRGGBB; of equals the first. */
  of(rgb: number): number {
    if (this.found[rgb] === 0) this.found[rgb] = this.search(this.point(rgb)) + 1;
    return this.found[rgb] - 1;
  }

  private search([a, b, c]: Point): number {
    let best = 0;
    let least = Infinity;
    for (let i = 0; i < this.points.length; i++) {
      const p = this.points[i];
      const away = (p[0] - a) ** 2 + (p[1] - b) ** 2 + (p[2] - c) ** 2;
      if (away >= least) continue;
      least = away;
      best = i;
    }
    return best;
  }

  private point(rgb: number): Point {
    return this.distance === "oklab" ? oklab(rgb) : [rgb >> 16, (rgb >> 8) & 0xff, rgb & 0xff];
  }
}

/** Turns RGBA rows into colour numbers, none where the image is transparent. */
export function mapToPalette(rgba: Uint8ClampedArray, width: number, rgbs: number[], distance: Distance, dithering: Dithering): Uint16Array<ArrayBuffer> {
  const nearest = new Nearest(rgbs, distance);
  const exact = new Set(rgbs);
  const cells = new Uint16Array(rgba.length / 4).fill(none);
  const threshold = dithering === "ordered" ? bayer(rgbs.length) : null;
  const diffusion = dithering === "diffusion" ? new Diffusion(width) : null;
  for (let i = 0; i < cells.length; i++) {
    const x = i % width;
    if (x === 0) diffusion?.nextRow();
    if (rgba[4 * i + 3] < opaqueFrom) continue;
    const rgb = (rgba[4 * i] << 16) | (rgba[4 * i + 1] << 8) | rgba[4 * i + 2];
    if (exact.has(rgb)) cells[i] = nearest.of(rgb); // what is drawn in these colours stays crisp
    else if (threshold) cells[i] = nearest.of(brightened(rgb, threshold[((Math.floor(i / width) & 7) << 3) | (x & 7)]));
    else if (diffusion) {
      const meant = diffusion.meant(x, rgb);
      cells[i] = nearest.of(pack(meant));
      diffusion.spread(x, meant, rgbs[cells[i]]);
    } else cells[i] = nearest.of(rgb);
  }
  return cells;
}

/** The 8 × 8 Bayer matrix as what is added to each channel; less where there are more colours to choose from. */
function bayer(colors: number): Float32Array {
  const reach = 160 / Math.cbrt(colors);
  const added = new Float32Array(64);
  for (let i = 0; i < 64; i++) {
    const [x, y] = [i & 7, i >> 3];
    let rank = 0;
    for (let bit = 0; bit < 3; bit++) rank = (rank << 2) | ((((x ^ y) >> bit) & 1) << 1) | ((y >> bit) & 1);
    added[i] = ((rank + 0.5) / 64 - 0.5) * reach;
  }
  return added;
}

/** Floyd and Steinberg: what a pixel was rounded by goes to its neighbours to come. */
class Diffusion {
  private here: Float32Array;
  private below: Float32Array;

  constructor(width: number) {
    // A cell on both sides takes what falls off the rim.
    this.here = new Float32Array(3 * (width + 2));
    this.below = new Float32Array(3 * (width + 2));
  }

  nextRow(): void {
    [this.here, this.below] = [this.below, this.here];
    this.below.fill(0);
  }

  meant(x: number, rgb: number): Point {
    const at = 3 * (x + 1);
    return [(rgb >> 16) + this.here[at], ((rgb >> 8) & 0xff) + this.here[at + 1], (rgb & 0xff) + this.here[at + 2]];
  }

  spread(x: number, meant: Point, rgb: number): void {
    for (let channel = 0; channel < 3; channel++) {
      const rest = clamp(meant[channel]) - ((rgb >> (16 - 8 * channel)) & 0xff);
      const at = 3 * (x + 1) + channel;
      this.here[at + 3] += (rest * 7) / 16;
      this.below[at - 3] += (rest * 3) / 16;
      this.below[at] += (rest * 5) / 16;
      this.below[at + 3] += rest / 16;
    }
  }
}

function brightened(rgb: number, by: number): number {
  return pack([(rgb >> 16) + by, ((rgb >> 8) & 0xff) + by, (rgb & 0xff) + by]);
}

function pack([r, g, b]: Point): number {
  return (Math.round(clamp(r)) << 16) | (Math.round(clamp(g)) << 8) | Math.round(clamp(b));
}

function clamp(v: number): number {
  return Math.max(0, Math.min(255, v));
}

/** OKLab (Ottosson 2020), in which equal steps look alike. */
export function oklab(rgb: number): Point {
  const [r, g, b] = [rgb >> 16, (rgb >> 8) & 0xff, rgb & 0xff].map(toLinear);
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}
