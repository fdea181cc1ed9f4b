// What is shown: the reference canvas as the worker told it, and above it the
// pixels that this user placed and that the log has not brought yet. Tiles are
// 512 × 512, one a shard, a byte a pixel, ready for a texture.

import { shardArea, shardAt, shardColumn, shardID, shardRow, shardSide, type Size } from "../wire/geometry";

/** Rows of a tile that are drawn anew together. */
export const bandRows = 32;

interface Pending {
  number: number;
  x: number;
  y: number;
  color: number;
}

export class Picture {
  readonly size: Size;
  /** Some shard of the real canvas is here; before that there is nothing to show. */
  ready = false;
  private readonly tiles = new Map<number, Uint8Array>();
  private readonly dirty = new Map<number, number>(); // per shard a bit for each band
  private pending: Pending[] = []; // in order: the last one of a cell is shown
  private readonly under = new Map<number, number>(); // reference colour below pending pixels

  constructor(size: Size, private readonly blank: number) {
    this.size = size;
    for (let row = 0; row << 9 < size.height; row++) {
      for (let column = 0; column << 9 < size.width; column++) {
        const shard = shardID(column, row);
        this.tiles.set(shard, new Uint8Array(shardSide * shardSide).fill(blank));
        this.dirty.set(shard, 0xffff);
      }
    }
  }

  /** A larger picture with everything that this one shows. */
  grown(size: Size, blank: number): Picture {
    const next = new Picture(size, blank);
    next.ready = this.ready;
    for (const [shard, tile] of this.tiles) next.tiles.get(shard)?.set(tile);
    next.pending = this.pending;
    for (const [cell, color] of this.under) next.under.set(cell, color);
    return next;
  }

  contains(x: number, y: number): boolean {
    return x >= 0 && y >= 0 && x < this.size.width && y < this.size.height;
  }

  /** The colour that is shown at x, y. */
  at(x: number, y: number): number {
    return this.tiles.get(shardAt(x, y))?.[((y & 511) << 9) | (x & 511)] ?? this.blank;
  }

  /** Takes a whole shard of the reference canvas. */
  load(shard: number, pixels: Uint8Array): void {
    const tile = this.tiles.get(shard);
    const { width, height } = shardArea(this.size, shard);
    if (!tile || pixels.length !== width * height) return; // made for another size; a newer one follows
    this.ready = true;
    for (let y = 0; y < height; y++) tile.set(pixels.subarray(y * width, (y + 1) * width), y << 9);
    this.dirty.set(shard, 0xffff);
    for (const p of this.pending) {
      if (shardAt(p.x, p.y) !== shard) continue;
      this.under.set(cellOf(p.x, p.y), pixels[(p.y & 511) * width + (p.x & 511)]);
      this.show(p.x, p.y, p.color);
    }
  }

  /** Takes changes of the reference canvas: index << 8 | colour each. */
  apply(shard: number, changes: Uint32Array): void {
    const tile = this.tiles.get(shard);
    const { width, height } = shardArea(this.size, shard);
    if (!tile || width === 0) return;
    const left = shardColumn(shard) << 9;
    const top = shardRow(shard) << 9;
    let bands = this.dirty.get(shard) ?? 0;
    for (const change of changes) {
      const index = change >>> 8;
      const y = (index / width) | 0;
      const x = index - y * width;
      if (y >= height) return;
      if (this.under.size > 0) {
        const cell = cellOf(left + x, top + y);
        if (this.under.has(cell)) {
          this.under.set(cell, change & 0xff);
          continue;
        }
      }
      tile[(y << 9) | x] = change;
      bands |= 1 << (y / bandRows);
    }
    this.dirty.set(shard, bands);
  }

  /** Shows a placement of this user before the server has answered. */
  hope(p: Pending): void {
    const cell = cellOf(p.x, p.y);
    if (!this.under.has(cell)) this.under.set(cell, this.at(p.x, p.y));
    this.pending.push(p);
    this.show(p.x, p.y, p.color);
  }

  /** Ends the hope: the reference canvas below says what is true. Returns the pixel, if it was one. */
  release(number: number): Pending | null {
    const at = this.pending.findIndex((p) => p.number === number);
    if (at < 0) return null;
    const [gone] = this.pending.splice(at, 1);
    const cell = cellOf(gone.x, gone.y);
    const above = this.pending.findLast((p) => cellOf(p.x, p.y) === cell);
    if (above) this.show(above.x, above.y, above.color);
    else {
      this.show(gone.x, gone.y, this.under.get(cell) ?? this.blank);
      this.under.delete(cell);
    }
    return gone;
  }

  /** The pixel of a hope, while there is one. */
  hoped(number: number): Pending | null {
    return this.pending.find((p) => p.number === number) ?? null;
  }

  get hopes(): number {
    return this.pending.length;
  }

  /** The cells that hopes are shown in. */
  get hopedCells(): number[] {
    return [...this.under.keys()];
  }

  /**
   * Calls upload for each run of changed rows, once, for as many shards as make up
   * most rows: a tick that touches everything is spread over a few frames. True: more
   * is to come.
   */
  flush(upload: (shard: number, tile: Uint8Array, firstRow: number, rows: number) => void, most = Infinity): boolean {
    for (const [shard, bands] of this.dirty) {
      const tile = this.tiles.get(shard);
      if (!tile || bands === 0) continue;
      if (most <= 0) return true;
      for (let first = 0; first < 16; first++) {
        if (!(bands & (1 << first))) continue;
        let last = first;
        while (bands & (1 << (last + 1))) last++;
        upload(shard, tile, first * bandRows, (last - first + 1) * bandRows);
        most -= (last - first + 1) * bandRows;
        first = last;
      }
      this.dirty.delete(shard); // so that it is the last one of the next round
      this.dirty.set(shard, 0);
    }
    return false;
  }

  /** Draws everything anew: the renderer has lost what it had. */
  soil(): void {
    for (const shard of this.tiles.keys()) this.dirty.set(shard, 0xffff);
  }

  private show(x: number, y: number, color: number): void {
    const shard = shardAt(x, y);
    const tile = this.tiles.get(shard);
    if (!tile) return;
    tile[((y & 511) << 9) | (x & 511)] = color;
    this.dirty.set(shard, (this.dirty.get(shard) ?? 0) | (1 << ((y & 511) / bandRows)));
  }
}

function cellOf(x: number, y: number): number {
  return y * 4096 + x;
}
