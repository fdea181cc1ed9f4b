// Canvas 2D, for machines without WebGL2: a small canvas a shard, drawn scaled.
// Without smoothing when near, so that cells stay squares; with it when far, so
// that no cell disappears.

import type { HeatField } from "../board/heat";
import { shardArea, shardAt, shardColumn, shardRow, shardSide, type Size } from "../wire/geometry";
import type { Color } from "../wire/messages";
import type { Slot } from "../templates/overlay";
import { FlatOverlay } from "./flat-overlay";
import { SignPicture } from "./glyphs";
import { HeatPicture } from "./heat";
import { offPage } from "./off-page";
import type { Cells, Renderer, View } from "./renderer";

interface Tile {
  context: CanvasRenderingContext2D;
  image: ImageData;
  numbers: Uint8Array; // aliases the picture's tile
}

export class FlatRenderer implements Renderer {
  readonly kind = "2d";
  private readonly context: CanvasRenderingContext2D;
  private readonly tiles = new Map<number, Tile>();
  private size: Size = { width: 1, height: 1 };
  private readonly palette = new Uint32Array(256);
  private readonly overlay = new FlatOverlay(this.palette, (shard) => this.tiles.get(shard)?.numbers);
  private colors: Color[] = [];
  private readonly heat = new HeatPicture();
  private readonly signs = new SignPicture();

  constructor(readonly canvas: HTMLCanvasElement) {
    const context = canvas.getContext("2d");
    if (!context) throw new Error("no 2D context");
    this.context = context;
  }

  resize(width: number, height: number): void {
    this.canvas.width = width;
    this.canvas.height = height;
  }

  setSize(size: Size): void {
    this.size = size;
    this.tiles.clear();
    this.overlay.clear();
  }

  setPalette(colors: Color[]): void {
    this.colors = colors;
    // ImageData is R, G, B, A in memory; every browser runs on little-endian machines.
    this.palette.fill(0xff000000);
    colors.forEach((c, i) => (this.palette[i] = (0xff000000 | ((c.rgb & 0xff) << 16) | (c.rgb & 0xff00) | (c.rgb >> 16)) >>> 0));
    for (const [shard, tile] of this.tiles) this.upload(shard, tile.numbers, 0, shardSide);
  }

  upload(shard: number, numbers: Uint8Array, firstRow: number, rows: number): void {
    let tile = this.tiles.get(shard);
    if (!tile) {
      const context = offPage();
      tile = { context, image: context.createImageData(shardSide, shardSide), numbers };
      this.tiles.set(shard, tile);
    }
    const pixels = new Uint32Array(tile.image.data.buffer);
    const end = (firstRow + rows) * shardSide;
    for (let i = firstRow * shardSide; i < end; i++) pixels[i] = this.palette[numbers[i]];
    tile.context.putImageData(tile.image, 0, 0, 0, firstRow, shardSide, rows);
    this.overlay.paint(shard, firstRow, rows);
  }

  uploadOverlay(shard: number, tile: Uint8Array): void {
    this.overlay.upload(shard, tile);
  }

  setSlots(slots: Slot[]): void {
    this.overlay.setSlots(slots);
  }

  setHeat(field: HeatField | null): void {
    this.heat.set(field);
  }

  draw(view: View): void {
    const { context, canvas } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const edge = (origin: number, cells: number) => Math.round(origin + cells * view.scale);
    const right = edge(view.originX, this.size.width);
    const bottom = edge(view.originY, this.size.height);
    context.shadowColor = "rgb(0 0 0 / 0.22)";
    context.shadowBlur = 28;
    context.fillRect(Math.round(view.originX), Math.round(view.originY), right - Math.round(view.originX), bottom - Math.round(view.originY));
    context.shadowColor = "transparent";
    context.imageSmoothingEnabled = view.scale < 1;
    context.imageSmoothingQuality = "high"; // or far cells disappear
    for (const [shard, tile] of this.tiles) {
      const area = shardArea(this.size, shard);
      const x = edge(view.originX, shardColumn(shard) * shardSide);
      const y = edge(view.originY, shardRow(shard) * shardSide);
      const width = edge(view.originX, shardColumn(shard) * shardSide + area.width) - x;
      const height = edge(view.originY, shardRow(shard) * shardSide + area.height) - y;
      if (x > canvas.width || y > canvas.height || x + width < 0 || y + height < 0) continue;
      context.drawImage(tile.context.canvas, 0, 0, area.width, area.height, x, y, width, height);
      this.overlay.draw(context, shard, area, view, { x, y, width, height });
    }
    const cells = this.cellsInView(view);
    const numberAt = (x: number, y: number) => this.tiles.get(shardAt(x, y))?.numbers[((y & 511) << 9) | (x & 511)] ?? 0;
    this.signs.draw(context, view, cells, numberAt, (color) => this.colors[color]?.rgb ?? 0);
    if (view.grid > 0) this.drawGrid(view, cells);
    this.heat.draw(context, view, this.size);
  }

  private cellsInView(view: View): Cells {
    const first = (origin: number) => Math.max(0, Math.floor(-origin / view.scale));
    const last = (origin: number, room: number, cells: number) => Math.min(cells, Math.ceil((room - origin) / view.scale));
    return {
      fromX: first(view.originX), toX: last(view.originX, this.canvas.width, this.size.width),
      fromY: first(view.originY), toY: last(view.originY, this.canvas.height, this.size.height),
    };
  }

  private drawGrid(view: View, { fromX, toX, fromY, toY }: Cells): void {
    const { context } = this;
    context.fillStyle = `rgb(128 128 128 / ${0.3 * view.grid})`;
    const top = Math.round(view.originY + fromY * view.scale);
    const left = Math.round(view.originX + fromX * view.scale);
    const high = Math.round(view.originY + toY * view.scale) - top;
    const wide = Math.round(view.originX + toX * view.scale) - left;
    for (let x = fromX; x < toX; x++) context.fillRect(Math.round(view.originX + x * view.scale), top, 1, high);
    for (let y = fromY; y < toY; y++) context.fillRect(left, Math.round(view.originY + y * view.scale), wide, 1);
  }

  read(x: number, y: number): number {
    const [r, g, b] = this.context.getImageData(x, y, 1, 1).data;
    return (r << 16) | (g << 8) | b;
  }
}
