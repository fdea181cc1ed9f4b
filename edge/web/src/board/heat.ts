// Where people painted in the last minutes: a warmth for each block of cells,
// half of it gone every two minutes. Instead of cooling all blocks again and
// again, what is new weighs more the later it comes, and reading divides by the
// weight of the moment.

import { shardArea, shardColumn, shardRow, shardSide, type Size } from "../wire/geometry";

/** Cells on a side of a block. */
export const heatBlock = 4;
export const heatHalfLifeMS = 120_000;

const weightMax = 2 ** 40; // far from where a float ends
const perPixel = 0.62; // of what is missing to the hottest, left by each pixel

/** Warmth as bytes, row by row: 0 is cold, 255 as hot as it gets. */
export interface HeatField {
  width: number;
  height: number;
  bytes: Uint8Array<ArrayBuffer>;
}

export class Heat {
  private readonly width: number;
  private readonly height: number;
  private readonly warmth: Float32Array;
  private sinceMS: number;

  constructor(private readonly size: Size, nowMS: number) {
    this.width = Math.ceil(size.width / heatBlock);
    this.height = Math.ceil(size.height / heatBlock);
    this.warmth = new Float32Array(this.width * this.height);
    this.sinceMS = nowMS;
  }

  fits(size: Size): boolean {
    return this.size.width === size.width && this.size.height === size.height;
  }

  /** The same warmth on a canvas that has grown. */
  grown(size: Size): Heat {
    const next = new Heat(size, this.sinceMS);
    for (let y = 0; y < this.height; y++) next.warmth.set(this.warmth.subarray(y * this.width, (y + 1) * this.width), y * next.width);
    return next;
  }

  /** Takes changes as the picture does: index << 8 | colour each. */
  add(shard: number, changes: Uint32Array, nowMS: number): void {
    const { width } = shardArea(this.size, shard);
    if (width === 0) return;
    const weight = this.weight(nowMS);
    const left = shardColumn(shard) * shardSide;
    const top = shardRow(shard) * shardSide;
    for (const change of changes) {
      const index = change >>> 8;
      const y = (index / width) | 0;
      const x = index - y * width;
      this.warmth[(((top + y) / heatBlock) | 0) * this.width + (((left + x) / heatBlock) | 0)] += weight;
    }
  }

  field(nowMS: number): HeatField {
    const weight = this.weight(nowMS);
    const bytes = new Uint8Array(this.warmth.length);
    for (let i = 0; i < bytes.length; i++) {
      if (this.warmth[i] > 0) bytes[i] = Math.round(255 * (1 - perPixel ** (this.warmth[i] / weight)));
    }
    return { width: this.width, height: this.height, bytes };
  }

  private weight(nowMS: number): number {
    const weight = 2 ** ((nowMS - this.sinceMS) / heatHalfLifeMS);
    if (weight < weightMax) return weight;
    for (let i = 0; i < this.warmth.length; i++) this.warmth[i] /= weight;
    this.sinceMS = nowMS;
    return 1;
  }
}
