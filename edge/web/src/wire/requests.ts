// What a client says: hello, watch, place, ping.

import { Writer } from "./fields";

export const protocolVersion = 1;
export const subprotocol = "pixelwall.v1";

/** Capability bit 0: this client decodes the range coder. */
export const canRange = 1;

export interface WatchShard {
  shard: number;
  /** -1: watched already, go on; otherwise the seq of the copy. */
  held: number;
}

export function hello(instance: bigint, capabilities: number, token: string): Uint8Array<ArrayBuffer> {
  return new Writer().u8(0x01).varint(protocolVersion).u64(instance).varint(capabilities).text(token).done();
}

export function watch(canvas: bigint, diverged: boolean, shards: WatchShard[]): Uint8Array<ArrayBuffer> {
  const w = new Writer().u8(0x02).u64(canvas).u8(diverged ? 1 : 0).varint(shards.length);
  for (const s of [...shards].sort((a, b) => a.shard - b.shard)) w.u8(s.shard).varint(s.held + 1);
  return w.done();
}

export function place(number: number, x: number, y: number, color: number): Uint8Array<ArrayBuffer> {
  return new Writer().u8(0x03).varint(number).varint(x).varint(y).u8(color).done();
}

export function ping(nonce: number): Uint8Array<ArrayBuffer> {
  return new Writer().u8(0x04).varint(nonce).done();
}
