// The reference canvas: what the server's log says, and nothing else. It lives
// in the worker; only canvas files, catch-ups and batches change it. A user's
// own pixels are drawn in a layer above it (picture.ts).

import type { CanvasFile, CanvasShard } from "../wire/canvas-file";
import { Changes, codingRice, decode } from "../wire/codec";
import { crc32c } from "../wire/crc32c";
import { WireError } from "../wire/errors";
import { shardArea, type Size } from "../wire/geometry";
import type { Batch, CatchUp } from "../wire/messages";
import { pack } from "../wire/packed";

/** This page's copy of one shard. */
export interface Copy {
  width: number;
  height: number;
  pixels: Uint8Array<ArrayBuffer>;
  seq: number;
  timeTenths: number;
  /** The shard's stream on this connection goes on from exactly this copy. */
  continuous: boolean;
}

export class Reference {
  readonly copies = new Map<number, Copy>();
  private readonly changes = new Changes();

  constructor(readonly canvas: bigint, public size: Size, readonly bits: 4 | 8) {}

  /** Takes a shard as a canvas file has it. */
  load(shard: CanvasShard): void {
    const { width, height } = shardArea(this.size, shard.shard);
    const timeTenths = Math.floor(shard.timeMS / 100);
    this.copies.set(shard.shard, { width, height, pixels: shard.pixels, seq: shard.seq, timeTenths, continuous: false });
  }

  /** Grows to size and forgets the shards whose valid area grew with it. */
  grow(size: Size): void {
    this.size = size;
    for (const [id, copy] of this.copies) {
      const area = shardArea(size, id);
      if (area.width !== copy.width || area.height !== copy.height) this.copies.delete(id);
    }
  }

  /** Says that no stream goes on any more: the connection was lost. */
  cut(): void {
    for (const copy of this.copies.values()) copy.continuous = false;
  }

  /**
   * Applies b and returns its pixels, or null where it is not for this copy.
   * Throws a WireError for a payload that does not fit the copy.
   */
  applyBatch(b: Batch): Uint32Array<ArrayBuffer> | null {
    const copy = this.copies.get(b.shard);
    if (!copy || !copy.continuous) return null;
    const changed = this.write(copy, b.coding, b.param, b.payload);
    copy.seq += b.advance;
    copy.timeTenths += b.timeAdvance;
    return changed;
  }

  /** Like applyBatch; null when the copy's seq is outside from … to. */
  applyCatchUp(c: CatchUp): Uint32Array<ArrayBuffer> | null {
    const copy = this.copies.get(c.shard);
    if (!copy || copy.seq < c.from || copy.seq > c.to) return null;
    const changed = this.write(copy, codingRice, c.param, c.payload);
    copy.seq = c.to;
    copy.timeTenths = c.timeTenths;
    copy.continuous = true;
    return changed;
  }

  /** All copies as a canvas file has them; its pixels are the copies' own. */
  file(): CanvasFile {
    const shards = [...this.copies]
      .sort(([a], [b]) => a - b)
      .map(([shard, { seq, timeTenths, pixels }]) => ({ shard, seq, timeMS: timeTenths * 100, pixels }));
    return { canvas: this.canvas, ...this.size, bits: this.bits, shards };
  }

  crc(shard: number): number {
    const copy = this.copies.get(shard);
    if (!copy) throw new WireError("range", "shard");
    return crc32c(pack(copy.pixels, this.bits));
  }

  private write(copy: Copy, coding: number, param: number, payload: Uint8Array): Uint32Array<ArrayBuffer> {
    decode(this.changes, coding, param, payload, { ...copy, bits: this.bits });
    const { packed, length } = this.changes;
    for (let i = 0; i < length; i++) copy.pixels[packed[i] >>> 8] = packed[i];
    return this.changes.copy();
  }
}
