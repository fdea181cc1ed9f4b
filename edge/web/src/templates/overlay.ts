// All templates as one picture above the canvas, in tiles like the picture's own:
// two bytes a cell, the colour and the slot of the template that is on top there.
// It is made anew when templates change, never by what happens on the canvas.

import { shardColumn, shardRow, shardSide, shardsIn, type Size } from "../wire/geometry";
import { none, type Shape } from "./template";

/** How a template is shown. */
export interface Slot {
  opacity: number;
  dots: boolean;
  highlight: boolean;
}

export interface Layer extends Slot {
  shape: Shape;
  x: number;
  y: number;
  hidden: number[];
}

/** The part of a renderer that draws it. */
export interface OverlayRenderer {
  uploadOverlay(shard: number, tile: Uint8Array): void;
  setSlots(slots: Slot[]): void;
}

export class Overlay {
  private readonly tiles = new Map<number, Uint8Array>();
  private readonly dirty = new Set<number>();
  private slots: Slot[] = [];
  private slotsChanged = false;

  /** Shows these, the first on top. */
  show(size: Size, layers: Layer[]): void {
    for (const [shard, tile] of this.tiles) {
      tile.fill(0);
      this.dirty.add(shard);
    }
    for (let i = layers.length - 1; i >= 0; i--) this.paint(size, layers[i], i + 1);
    this.setSlots(layers);
  }

  /** Shows the same layers in another way. */
  setSlots(slots: Slot[]): void {
    this.slots = slots;
    this.slotsChanged = true;
  }

  /** Gives the renderer what it has not got yet. */
  flush(renderer: OverlayRenderer): void {
    for (const shard of this.dirty) renderer.uploadOverlay(shard, this.tiles.get(shard) as Uint8Array);
    this.dirty.clear();
    if (this.slotsChanged) renderer.setSlots(this.slots);
    this.slotsChanged = false;
  }

  /** Gives everything anew: the renderer has lost what it had. */
  soil(): void {
    for (const shard of this.tiles.keys()) this.dirty.add(shard);
    this.slotsChanged = true;
  }

  private paint(size: Size, { shape, x, y, hidden }: Layer, slot: number): void {
    const without = new Set([none, ...hidden]);
    for (const shard of shardsIn(size, x, y, x + shape.width, y + shape.height)) {
      const tile = this.tileOf(shard);
      const left = shardColumn(shard) * shardSide;
      const top = shardRow(shard) * shardSide;
      const toX = Math.min(left + shardSide, size.width, x + shape.width);
      const toY = Math.min(top + shardSide, size.height, y + shape.height);
      for (let row = Math.max(top, y); row < toY; row++) {
        for (let column = Math.max(left, x); column < toX; column++) {
          const color = shape.cells[(row - y) * shape.width + column - x];
          if (without.has(color)) continue;
          const at = 2 * ((row - top) * shardSide + column - left);
          tile[at] = color;
          tile[at + 1] = slot;
        }
      }
    }
  }

  private tileOf(shard: number): Uint8Array {
    let tile = this.tiles.get(shard);
    if (!tile) this.tiles.set(shard, (tile = new Uint8Array(2 * shardSide * shardSide)));
    this.dirty.add(shard);
    return tile;
  }
}
