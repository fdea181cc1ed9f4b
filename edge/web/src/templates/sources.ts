// Brings the bytes of a template here: from a file, from an address, from the
// link itself. Whatever they are, there are never too many of them.

import type { Size } from "../wire/geometry";
import { bytesMax, imagePixelsMax } from "./template";
import { Trouble } from "./trouble";

const patienceMS = 20_000;
const megabytes = bytesMax / (1 << 20);

/** The address that text is, or null for other text. */
export function addressIn(text: string): URL | null {
  const trimmed = text.trim();
  return /^(https?:\/\/|data:)\S+$/i.test(trimmed) ? urlOf(trimmed) : null;
}

/** The URL that text is, seen from base; null where it is none. */
export function urlOf(text: string, base?: string): URL | null {
  try {
    return new URL(text, base);
  } catch {
    return null;
  }
}

export async function readFile(file: Blob): Promise<Uint8Array<ArrayBuffer>> {
  if (file.size > bytesMax) throw new Trouble("template.trouble.large", { n: megabytes });
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new Trouble("template.trouble.file"); // a folder, or one that is gone
  }
}

export async function readAddress(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  if (url.protocol === "data:") return readData(url.href);
  // The page's policy would stop others as well, but with no word for people.
  if (url.protocol !== "https:" && url.origin !== location.origin) throw new Trouble("template.trouble.https", { host: url.host });
  let answer: Response;
  try {
    answer = await fetch(url, { credentials: "omit", referrerPolicy: "no-referrer", signal: AbortSignal.timeout(patienceMS) });
  } catch {
    throw new Trouble("template.trouble.host", { host: url.host });
  }
  if (!answer.ok) throw new Trouble("template.trouble.status", { host: url.host, status: String(answer.status) });
  return readBody(answer, url.host);
}

async function readBody(answer: Response, host: string): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  const reader = answer.body?.getReader();
  try {
    for (let part = await reader?.read(); part?.value; part = await reader?.read()) {
      length += part.value.length;
      if (length > bytesMax) {
        await reader?.cancel();
        throw new Trouble("template.trouble.large", { n: megabytes });
      }
      parts.push(part.value);
    }
  } catch (err) {
    throw err instanceof Trouble ? err : new Trouble("template.trouble.host", { host });
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function readData(url: string): Uint8Array<ArrayBuffer> {
  const match = /^data:[^,]*;base64,(.*)$/s.exec(url);
  if (!match || match[1].length > 2 * bytesMax) throw new Trouble("template.trouble.image");
  try {
    return Uint8Array.from(atob(decodeURIComponent(match[1])), (c) => c.charCodeAt(0));
  } catch {
    throw new Trouble("template.trouble.image");
  }
}

/** The size of an image, which browsers tell without decoding its pixels. */
export async function measure(image: Uint8Array<ArrayBuffer>): Promise<Size> {
  const url = URL.createObjectURL(new Blob([image]));
  const picture = new Image();
  try {
    await new Promise((resolve, reject) => {
      picture.onload = resolve;
      picture.onerror = reject;
      picture.src = url;
    });
  } catch {
    throw new Trouble("template.trouble.image");
  } finally {
    URL.revokeObjectURL(url);
  }
  const { naturalWidth: width, naturalHeight: height } = picture;
  if (width * height > imagePixelsMax) throw new Trouble("template.trouble.pixels", { width, height });
  return { width, height };
}

/** "face" from "https://host/faces/face.png". */
export function stemOf(path: string): string {
  const file = path.split("/").at(-1) ?? "";
  return file.replace(/\.[a-z0-9]{1,5}$/i, "").slice(0, 80);
}
