// Links to a place. In the address of the page it is #x,y,zoom, the zoom in CSS
// pixels a cell. Other things may follow, each after an ampersand; links of Pxls,
// #x=…&y=…&scale=…, are understood too. A link for others is /?x=&y=&zoom=, because a
// fragment never reaches the server, which shows a picture of the place to whoever asks. Whoever goes
// somewhere by hand may write a place in more ways than one.

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

/** Reads what a person types or pastes: "120, 44", "(120 44)", "120,44,16", a link. Null for anything else. */
export function parsePlace(text: string): Place | null {
  const link = parseLink(/#\S+$/.exec(text.trim())?.[0] ?? "");
  if (link) return link;
  const shared = /^https?:[^?#\s]*(\?[^#\s]*)/.exec(text.trim());
  if (shared) return parseLink(viewOf(new URLSearchParams(shared[1])));
  const numbers = latin(text).trim().replace(/^\((.*)\)$/, "$1").trim();
  return parseLink(`#${numbers.split(/\s*[,;]\s*|\s+/).join(",")}`);
}

/** The view of a share link as a hash; none that parseLink takes where there is none. */
function viewOf(query: URLSearchParams): string {
  const zoom = query.get("zoom");
  return `#${query.get("x")},${query.get("y")}${zoom === null ? "" : `,${zoom}`}`;
}

/** Digits and commas of other scripts as those of the address bar. */
function latin(text: string): string {
  return text
    .replace(/[٠-٩۰-۹０-９]/g, (digit) => String((digit.charCodeAt(0) - (digit >= "０" ? 0xff10 : digit >= "۰" ? 0x6f0 : 0x660))))
    .replace(/[،，、]/g, ",");
}

export function formatLink(x: number, y: number, scale: number): string {
  return `#${Math.floor(x)},${Math.floor(y)},${Number(scale.toFixed(2))}`;
}

export function formatShare(x: number, y: number, scale: number): string {
  return `/?x=${Math.floor(x)}&y=${Math.floor(y)}&zoom=${Number(scale.toFixed(2))}`;
}

/** What the address is instead of a share link, its other parameters kept; null for any other query. */
export function unshare(search: string, hash: string): string | null {
  const link = viewOf(new URLSearchParams(search));
  if (!parseLink(link)) return null;
  const rest = search.slice(1).split("&").filter((part) => !/^(x|y|zoom)=/.test(part));
  return `/${rest.length > 0 ? "?" : ""}${rest.join("&")}${hash || link}`;
}
