// The deep link: #x,y,zoom. The zoom is CSS pixels a cell. Other things may follow,
// each after an ampersand; links of Pxls, #x=…&y=…&scale=…, are understood too.

export interface Place {
  x: number;
  y: number;
  scale: number | null;
}

export function parseLink(hash: string): Place | null {
  const match = /^#(\d{1,4}),(\d{1,4})(?:,(\d{1,3}(?:\.\d{1,3})?))?$/.exec(plain(hash));
  if (!match) return null;
  const scale = match[3] === undefined ? null : Number(match[3]);
  return { x: Number(match[1]), y: Number(match[2]), scale: scale === 0 ? null : scale };
}

/** The view of a hash as #x,y,zoom. */
function plain(hash: string): string {
  const values = new URLSearchParams(hash.slice(1));
  if (!values.has("x") || !values.has("y")) return hash.split("&")[0];
  return `#${["x", "y", "scale"].map((key) => values.get(key)).filter((value) => value !== null).join()}`;
}

export function formatLink(x: number, y: number, scale: number): string {
  return `#${Math.floor(x)},${Math.floor(y)},${Number(scale.toFixed(2))}`;
}
