// Keeps the reference canvas in step: which shards are fetched, which are
// watched, from which seq. The rules are "Joining and staying in step" of
// PROTOCOL.md. It outlives connections.

import { Reference } from "../board/reference";
import type { CanvasFile } from "../wire/canvas-file";
import { WireError } from "../wire/errors";
import { shardsOf, type Size } from "../wire/geometry";
import type { Batch, CatchUp, Config } from "../wire/messages";
import { watch, type WatchShard } from "../wire/requests";
import { fullJitter } from "./backoff";
import { fetchCanvas, newestVersion } from "./http";
import type { FromWorker } from "./link";

export interface SyncPorts {
  send(message: Uint8Array<ArrayBuffer>): void;
  post(message: FromWorker, transfer?: Transferable[]): void;
  /** A copy changed: some placements may have come by. */
  reached(shard: number, seq: number): void;
  /** Shards to be watched although nobody looks at them. */
  owed(): number[];
  sleep(ms: number): Promise<void>;
}

export class Sync {
  reference: Reference | null = null;
  canvasURL: string;
  decodeMS = 0;
  /** The canvas of the connection, once init has named it. */
  private canvas: bigint | null = null;
  private size: Size | null = null;
  private wanted: number[] | null = null; // null: the page has not said yet, so everything
  private pinned: number[] = []; // wanted as well, wherever the page looks
  private hidden = false;
  private connected = false;
  private watched = new Set<number>();
  private diverged = false;
  private filling = false;
  private spoiled = new Map<number, number>(); // how often in a row a shard had to be dropped
  private polled = "";

  constructor(canvasURL: string, private readonly ports: SyncPorts) {
    this.canvasURL = canvasURL;
  }

  /** A connection begins: its init named this canvas. Reports whether it is the one known so far. */
  join(canvas: bigint, config: Config): boolean {
    const same = this.canvas === null || this.canvas === canvas;
    if (this.reference && this.reference.canvas !== canvas) this.reference = null;
    this.canvas = canvas;
    this.connected = true;
    this.watched.clear();
    this.reference?.cut();
    this.configure(config);
    this.follow();
    return same;
  }

  leave(): void {
    this.connected = false;
    this.watched.clear();
    this.reference?.cut();
  }

  configure(size: Size): void {
    this.size = { width: size.width, height: size.height };
    const now = this.reference?.size;
    if (now && (now.width !== size.width || now.height !== size.height)) this.reference?.grow(this.size);
  }

  view(shards: number[]): void {
    this.wanted = shards;
    this.follow();
  }

  pin(shards: number[]): void {
    this.pinned = shards;
    this.follow();
  }

  hide(hidden: boolean): void {
    this.hidden = hidden;
    this.follow();
  }

  /** A shard is watched whose catch-up has not come yet. */
  get catchingUp(): boolean {
    return [...this.watched].some((shard) => !this.reference?.copies.get(shard)?.continuous);
  }

  isWatched(shard: number): boolean {
    return this.watched.has(shard);
  }

  /** Tells the server what is wanted now, and fetches what is not here. */
  follow(): void {
    const reference = this.reference;
    if (reference && this.connected) {
      const shards: WatchShard[] = [];
      let news = false;
      for (const shard of this.desired()) {
        const copy = reference.copies.get(shard);
        if (!copy) continue;
        const goesOn = this.watched.has(shard);
        if (!goesOn) news = true;
        shards.push({ shard, held: goesOn ? -1 : copy.seq });
      }
      if (news || shards.length !== this.watched.size) {
        this.watched = new Set(shards.map((s) => s.shard));
        this.ports.send(watch(reference.canvas, this.diverged, shards));
        this.diverged = false;
      }
    }
    void this.fill();
  }

  batch(b: Batch): void {
    const before = performance.now();
    this.attempt(b.shard, true, () => this.reference?.applyBatch(b) ?? null);
    this.decodeMS = Math.max(this.decodeMS, performance.now() - before);
  }

  catchUp(c: CatchUp): void {
    const copy = this.reference?.copies.get(c.shard);
    if (!copy) return; // being fetched anew; its watch is still to come
    if (copy.seq < c.from || copy.seq > c.to) {
      this.spoil([c.shard]);
      return;
    }
    this.attempt(c.shard, false, () => this.reference?.applyCatchUp(c) ?? null);
  }

  check(shard: number, seq: number, crc: number): void {
    const copy = this.reference?.copies.get(shard);
    if (!copy || !copy.continuous || copy.seq !== seq) return;
    if (this.reference?.crc(shard) === crc) {
      this.spoiled.delete(shard);
      return;
    }
    this.diverged = true;
    this.spoil([shard]);
  }

  resync(reason: number, shards: number[]): void {
    const anotherCanvas = 2;
    if (reason === anotherCanvas) {
      this.reference = null;
      this.watched.clear();
      this.follow();
      return;
    }
    this.spoil(shards);
  }

  /** Looks for a newer canvas over HTTP; for networks that let no WebSocket through. */
  async poll(): Promise<void> {
    const version = await newestVersion(this.canvasURL);
    if (version === this.polled && this.reference) return;
    const file = await fetchCanvas(version);
    this.polled = version;
    this.take(file, true);
  }

  private attempt(shard: number, fresh: boolean, apply: () => Uint32Array<ArrayBuffer> | null): void {
    let changes: Uint32Array<ArrayBuffer> | null;
    try {
      changes = apply();
    } catch (err) {
      if (!(err instanceof WireError)) throw err;
      this.diverged = true;
      this.spoil([shard]);
      return;
    }
    if (!changes) return;
    if (changes.length > 0) this.ports.post({ kind: "pixels", shard, changes, fresh }, [changes.buffer]);
    this.reached(shard);
  }

  private reached(shard: number): void {
    const copy = this.reference?.copies.get(shard);
    if (copy) this.ports.reached(shard, copy.seq);
  }

  /** Drops copies that are of no use any more; follow fetches them anew. */
  private spoil(shards: number[]): void {
    for (const shard of shards) {
      this.reference?.copies.delete(shard);
      this.watched.delete(shard);
      this.spoiled.set(shard, (this.spoiled.get(shard) ?? 0) + 1);
    }
    this.follow();
  }

  private desired(): number[] {
    if (this.hidden || !this.size) return this.hidden ? this.ports.owed() : [];
    const all = shardsOf(this.size);
    if (!this.wanted) return all;
    const wanted = new Set([...this.wanted, ...this.pinned, ...this.ports.owed()]);
    return all.filter((shard) => wanted.has(shard));
  }

  private missing(): number[] {
    return this.desired().filter((shard) => !this.reference?.copies.has(shard));
  }

  private complete(): boolean {
    return this.reference !== null && this.missing().length === 0;
  }

  private async fill(): Promise<void> {
    if (this.filling || this.complete()) return;
    this.filling = true;
    try {
      for (let tries = 0; !this.complete(); tries++) {
        // The first fetch is at once; one that follows a copy that went bad is
        // not, or a fault on either side would become a storm of requests.
        const worst = Math.max(0, ...this.missing().map((shard) => (this.spoiled.get(shard) ?? 0) - 1));
        if (tries + worst > 0) await this.ports.sleep(fullJitter(tries + worst, Math.random));
        try {
          await this.fetchMissing();
        } catch (err) {
          console.warn("pixelwall: the canvas could not be fetched", err);
        }
      }
    } finally {
      this.filling = false;
    }
    this.follow();
  }

  private async fetchMissing(): Promise<void> {
    const missing = this.missing();
    if (!this.reference || 2 * missing.length > shardsOf(this.reference.size).length) {
      const first = this.reference === null;
      this.take(await fetchCanvas(this.canvasURL, (share) => first && this.ports.post({ kind: "loading", share })), false);
      return;
    }
    const version = await newestVersion(this.canvasURL);
    for (const shard of missing) this.take(await fetchCanvas(`${version}/${shard}`), false);
  }

  /** Takes the shards of file that are not here, or all that are newer. */
  private take(file: CanvasFile, newer: boolean): void {
    if (this.connected && file.canvas !== this.canvas) return; // a cache is behind a new canvas
    this.size ??= { width: file.width, height: file.height };
    if (file.width !== this.size.width || file.height !== this.size.height) return; // or behind its growth
    if (this.reference?.canvas !== file.canvas) this.reference = new Reference(file.canvas, this.size, file.bits);
    const { copies } = this.reference;
    const taken = file.shards.filter(({ shard, seq }) => !copies.has(shard) || (newer && seq > (copies.get(shard)?.seq ?? 0)));
    if (taken.length === 0) return;
    for (const shard of taken) this.reference.load(shard);
    const shards = taken.map(({ shard, pixels }) => ({ shard, pixels: pixels.slice() }));
    this.ports.post({ kind: "shards", shards }, shards.map((s) => s.pixels.buffer));
    for (const { shard } of taken) this.reached(shard);
  }
}
