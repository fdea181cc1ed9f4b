// Fields of a message, as PROTOCOL.md writes them: little-endian integers,
// shortest LEB128 varints below 2^53, texts with their length before them.

import { WireError } from "./errors";

export const textBytesMax = 512;
export const shardsMax = 64;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** Reads one message from its front; throws a WireError at the first fault. */
export class Reader {
  private at = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  private step(n: number, field: string): number {
    if (n > this.bytes.length - this.at) throw new WireError("truncated", field);
    this.at += n;
    return this.at - n;
  }

  u8(field: string): number {
    return this.bytes[this.step(1, field)];
  }

  u16(field: string): number {
    return this.view.getUint16(this.step(2, field), true);
  }

  u32(field: string): number {
    return this.view.getUint32(this.step(4, field), true);
  }

  /** An opaque number: to keep, to compare and to send back. */
  u64(field: string): bigint {
    return this.view.getBigUint64(this.step(8, field), true);
  }

  varint(limit: number, field: string): number {
    let value = 0;
    let scale = 1;
    for (let n = 1; ; n++) {
      const byte = this.u8(field);
      value += (byte & 0x7f) * scale;
      scale *= 128;
      if (byte < 0x80) {
        if ((byte === 0 && n > 1) || value > Number.MAX_SAFE_INTEGER) throw new WireError("varint", field);
        break;
      }
      if (n === 8) throw new WireError("varint", field);
    }
    if (value > limit) throw new WireError("range", field);
    return value;
  }

  /** A length of a list whose items take at least itemBytes each. */
  count(limit: number, itemBytes: number, field: string): number {
    const n = this.varint(limit, field);
    if (n * itemBytes > this.bytes.length - this.at) throw new WireError("truncated", field);
    return n;
  }

  text(limit: number, field: string): string {
    const n = this.varint(limit, field);
    const at = this.step(n, field);
    try {
      return decoder.decode(this.bytes.subarray(at, at + n));
    } catch {
      throw new WireError("utf8", field);
    }
  }

  shard(): number {
    const shard = this.u8("shard");
    if (shard >= shardsMax) throw new WireError("range", "shard");
    return shard;
  }

  /** The next n bytes; they alias the message. */
  take(n: number, field: string): Uint8Array {
    const at = this.step(n, field);
    return this.bytes.subarray(at, at + n);
  }

  /** What is left; it aliases the message. */
  rest(): Uint8Array {
    return this.take(this.bytes.length - this.at, "rest");
  }

  get left(): number {
    return this.bytes.length - this.at;
  }
}

/** Collects the fields of one message for the server. */
export class Writer {
  private readonly out: number[] = [];

  u8(v: number): this {
    this.out.push(v & 0xff);
    return this;
  }

  u64(v: bigint): this {
    for (let i = 0n; i < 64n; i += 8n) this.out.push(Number((v >> i) & 0xffn));
    return this;
  }

  varint(v: number): this {
    while (v >= 128) {
      this.out.push((v % 128) | 0x80);
      v = Math.floor(v / 128);
    }
    this.out.push(v);
    return this;
  }

  text(s: string): this {
    const bytes = encoder.encode(s);
    this.varint(bytes.length);
    this.out.push(...bytes);
    return this;
  }

  done(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.out);
  }
}
