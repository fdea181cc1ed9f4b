// The body of GET /api/v1/canvas: some shards as they were at their seq. The page
// writes one too, to keep for when there is no server.

import { WireError } from "./errors";
import { Reader, shardsMax } from "./fields";
import { shardArea, type Size } from "./geometry";
import { pack, packedBytes, unpack } from "./packed";

export interface CanvasShard {
  shard: number;
  seq: number;
  timeMS: number;
  pixels: Uint8Array<ArrayBuffer>; // a byte a pixel
}

export interface CanvasFile extends Size {
  canvas: bigint;
  bits: 4 | 8;
  shards: CanvasShard[];
}

const magic = 0x31435750; // "PWC1", read little-endian
const headBytes = 18;
const shardHeadBytes = 17;

export function parseCanvasFile(bytes: Uint8Array): CanvasFile {
  const r = new Reader(bytes);
  if (r.u32("magic") !== magic) throw new WireError("type", "canvas file");
  const canvas = r.u64("canvas");
  const width = r.u16("width");
  const height = r.u16("height");
  const bits = r.u8("bits");
  const n = r.u8("shards");
  if (width < 1 || width > 4096 || height < 1 || height > 4096 || (bits !== 4 && bits !== 8) || n < 1 || n > shardsMax) {
    throw new WireError("range", "size, bits or shards");
  }
  const heads: { shard: number; seq: number; timeMS: number }[] = [];
  for (let i = 0; i < n; i++) {
    const head = { shard: r.shard(), seq: Number(r.u64("seq")), timeMS: Number(r.u64("time")) };
    if (i > 0 && head.shard <= heads[i - 1].shard) throw new WireError("order", "shards");
    heads.push(head);
  }
  const shards = heads.map((head) => {
    const area = shardArea({ width, height }, head.shard);
    const pixels = area.width * area.height;
    if (pixels === 0) throw new WireError("range", "shard");
    return { ...head, pixels: unpack(r.take(packedBytes(pixels, bits), "packed shard"), pixels, bits) };
  });
  if (r.left > 0) throw new WireError("range", "bytes after the last shard");
  return { canvas, width, height, bits, shards };
}

/** How long the file is that begins so, from its first bytes; null where they are too few to say. */
export function canvasFileBytes(begin: Uint8Array): number | null {
  const r = new Reader(begin);
  if (begin.length < headBytes) return null;
  r.take(12, "magic and canvas");
  const size = { width: r.u16("width"), height: r.u16("height") };
  const bits = r.u8("bits");
  const n = r.u8("shards");
  if (begin.length < headBytes + n * shardHeadBytes) return null;
  let total = headBytes + n * shardHeadBytes;
  for (let i = 0; i < n; i++) {
    const area = shardArea(size, r.shard());
    r.take(shardHeadBytes - 1, "seq and time");
    total += packedBytes(area.width * area.height, bits === 8 ? 8 : 4);
  }
  return total;
}

/** The bytes of file; its shards rise by id. */
export function formatCanvasFile(file: CanvasFile): Uint8Array<ArrayBuffer> {
  const bodies = file.shards.map((s) => pack(s.pixels, file.bits));
  const headsBytes = shardHeadBytes * file.shards.length;
  const out = new Uint8Array(headBytes + headsBytes + bodies.reduce((sum, body) => sum + body.length, 0));
  const view = new DataView(out.buffer);
  view.setUint32(0, magic, true);
  view.setBigUint64(4, file.canvas, true);
  view.setUint16(12, file.width, true);
  view.setUint16(14, file.height, true);
  view.setUint8(16, file.bits);
  view.setUint8(17, file.shards.length);
  file.shards.forEach((s, i) => {
    const at = headBytes + shardHeadBytes * i;
    view.setUint8(at, s.shard);
    view.setBigUint64(at + 1, BigInt(s.seq), true);
    view.setBigUint64(at + 9, BigInt(s.timeMS), true);
  });
  let at = headBytes + headsBytes;
  for (const body of bodies) {
    out.set(body, at);
    at += body.length;
  }
  return out;
}
