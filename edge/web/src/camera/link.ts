// The deep link: #x,y,zoom. The zoom is CSS pixels a cell. Whoever goes somewhere
// by hand may write a place in more ways than one.

export interface Place {
  x: number;
  y: number;
  scale: number | null;
}

export function parseLink(hash: string): Place | null {
  const match = /^#(\d{1,4}),(\d{1,4})(?:,(\d{1,3}(?:\.\d{1,3})?))?$/.exec(hash);
  if (!match) return null;
  const scale = match[3] === undefined ? null : Number(match[3]);
  return { x: Number(match[1]), y: Number(match[2]), scale: scale === 0 ? null : scale };
}

/** Reads what a person types or pastes: "120, 44", "(120 44)", "120,44,16", a link. Null for anything else. */
export function parsePlace(text: string): Place | null {
  const link = /#[\d.,]+$/.exec(text.trim());
  if (link) return parseLink(link[0]);
  const numbers = text.trim().replace(/^\((.*)\)$/, "$1").trim();
  return parseLink(`#${numbers.split(/\s*[,;]\s*|\s+/).join(",")}`);
}

export function formatLink(x: number, y: number, scale: number): string {
  return `#${Math.floor(x)},${Math.floor(y)},${Number(scale.toFixed(2))}`;
}
