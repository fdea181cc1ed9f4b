// The page's questions over HTTP: a session, the canvas and its facts.

import { canvasFileBytes, parseCanvasFile, type CanvasFile } from "../wire/canvas-file";
import type { Color, Config } from "../wire/messages";
import { keptHeader } from "../offline/kept";
import type { Session } from "./link";

/** A whole answer within this time or none: a dead network must not hold the page. The canvas is large: its next bytes. */
const patienceMS = 20_000;

interface SessionBody {
  token: string;
  user: { id: string; name: string };
  expires: string;
}

interface InfoBody {
  width: number;
  height: number;
  bits: 4 | 8;
  colors: { id: number; name: string; hex: string }[];
  cooldown_ms: number;
  max: number;
  tick_ms: number;
}

/** An answer that says no. */
export class StatusError extends Error {
  constructor(readonly status: number, url: string) {
    super(`${url}: ${status}`);
  }
}

async function get(url: string, init: RequestInit = {}): Promise<Response> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(patienceMS), ...init });
  if (!answer.ok) throw new StatusError(answer.status, url);
  return answer;
}

/** Asks for a session; with an old token the same user gets a new one. */
export async function openSession(origin: string, old: string | null): Promise<Session> {
  const headers: HeadersInit = old ? { Authorization: `Bearer ${old}` } : {};
  const answer = await get(`${origin}/api/v1/session`, { method: "POST", headers });
  const body = (await answer.json()) as SessionBody;
  return { token: body.token, name: body.user.name, expires: Date.parse(body.expires) };
}

/**
 * The canvas's facts, as far as they are known before a connection. What colour
 * blank pixels have is not among them; the canvas itself shows it. keptMS is when
 * they were true, where it was not the server that answered.
 */
export async function fetchInfo(origin: string): Promise<{ config: Config; keptMS: number | null }> {
  const answer = await get(`${origin}/api/v1/canvas/info`);
  const body = (await answer.json()) as InfoBody;
  const kept = answer.headers.get(keptHeader);
  const colors: Color[] = body.colors.map((c) => ({ name: c.name, rgb: parseInt(c.hex.slice(1), 16) }));
  const { width, height, bits, cooldown_ms: cooldownMS, max, tick_ms: tickMS } = body;
  const config = { version: 0, width, height, bits, blank: 0, cooldownMS, max, tickMS, readOnly: false, colors };
  return { config, keptMS: kept === null ? null : Number(kept) };
}

/** config as fetchInfo reads it. */
export function infoBody(config: Config): object {
  const { width, height, bits, cooldownMS, max, tickMS } = config;
  const colors = config.colors.map(({ name, rgb }, id) => ({ id, name, hex: `#${rgb.toString(16).padStart(6, "0")}` }));
  return { width, height, bits, colors, cooldown_ms: cooldownMS, max, tick_ms: tickMS };
}

/** Whether the server answers over HTTP. */
export async function answers(origin: string): Promise<boolean> {
  try {
    await get(`${origin}/api/v1/health`);
    return true;
  } catch {
    return false;
  }
}

/** Where the newest version of the canvas is. */
export async function newestVersion(canvasURL: string): Promise<string> {
  return (await get(canvasURL, { method: "HEAD" })).url;
}

/** The canvas file at url: a version of the canvas, one shard of it, or the newest. came hears which share of it is here. */
export async function fetchCanvas(url: string, came: (share: number) => void = () => {}): Promise<CanvasFile> {
  const silence = new AbortController();
  let timer = 0;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), patienceMS) as unknown as number;
  };
  wait();
  try {
    const answer = await get(url, { signal: silence.signal });
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let bytes = 0;
    for (const reader = answer.body?.getReader(); reader; ) {
      const { done, value } = await reader.read();
      if (done) break;
      wait();
      parts.push(value);
      bytes += value.length;
      came(Math.min(1, bytes / (canvasFileBytes(parts[0]) ?? Infinity)));
    }
    performance.mark("canvas arrived");
    return parseCanvasFile(new Uint8Array(await new Blob(parts).arrayBuffer()));
  } finally {
    clearTimeout(timer);
  }
}
