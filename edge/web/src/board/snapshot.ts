// A part of the picture as a PNG, in its true colours, each cell a square of so
// many pixels.

import type { Size } from "../wire/geometry";
import type { Color } from "../wire/messages";
import type { Picture } from "./picture";

export interface Area {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** More than this no phone holds in memory. */
export const pixelsMax = 2 ** 25;
export const sideMax = 16_384;
export const scaleMost = 8;

/** What is wrong with the wish, or null. */
export function faultOf(area: Area, scale: number, size: Size): "outside" | "large" | null {
  const numbers = [area.x, area.y, area.width, area.height, scale];
  const whole = numbers.every(Number.isInteger) && scale >= 1 && scale <= scaleMost;
  const inside = area.x >= 0 && area.y >= 0 && area.width > 0 && area.height > 0 && area.x + area.width <= size.width && area.y + area.height <= size.height;
  if (!whole || !inside) return "outside";
  const [wide, high] = [area.width * scale, area.height * scale];
  return wide > sideMax || high > sideMax || wide * high > pixelsMax ? "large" : null;
}

export async function snapshot(picture: Picture, colors: Color[], area: Area, scale: number): Promise<Blob> {
  const image = new ImageData(area.width, area.height);
  for (let y = 0, at = 0; y < area.height; y++) {
    for (let x = 0; x < area.width; x++, at += 4) {
      const rgb = colors[picture.at(area.x + x, area.y + y)]?.rgb ?? 0;
      image.data[at] = rgb >> 16;
      image.data[at + 1] = (rgb >> 8) & 0xff;
      image.data[at + 2] = rgb & 0xff;
      image.data[at + 3] = 255;
    }
  }
  const small = new OffscreenCanvas(area.width, area.height);
  context(small).putImageData(image, 0, 0);
  if (scale === 1) return small.convertToBlob({ type: "image/png" });
  const large = new OffscreenCanvas(area.width * scale, area.height * scale);
  const onto = context(large);
  onto.imageSmoothingEnabled = false;
  onto.drawImage(small, 0, 0, large.width, large.height);
  return large.convertToBlob({ type: "image/png" });
}

function context(canvas: OffscreenCanvas): OffscreenCanvasRenderingContext2D {
  const found = canvas.getContext("2d");
  if (!found) throw new Error("no 2D context");
  return found;
}
