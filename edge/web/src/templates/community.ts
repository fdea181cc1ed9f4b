// The JSON in which communities publish their templates, as the userscripts of
// 2022 and 2023 read it: a list of templates, and the addresses of other lists to
// follow (whitelist) or to leave out (blacklist).

import { urlOf } from "./sources";
import { templatesMax, type Frames } from "./template";
import { Trouble } from "./trouble";

const listsMax = 20; // that are followed
const depthMax = 4;

export interface Listed {
  name: string;
  sources: string[];
  list: string;
  x: number;
  y: number;
  frames: Frames | null;
}

interface Named {
  name: string;
  url: string;
}

export interface List {
  templates: Listed[];
  whitelist: Named[];
  blacklist: Named[];
}

type Fields = Record<string, unknown>;

/** Reads a list; base is what its relative addresses begin from. Throws a Trouble. */
export function parseList(text: string, base: string): List {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    throw new Trouble("template.trouble.json");
  }
  const fields = fieldsOf(found);
  if (!Array.isArray(fields.templates) && !Array.isArray(fields.whitelist)) throw new Trouble("template.trouble.json");
  return {
    templates: itemsOf(fields.templates).flatMap((item) => listed(item, base) ?? []),
    whitelist: itemsOf(fields.whitelist).flatMap((item) => named(item, base) ?? []),
    blacklist: itemsOf(fields.blacklist).flatMap((item) => named(item, base) ?? []),
  };
}

/**
 * The templates of a list and of those that it leads to, the first on top, and
 * how many lists could not be read. Lists that lead to each other come once.
 */
export async function gather(first: List, address: string, read: (url: string) => Promise<List>): Promise<{ templates: Listed[]; unread: number }> {
  const templates = [...first.templates];
  const blacklist = [...first.blacklist];
  const seen = new Set([address]);
  let unread = 0;
  let level = first.whitelist;
  for (let depth = 0; depth < depthMax && level.length > 0; depth++) {
    const next: Named[] = [];
    for (const item of level) {
      const unwanted = blacklist.some((b) => b.url === item.url || (b.name !== "" && b.name === item.name));
      if (unwanted || seen.has(item.url) || seen.size >= listsMax) continue;
      seen.add(item.url);
      try {
        const list = await read(item.url);
        templates.push(...list.templates);
        blacklist.push(...list.blacklist);
        next.push(...list.whitelist);
      } catch (err) {
        if (!(err instanceof Trouble)) throw err;
        unread++;
      }
    }
    level = next;
  }
  return { templates: templates.slice(0, templatesMax), unread };
}

function listed(item: unknown, base: string): Listed | null {
  const f = fieldsOf(item);
  const sources = itemsOf(f.sources).flatMap((source) => absolute(source, base) ?? []);
  if (sources.length === 0 || !isWhole(f.x) || !isWhole(f.y)) return null;
  return { name: textOf(f.name), sources, list: base, x: f.x, y: f.y, frames: framesOf(f) };
}

function framesOf(f: Fields): Frames | null {
  const { frameWidth: width, frameHeight: height, frameCount: count } = f;
  if (!isWhole(width) || !isWhole(height) || width < 1 || height < 1 || width > 4096 || height > 4096) return null;
  const several = isWhole(count) && count > 1 ? count : 1;
  // Called a rate, it is the seconds that a frame is shown.
  const seconds = [f.frameRate, f.frameSpeed].find((v) => typeof v === "number" && v > 0) as number | undefined;
  return {
    width, height, count: seconds === undefined ? 1 : several, seconds: seconds ?? 1,
    start: typeof f.startTime === "number" ? f.startTime : 0, looping: Boolean(f.looping) || several > 1,
  };
}

/** An entry of a white- or blacklist: an address, with or without a name. */
function named(item: unknown, base: string): Named | null {
  const f = typeof item === "string" ? { url: item } : fieldsOf(item);
  const url = absolute(f.url, base) ?? "";
  const name = textOf(f.name);
  return url === "" && name === "" ? null : { name, url };
}

function absolute(address: unknown, base: string): string | null {
  return typeof address === "string" ? (urlOf(address, base)?.href ?? null) : null;
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function itemsOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value.slice(0, 80) : "";
}

function isWhole(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && Math.abs(value) < 100_000;
}
