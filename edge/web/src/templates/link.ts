// A template in the address, behind the view or alone:
//
//	#x,y,zoom&template=URL&ox=…&oy=…&tw=…&title=…
//
// The keys are those of Pxls, whose links are understood as they are: ox and oy
// are the left top corner, tw how many cells wide it is, whatever the image's
// width. The image may be in the link itself, as a data: URL.

import { sideMax } from "./template";

export interface TemplateLink {
  url: string;
  x: number | null;
  y: number | null;
  width: number | null;
  name: string;
}

export function parseTemplateLink(hash: string): TemplateLink | null {
  const values = new URLSearchParams(hash.replace(/^#/, ""));
  const url = values.get("template");
  if (!url) return null;
  const whole = (key: string) => {
    const text = values.get(key);
    return text !== null && /^-?\d{1,5}$/.test(text) ? Number(text) : null;
  };
  const width = whole("tw");
  return {
    url, x: whole("ox"), y: whole("oy"), width: width !== null && width >= 1 && width <= sideMax ? width : null,
    name: (values.get("title") ?? "").slice(0, 80),
  };
}

export function formatTemplateLink(link: TemplateLink): string {
  const parts = [["template", link.url], ["ox", link.x], ["oy", link.y], ["tw", link.width], ["title", link.name || null]];
  return parts.filter(([, value]) => value !== null).map(([key, value]) => `&${key}=${encodeURIComponent(value as string)}`).join("");
}
