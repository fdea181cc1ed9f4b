// What the server says. parse turns the bytes of one WebSocket message into one
// of these, null for a type that this page does not know, or throws a WireError.

import { WireError } from "./errors";
import { Reader, shardsMax, textBytesMax } from "./fields";

const any = Number.MAX_SAFE_INTEGER;
const u32 = 0xffffffff;

export interface Color {
  rgb: number;
  name: string;
}

export interface Config {
  version: number;
  width: number;
  height: number;
  bits: 4 | 8;
  blank: number;
  cooldownMS: number;
  max: number;
  tickMS: number;
  readOnly: boolean;
  colors: Color[];
}

/** What the user may place, in the server's time. */
export interface Allowance {
  available: number;
  max: number;
  nextMS: number;
}

export interface Init {
  kind: "init";
  version: number;
  canvas: bigint;
  epoch: number;
  config: Config;
  user: bigint;
  name: string;
  allowance: Allowance;
  timeMS: number;
  online: number;
  build: string;
  canvasURL: string;
  heads: { shard: number; seq: number }[];
}

export interface Batch {
  kind: "batch";
  coding: number;
  param: number;
  shard: number;
  advance: number;
  timeAdvance: number;
  payload: Uint8Array; // aliases the message
}

export interface CatchUp {
  kind: "catchup";
  shard: number;
  from: number;
  to: number;
  timeTenths: number;
  param: number;
  payload: Uint8Array; // aliases the message
}

export interface Placed {
  kind: "placed";
  number: number;
  shard: number;
  seq: number;
  timeMS: number;
  allowance: Allowance;
}

export interface Refusal {
  kind: "error";
  code: number;
  number: number;
  retryAfterMS: number;
  allowance: Allowance;
  message: string;
}

export type Message =
  | Init
  | Batch
  | CatchUp
  | Placed
  | Refusal
  | { kind: "config"; config: Config }
  | { kind: "resync"; reason: number; shards: number[] }
  | { kind: "check"; shard: number; seq: number; crc: number }
  | { kind: "allowance"; allowance: Allowance }
  | { kind: "presence"; online: number }
  | { kind: "pong"; nonce: number; timeMS: number }
  | { kind: "bye"; waitMinMS: number; waitMaxMS: number };

export function parse(bytes: Uint8Array): Message | null {
  if (bytes.length === 0) throw new WireError("type", "type");
  const r = new Reader(bytes);
  const type = r.u8("type");
  if (type >= 0x80) return batch(r, type);
  switch (type) {
    case 0x41: return init(r);
    case 0x42: return placed(r);
    case 0x43: return refusal(r);
    case 0x44: return resync(r);
    case 0x45: return { kind: "check", shard: r.shard(), seq: r.varint(any, "seq"), crc: r.u32("crc") };
    case 0x46: return { kind: "config", config: config(r) };
    case 0x47: return { kind: "presence", online: r.varint(any, "online") };
    case 0x48: return bye(r);
    case 0x49: return { kind: "pong", nonce: r.varint(any, "nonce"), timeMS: r.varint(any, "time") };
    case 0x4a: return catchUp(r);
    case 0x4b: return { kind: "allowance", allowance: allowance(r) };
    default: return null;
  }
}

function allowance(r: Reader): Allowance {
  return { available: r.varint(u32, "available"), max: r.varint(u32, "max"), nextMS: r.varint(any, "next") };
}

function config(r: Reader): Config {
  const version = r.varint(u32, "config version");
  const width = r.varint(4096, "width");
  const height = r.varint(4096, "height");
  const bits = r.u8("bits");
  const blank = r.u8("blank");
  const cooldownMS = r.varint(any, "cooldown");
  const max = r.varint(u32, "max");
  const tickMS = r.varint(u32, "tick");
  const flags = r.u8("flags");
  if ((bits !== 4 && bits !== 8) || width === 0 || height === 0) throw new WireError("range", "size or bits");
  const colors: Color[] = [];
  const n = r.count(256, 4, "colors");
  if (n < 2) throw new WireError("range", "colors");
  for (let i = 0; i < n; i++) {
    const [red, green, blue] = r.take(3, "color");
    colors.push({ rgb: (red << 16) | (green << 8) | blue, name: r.text(textBytesMax, "color name") });
  }
  return { version, width, height, bits, blank, cooldownMS, max, tickMS, readOnly: (flags & 1) === 1, colors };
}

function init(r: Reader): Init {
  const m: Init = {
    kind: "init",
    version: r.varint(u32, "version"),
    canvas: r.u64("canvas"),
    epoch: r.varint(any, "epoch"),
    config: config(r),
    user: r.u64("user"),
    name: r.text(textBytesMax, "name"),
    allowance: allowance(r),
    timeMS: r.varint(any, "time"),
    online: r.varint(any, "online"),
    build: r.text(textBytesMax, "build"),
    canvasURL: r.text(textBytesMax, "canvas URL"),
    heads: [],
  };
  const n = r.count(shardsMax, 2, "shards");
  if (n === 0) throw new WireError("range", "shards");
  let last = -1;
  for (let i = 0; i < n; i++) {
    const shard = r.shard();
    m.heads.push({ shard, seq: r.varint(any, "seq") });
    if (shard <= last) throw new WireError("order", "shards");
    last = shard;
  }
  return m;
}

function batch(r: Reader, type: number): Batch {
  return {
    kind: "batch",
    coding: (type >> 5) & 3,
    param: type & 31,
    shard: r.shard(),
    advance: r.varint(any, "advance"),
    timeAdvance: r.varint(any, "time advance"),
    payload: r.rest(),
  };
}

function catchUp(r: Reader): CatchUp {
  const m = {
    kind: "catchup" as const,
    shard: r.shard(),
    from: r.varint(any, "from"),
    to: r.varint(any, "to"),
    timeTenths: r.varint(any, "time"),
    param: r.u8("parameter"),
  };
  if (m.to < m.from || m.param > 31) throw new WireError("range", "to or parameter");
  return { ...m, payload: r.rest() };
}

function placed(r: Reader): Placed {
  const number = r.varint(u32, "number");
  if (number === 0) throw new WireError("range", "number");
  return {
    kind: "placed",
    number,
    shard: r.shard(),
    seq: r.varint(any, "seq"),
    timeMS: r.varint(any, "time"),
    allowance: allowance(r),
  };
}

function refusal(r: Reader): Refusal {
  return {
    kind: "error",
    code: r.u8("code"),
    number: r.varint(u32, "number"),
    retryAfterMS: r.varint(any, "retry after"),
    allowance: allowance(r),
    message: r.text(textBytesMax, "message"),
  };
}

function resync(r: Reader): Message {
  const reason = r.u8("reason");
  const n = r.count(shardsMax, 1, "shards");
  if (n === 0) throw new WireError("range", "shards");
  const shards: number[] = [];
  for (let i = 0; i < n; i++) {
    const shard = r.shard();
    if (i > 0 && shard <= shards[i - 1]) throw new WireError("order", "shards");
    shards.push(shard);
  }
  return { kind: "resync", reason, shards };
}

function bye(r: Reader): Message {
  const waitMinMS = r.varint(any, "least wait");
  const waitMaxMS = r.varint(any, "most wait");
  if (waitMaxMS < waitMinMS) throw new WireError("range", "most wait");
  return { kind: "bye", waitMinMS, waitMaxMS };
}
