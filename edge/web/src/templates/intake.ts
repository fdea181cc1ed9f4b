// Files, addresses and links in, templates in the making out. What is a list is
// told by its content: hosts call JSON and images by any name.

import { gather, parseList, type List, type Listed } from "./community";
import { parseTemplateLink, type TemplateLink } from "./link";
import { addressIn, readAddress, readFile, stemOf } from "./sources";
import type { Frames, Template } from "./template";
import { Trouble } from "./trouble";

const atOnce = 4; // images

/** What is known of a template at first; x and y are null where nobody said. */
export interface Draft {
  name: string;
  x: number | null;
  y: number | null;
  width: number | null;
  image: Uint8Array<ArrayBuffer>;
  sources: string[];
  list: string | null;
  frames: Frames | null;
}

export interface Found {
  drafts: Draft[];
  /** Lists and images that others named and that could not be read. */
  unread: number;
}

export async function fromFile(file: File): Promise<Found> {
  const bytes = await readFile(file);
  if (isText(bytes)) return fromList(parseList(textOf(bytes), location.href), "");
  return { drafts: [{ name: stemOf(file.name), x: null, y: null, width: null, image: bytes, sources: [], list: null, frames: null }], unread: 0 };
}

/** Text that a person pasted or typed: an image, a list, or a link with a template in it. */
export async function fromText(text: string): Promise<Found> {
  const url = addressIn(text);
  if (!url) throw new Trouble("template.trouble.text");
  const link = parseTemplateLink(url.hash);
  if (link) return fromLink(link);
  return fromAddress(url, { name: "", x: null, y: null, width: null });
}

export async function fromLink(link: TemplateLink): Promise<Found> {
  const url = addressIn(link.url);
  if (!url) throw new Trouble("template.trouble.text");
  return fromAddress(url, link);
}

async function fromAddress(url: URL, where: Pick<Draft, "name" | "x" | "y" | "width">): Promise<Found> {
  const image = await readAddress(url);
  if (isText(image)) return fromList(parseList(textOf(image), url.href), url.href);
  const name = where.name || (url.protocol === "data:" ? "" : stemOf(url.pathname));
  return { drafts: [{ ...where, name, image, sources: [url.href], list: null, frames: null }], unread: 0 };
}

async function fromList(first: List, address: string): Promise<Found> {
  const read = async (url: string) => parseList(textOf(await readAddress(new URL(url))), url);
  const { templates, unread } = await gather(first, address, read);
  const images = await inParallel(templates, (template) => firstOf(template.sources));
  const found: Found = { drafts: [], unread };
  templates.forEach((template, i) => {
    const image = images[i];
    if (image) found.drafts.push(draftOf(template, image));
    else found.unread++;
  });
  if (found.drafts.length === 0) throw new Trouble(found.unread > 0 ? "template.trouble.unread" : "template.trouble.empty");
  return found;
}

/** What its list says of a template now; null where it says nothing, or does not answer. */
export async function listedNow({ list, name, sources }: Pick<Template, "list" | "name" | "sources">): Promise<Listed | null> {
  if (!list) return null;
  try {
    const { templates } = parseList(textOf(await readAddress(new URL(list))), list);
    return templates.find((now) => now.sources[0] === sources[0]) ?? templates.find((now) => now.name !== "" && now.name === name) ?? null;
  } catch (err) {
    if (!(err instanceof Trouble)) throw err;
    return null;
  }
}

/** The results of work, in order; a few at a time, because a host may count requests. */
export async function inParallel<T, R>(items: T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const i = next++;
      results[i] = await work(items[i]);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}

/** The image from the first source that has it. */
export async function firstOf(sources: string[]): Promise<Uint8Array<ArrayBuffer> | null> {
  for (const source of sources) {
    try {
      return await readAddress(new URL(source));
    } catch (err) {
      if (!(err instanceof Trouble)) throw err;
    }
  }
  return null;
}

function draftOf({ name, sources, list, x, y, frames }: Listed, image: Uint8Array<ArrayBuffer>): Draft {
  return { name: name || stemOf(new URL(sources[0]).pathname), x, y, width: null, image, sources, list: list === location.href ? null : list, frames };
}

/** JSON begins with a brace; no image does. */
function isText(bytes: Uint8Array): boolean {
  return textOf(bytes.subarray(0, 64)).trimStart().startsWith("{");
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
