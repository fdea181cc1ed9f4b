// Templates in Canvas 2D: from afar an image a shard above the board's, close by
// a rectangle for each cell that is seen. It looks as in gl-overlay.ts.

import type { Slot } from "../templates/overlay";
import { shardColumn, shardRow, shardSide, type Size } from "../wire/geometry";
import { dotReach, farMark, frameMin, frameRGB, frameShare, nearScale } from "./marks";
import { offPage } from "./off-page";
import type { View } from "./renderer";

interface Tile {
  context: CanvasRenderingContext2D;
  image: ImageData;
  above: Uint8Array; // aliases the overlay's tile: colour and slot a cell
}

/** A shard on the screen, in device pixels. */
interface Frame extends Size {
  x: number;
  y: number;
}

const frameColor = `rgb(${frameRGB.join(" ")})`;
const farPixel = (Math.round(255 * farMark) << 24) | (frameRGB[2] << 16) | (frameRGB[1] << 8) | frameRGB[0];

export class FlatOverlay {
  private readonly tiles = new Map<number, Tile>();
  private slots: Slot[] = [];

  /** palette: as ImageData has it; boardOf: the colours that the board shows. */
  constructor(private readonly palette: Uint32Array, private readonly boardOf: (shard: number) => Uint8Array | undefined) {}

  clear(): void {
    this.tiles.clear();
  }

  upload(shard: number, above: Uint8Array): void {
    const known = this.tiles.get(shard);
    const context = known?.context ?? offPage();
    this.tiles.set(shard, { context, image: known?.image ?? context.createImageData(shardSide, shardSide), above });
    this.paint(shard, 0, shardSide);
  }

  setSlots(slots: Slot[]): void {
    this.slots = slots;
    for (const shard of this.tiles.keys()) this.paint(shard, 0, shardSide);
  }

  /** Makes rows of the image for afar: templates or the board below them changed. */
  paint(shard: number, firstRow: number, rows: number): void {
    const tile = this.tiles.get(shard);
    const board = this.boardOf(shard);
    if (!tile) return;
    const pixels = new Uint32Array(tile.image.data.buffer);
    for (let i = firstRow * shardSide; i < (firstRow + rows) * shardSide; i++) {
      const slot = this.slots[tile.above[2 * i + 1] - 1];
      const color = tile.above[2 * i];
      if (!slot || (slot.highlight && board?.[i] === color)) pixels[i] = 0;
      else if (slot.highlight) pixels[i] = farPixel;
      else pixels[i] = (Math.round(255 * slot.opacity) << 24) | (this.palette[color] & 0xffffff);
    }
    tile.context.putImageData(tile.image, 0, 0, 0, firstRow, shardSide, rows);
  }

  draw(context: CanvasRenderingContext2D, shard: number, area: Size, view: View, frame: Frame): void {
    const tile = this.tiles.get(shard);
    if (!tile || this.slots.length === 0) return;
    if (view.scale < nearScale) return context.drawImage(tile.context.canvas, 0, 0, area.width, area.height, frame.x, frame.y, frame.width, frame.height);
    const left = view.originX + shardColumn(shard) * shardSide * view.scale;
    const top = view.originY + shardRow(shard) * shardSide * view.scale;
    const first = (origin: number) => Math.max(0, Math.floor(-origin / view.scale));
    const end = (origin: number, room: number, cells: number) => Math.min(cells, Math.ceil((room - origin) / view.scale));
    const endX = end(left, context.canvas.width, area.width);
    const endY = end(top, context.canvas.height, area.height);
    const board = this.boardOf(shard);
    for (let row = first(top); row < endY; row++) {
      for (let column = first(left); column < endX; column++) {
        const i = row * shardSide + column;
        const slot = this.slots[tile.above[2 * i + 1] - 1];
        if (!slot) continue;
        const wrong = board?.[i] !== tile.above[2 * i];
        if (slot.highlight && !wrong) continue;
        this.drawCell(context, slot, this.palette[tile.above[2 * i]], left + column * view.scale, top + row * view.scale, view.scale);
      }
    }
    context.globalAlpha = 1;
  }

  private drawCell(context: CanvasRenderingContext2D, slot: Slot, color: number, x: number, y: number, scale: number): void {
    const fill = (inset: number) => {
      const [left, top] = [Math.round(x + inset), Math.round(y + inset)];
      context.fillRect(left, top, Math.round(x + scale - inset) - left, Math.round(y + scale - inset) - top);
    };
    context.globalAlpha = slot.opacity;
    context.fillStyle = `rgb(${color & 0xff} ${(color >> 8) & 0xff} ${(color >> 16) & 0xff})`;
    fill(slot.dots ? (0.5 - dotReach) * scale : 0);
    if (!slot.highlight) return;
    const thick = Math.max(frameMin, frameShare * scale);
    const outline = (inset: number, style: string) => {
      context.strokeStyle = style;
      context.strokeRect(x + inset, y + inset, scale - 2 * inset, scale - 2 * inset);
    };
    context.globalAlpha = 1;
    context.lineWidth = thick / 2;
    outline(1.25 * thick, "#fff");
    context.lineWidth = thick;
    outline(thick / 2, frameColor);
  }
}
