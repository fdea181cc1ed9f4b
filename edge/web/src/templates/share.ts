// The link that brings a template to somebody else: by the address of its image
// where it has one, with the image inside where that is small.

import { formatLink } from "../camera/link";
import type { Entry } from "./entry";
import { formatTemplateLink } from "./link";
import { none, type Shape } from "./template";
import { Trouble } from "./trouble";

const insideBytesMax = 24 << 10; // longer links break on their way through chats

export async function shareLink({ template, shape }: Entry, palette: { rgbOf(color: number): number }, scaleFor: (shape: Shape) => number): Promise<string> {
  if (!shape) throw new Trouble("template.trouble.image");
  const { x, y, name, sources, frames } = template;
  const page = location.href.replace(/#.*$/, "");
  const view = formatLink(Math.max(0, x + shape.width / 2), Math.max(0, y + shape.height / 2), scaleFor(shape));
  const address = frames ? undefined : sources[0];
  const url = address ?? (await inside(shape, (color) => palette.rgbOf(color)));
  return page + view + formatTemplateLink({ url, x, y, width: address ? template.width : null, name });
}

/** The shape as an image in an address. */
async function inside(shape: Shape, rgbOf: (color: number) => number): Promise<string> {
  const canvas = document.createElement("canvas");
  canvas.width = shape.width;
  canvas.height = shape.height;
  const context = canvas.getContext("2d");
  const image = context?.createImageData(shape.width, shape.height);
  if (!context || !image) throw new Trouble("template.trouble.noLink");
  shape.cells.forEach((color, i) => {
    if (color === none) return;
    const rgb = rgbOf(color);
    image.data.set([rgb >> 16, (rgb >> 8) & 0xff, rgb & 0xff, 255], 4 * i);
  });
  context.putImageData(image, 0, 0);
  const url = canvas.toDataURL("image/png");
  if (url.length > insideBytesMax) throw new Trouble("template.trouble.noLink");
  return url;
}
