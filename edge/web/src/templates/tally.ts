// Counts the wrong pixels of templates. It lives in the worker that holds the
// reference canvas and hears what that tells the page: so a count costs the page
// nothing but a message, a tick costs a comparison for each pixel that changed,
// and a hope of this user is no pixel yet.

import { shardColumn, shardRow, shardSide, shardsIn } from "../wire/geometry";
import type { FromWorker } from "../net/link";
import { none, type Placed, type Progress, type WrongPixel, type WrongQuery } from "./template";

const restMS = 300; // between two reports

const unknown = 0;
const right = 1;
const wrong = 2;

/** One shard of the reference canvas. */
interface Area {
  width: number;
  height: number;
  pixels: Uint8Array;
}

export interface TallyPorts {
  copyOf(shard: number): Area | undefined;
  post(message: FromWorker): void;
  later(ms: number, f: () => void): void;
}

interface Count extends Placed, Progress {
  states: Uint8Array; // a cell: unknown, right or wrong
  shards: Set<number>;
}

export class Tally {
  private readonly counts = new Map<string, Count>();
  private reporting = false;

  constructor(private readonly ports: TallyPorts) {}

  set(placed: Placed): void {
    const { x, y, shape, size } = placed;
    const shards = new Set(shardsIn(size, x, y, x + shape.width, y + shape.height));
    const count: Count = {
      ...placed, shards, states: new Uint8Array(shape.cells.length),
      total: 0, known: 0, totals: new Uint32Array(256), wrongs: new Uint32Array(256), damaged: 0,
    };
    for (let i = 0; i < shape.cells.length; i++) {
      const want = shape.cells[i];
      if (want === none || x + (i % shape.width) < 0 || x + (i % shape.width) >= size.width) continue;
      const row = y + Math.floor(i / shape.width);
      if (row < 0 || row >= size.height) continue;
      count.total++;
      count.totals[want]++;
    }
    this.counts.set(placed.id, count);
    for (const shard of shards) this.compare(count, shard);
    this.report();
  }

  drop(id: string): void {
    this.counts.delete(id);
  }

  /** The shards that the counts need. */
  shards(): number[] {
    return [...new Set([...this.counts.values()].flatMap((c) => [...c.shards]))].sort((a, b) => a - b);
  }

  /** Takes what the page is told. */
  hear(m: FromWorker): void {
    if (this.counts.size === 0) return;
    if (m.kind === "pixels") this.each(m.shard, (count) => this.apply(count, m.shard, m.changes));
    if (m.kind === "shards") for (const { shard } of m.shards) this.each(shard, (count) => this.compare(count, shard));
  }

  private each(shard: number, update: (count: Count) => void): void {
    for (const count of this.counts.values()) {
      if (!count.shards.has(shard)) continue;
      update(count);
      this.report();
    }
  }

  /** The nearest wrong pixel, of equals the first. */
  nearest({ x, y, among, skip }: WrongQuery): WrongPixel | null {
    const skipped = new Set(skip);
    let best: WrongPixel | null = null;
    let least = Infinity;
    for (const { id, hidden } of among) {
      const count = this.counts.get(id);
      if (!count) continue;
      const { shape, states } = count;
      for (let i = states.indexOf(wrong); i >= 0; i = states.indexOf(wrong, i + 1)) {
        const at = { x: count.x + (i % shape.width), y: count.y + Math.floor(i / shape.width), color: shape.cells[i] };
        const away = (at.x - x) ** 2 + (at.y - y) ** 2;
        if (away >= least || hidden.includes(at.color) || skipped.has(at.y * 4096 + at.x)) continue;
        least = away;
        best = at;
      }
    }
    return best;
  }

  /** Compares all that a template has of a shard. */
  private compare(count: Count, shard: number): void {
    const copy = this.ports.copyOf(shard);
    if (!copy) return;
    const left = shardColumn(shard) * shardSide;
    const top = shardRow(shard) * shardSide;
    const { shape, x, y } = count;
    const fromX = Math.max(left, x);
    const toX = Math.min(left + copy.width, x + shape.width);
    const toY = Math.min(top + copy.height, y + shape.height);
    for (let row = Math.max(top, y); row < toY; row++) {
      const cell = (row - y) * shape.width - x;
      const pixel = (row - top) * copy.width - left;
      for (let column = fromX; column < toX; column++) mark(count, cell + column, copy.pixels[pixel + column]);
    }
  }

  /** Compares what changed in a shard: index << 8 | colour each. */
  private apply(count: Count, shard: number, changes: Uint32Array): void {
    const copy = this.ports.copyOf(shard);
    if (!copy) return;
    const { shape } = count;
    const left = shardColumn(shard) * shardSide - count.x;
    const top = shardRow(shard) * shardSide - count.y;
    for (const change of changes) {
      const index = change >>> 8;
      const row = Math.floor(index / copy.width);
      const column = index - row * copy.width + left;
      if (column < 0 || column >= shape.width || row + top < 0 || row + top >= shape.height) continue;
      if (mark(count, (row + top) * shape.width + column, change & 0xff)) count.damaged++;
    }
  }

  private report(): void {
    if (this.reporting) return;
    this.reporting = true;
    this.ports.later(restMS, () => {
      this.reporting = false;
      const progress = [...this.counts.values()].map(
        ({ id, version, total, known, totals, wrongs, damaged }) => ({ id, version, total, known, totals, wrongs, damaged }),
      );
      this.ports.post({ kind: "progress", progress });
    });
  }
}

/** Notes the pixel below a cell. Reports whether a right one went wrong. */
function mark(count: Count, i: number, color: number): boolean {
  const want = count.shape.cells[i];
  if (want === none) return false;
  const before = count.states[i];
  const now = color === want ? right : wrong;
  if (now === before) return false;
  count.states[i] = now;
  if (before === unknown) count.known++;
  if (now === wrong) count.wrongs[want]++;
  else if (before === wrong) count.wrongs[want]--;
  return before === right;
}
