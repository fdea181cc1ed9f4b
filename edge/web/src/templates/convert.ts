// The bytes of an image file in, a shape out. Runs in a worker of its own: a
// large image takes a second, which neither the page nor the connection has.

import { toWidth } from "./blocks";
import { mapToPalette } from "./mapping";
import { sideMax, type Distance, type Dithering, type Frames, type Shape } from "./template";

export interface Job {
  image: Uint8Array<ArrayBuffer>;
  width: number | null;
  frames: Frames | null;
  frame: number;
  rgbs: number[];
  distance: Distance;
  dithering: Dithering;
}

/** Why there is no shape: it is no image, or a shape of no size that there can be. */
export type Fault = "image" | "size";

export class ConvertError extends Error {
  constructor(readonly fault: Fault) {
    super(fault);
  }
}

export async function convert(job: Job): Promise<Shape> {
  const bitmap = await decode(job.image);
  const pixels = cut(bitmap, job.frames, job.frame);
  bitmap.close();
  const width = job.width ?? pixels.width;
  if (width < 1 || width > sideMax || (pixels.height * width) / pixels.width > sideMax) throw new ConvertError("size");
  const scaled = toWidth(pixels, width);
  return { width, height: scaled.height, cells: mapToPalette(scaled.rgba, width, job.rgbs, job.distance, job.dithering) };
}

async function decode(image: Uint8Array<ArrayBuffer>): Promise<ImageBitmap> {
  try {
    // The numbers of the file as they are: a colour profile would move every pixel a little.
    return await createImageBitmap(new Blob([image]), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new ConvertError("image");
  }
}

/** One frame, or the whole image. */
function cut(bitmap: ImageBitmap, frames: Frames | null, frame: number): { width: number; height: number; rgba: Uint8ClampedArray } {
  const { width, height } = frames ?? bitmap;
  const columns = Math.max(1, Math.floor(bitmap.width / width));
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw new ConvertError("size");
  context.drawImage(bitmap, -(frame % columns) * width, -Math.floor(frame / columns) * height);
  return { width, height, rgba: context.getImageData(0, 0, width, height).data };
}
