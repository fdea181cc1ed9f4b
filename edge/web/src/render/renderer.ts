// Draws tiles of colour numbers. Two ways: WebGL2, and Canvas 2D where there
// is none. Both draw the same picture; the page does not know which one it has.

import type { OverlayRenderer } from "../templates/overlay";
import type { HeatField } from "../board/heat";
import type { Size } from "../wire/geometry";
import type { Color } from "../wire/messages";
import { FlatRenderer } from "./flat";
import { GLRenderer } from "./gl";

/** Where the canvas lies on the screen, in device pixels. */
export interface View {
  originX: number; // of the left top corner of cell (0, 0)
  originY: number;
  scale: number; // device pixels a cell
  grid: number; // 0: no lines between the cells, 1: clear ones
  glyphs: number; // 0: no signs on the cells, 1: clear ones
}

/** Columns and rows of cells, the last ones excluded. */
export interface Cells {
  fromX: number;
  toX: number;
  fromY: number;
  toY: number;
}

export interface Renderer extends OverlayRenderer {
  readonly kind: "webgl2" | "2d";
  readonly canvas: HTMLCanvasElement;
  /** Size of the drawing area, in device pixels. */
  resize(width: number, height: number): void;
  /** Size of the canvas in cells; forgets all tiles. */
  setSize(size: Size): void;
  setPalette(colors: Color[]): void;
  upload(shard: number, tile: Uint8Array, firstRow: number, rows: number): void;
  /** The warmth to show above the picture, or null for none. */
  setHeat(field: HeatField | null): void;
  draw(view: View): void;
  /** The colour 0xRRGGBB that was really drawn at a device pixel; right after draw only. */
  read(x: number, y: number): number;
}

export interface RendererNews {
  /** Tiles and palette are gone, and wanted again. */
  renewed(): void;
  /** The renderer will draw no more. */
  gone(): void;
}

/** Makes the best renderer that works here, on a canvas inside of board. */
export function makeRenderer(board: HTMLElement, forceFlat: boolean, news: RendererNews): Renderer {
  if (!forceFlat) {
    try {
      return new GLRenderer(freshCanvas(board), news);
    } catch (err) {
      console.info("pixelwall: no WebGL2 here, drawing with Canvas 2D", err);
    }
  }
  return new FlatRenderer(freshCanvas(board));
}

/** A canvas that once had a context of one kind never gets another. */
function freshCanvas(board: HTMLElement): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  board.replaceChildren(canvas);
  return canvas;
}
