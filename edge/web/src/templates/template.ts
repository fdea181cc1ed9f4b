// A template: an image that somebody wants on the canvas, where it goes, and how
// it is shown. Its shape is what the image is in colours of this canvas.

import type { Size } from "../wire/geometry";

/** In a shape: this cell is no part of the template. */
export const none = 0xffff;

export const sideMax = 4096; // cells, as the largest canvas has
export const imagePixelsMax = sideMax * sideMax;
export const bytesMax = 16 << 20; // of an image or a list of templates
export const templatesMax = 60; // the shader has a slot for each
export const cellsMax = 2 * sideMax * sideMax; // of all templates together

export type Style = "dots" | "full";
export type Distance = "oklab" | "rgb";
export type Dithering = "none" | "ordered" | "diffusion";

/** An animation: its frames lie in the image row after row. */
export interface Frames extends Size {
  count: number;
  seconds: number; // that each is shown
  start: number; // unix seconds
  looping: boolean;
}

export interface Template {
  id: string;
  name: string;
  x: number;
  y: number;
  width: number | null; // cells a row; null: a cell for each pixel of the image
  image: Uint8Array<ArrayBuffer>; // the bytes of its file
  sources: string[]; // where it can be had again; none: it was a file
  list: string | null; // the address of the list that named it
  frames: Frames | null;
  visible: boolean;
  opacity: number; // 0 … 1
  style: Style;
  highlight: boolean; // shows the wrong pixels only, framed
  hidden: number[]; // colours that are left out
  distance: Distance;
  dithering: Dithering;
}

/** A template's cells row after row: colour numbers, or none. */
export interface Shape extends Size {
  cells: Uint16Array<ArrayBuffer>;
}

/** A shape on the canvas, for counting. */
export interface Placed {
  id: string;
  version: number; // rises with each time that it is placed anew
  x: number;
  y: number;
  shape: Shape;
  size: Size; // of the canvas: what is outside does not count
}

/** How far a template is. totals and wrongs are counts by colour. */
export interface Progress {
  id: string;
  version: number;
  total: number;
  known: number; // cells whose pixel on the canvas is known
  totals: Uint32Array;
  wrongs: Uint32Array;
  damaged: number; // right pixels that were painted over, so far
}

/** The templates that are shown, the first on top. Where one has a cell, what is below it has none. */
export type Stack = { id: string; hidden: number[] }[];

/** What the next wrong pixel is looked for by. */
export interface WrongQuery {
  x: number;
  y: number;
  skip: number[]; // cells, y * 4096 + x
}

export interface WrongPixel {
  id: string; // of the template
  x: number;
  y: number;
  color: number; // that it should have
}

export const defaults = {
  list: null, visible: true, opacity: 0.85, style: "dots", highlight: false, hidden: [] as number[], distance: "oklab", dithering: "none",
} as const;

/** The frame that is due. */
export function frameAt(frames: Frames | null, unixSeconds: number): number {
  if (!frames || frames.count < 2) return 0;
  const passed = Math.floor((unixSeconds - frames.start) / frames.seconds);
  if (!frames.looping) return Math.min(frames.count - 1, Math.max(0, passed));
  return ((passed % frames.count) + frames.count) % frames.count;
}
