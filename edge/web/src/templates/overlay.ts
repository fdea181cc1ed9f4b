// All templates as one picture above the canvas, in tiles like the picture's own:
// two bytes a cell, the colour and the slot of the template that is on top there.
// Where templates change it is made anew, a few tiles a frame, never by what happens
// on the canvas.

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
  private readonly stale = new Set<number>(); // to be painted and uploaded
  private size: Size = { width: 0, height: 0 };
  private layers: Layer[] = [];
  private slots: Slot[] = [];
  private slotsChanged = false;

  /** Shows these, the first on top. */
  show(size: Size, layers: Layer[]): void {
    const resized = size.width !== this.size.width || size.height !== this.size.height;
    for (let i = 0; i < Math.max(layers.length, this.layers.length); i++) {
      const [before, now] = [this.layers[i], layers[i]];
      if (!resized && before && now && sameCells(before, now)) continue;
      for (const layer of [before, now]) if (layer) for (const shard of shardsOf(size, layer)) this.stale.add(shard);
    }
    this.size = size;
    this.layers = layers;
    this.setSlots(layers);
  }

  /** Shows the same layers in another way. */
  setSlots(slots: Slot[]): void {
    this.slots = slots;
    this.slotsChanged = true;
  }

  /**
   * Gives the renderer what it has not got yet, at most so many tiles: a template as
   * large as the canvas is spread over frames. True: more is to come.
   */
  flush(renderer: OverlayRenderer, most = Infinity): boolean {
    for (const shard of this.stale) {
      if (most-- <= 0) return true;
      this.stale.delete(shard);
      renderer.uploadOverlay(shard, this.paint(shard));
    }
    // Last, because the tiles name their slots.
    if (this.slotsChanged) renderer.setSlots(this.slots);
    this.slotsChanged = false;
    return false;
  }

  /** Gives everything anew: the renderer has lost what it had. */
  soil(): void {
    for (const shard of this.tiles.keys()) this.stale.add(shard);
    this.slotsChanged = true;
  }

  private paint(shard: number): Uint8Array {
    const tile = this.tiles.get(shard)?.fill(0) ?? new Uint8Array(2 * shardSide * shardSide);
    this.tiles.set(shard, tile);
    for (let i = this.layers.length - 1; i >= 0; i--) paintLayer(tile, shard, this.size, this.layers[i], i + 1);
    return tile;
  }
}

function paintLayer(tile: Uint8Array, shard: number, size: Size, { shape, x, y, hidden }: Layer, slot: number): void {
  const without = new Set([none, ...hidden]);
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

function sameCells(a: Layer, b: Layer): boolean {
  return a.shape === b.shape && a.x === b.x && a.y === b.y && a.hidden.join() === b.hidden.join();
}

function shardsOf(size: Size, { x, y, shape }: Layer): number[] {
  return shardsIn(size, x, y, x + shape.width, y + shape.height);
}
