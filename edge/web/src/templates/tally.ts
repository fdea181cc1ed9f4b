// Counts the wrong pixels of templates. It lives in the worker that holds the
// reference canvas and hears what that tells the page: so a count costs the page
// nothing but a message, a tick costs a comparison for each pixel that changed,
// and a hope of this user is no pixel yet.

import { shardColumn, shardRow, shardSide, shardsIn } from "../wire/geometry";
import type { FromWorker } from "../net/link";
import { none, type Placed, type Progress, type Stack, type WrongPixel, type WrongQuery } from "./template";

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
  wants: Uint16Array; // a cell: its colour, or none also where another template covers it
  covers: string; // what lies above it, as JSON
  states: Uint8Array; // a cell: unknown, right or wrong
  shards: Set<number>;
}

export class Tally {
  private readonly counts = new Map<string, Count>();
  private stack: Stack = [];
  private reporting = false;

  constructor(private readonly ports: TallyPorts) {}

  set(placed: Placed): void {
    this.count(placed, placed.shape.cells, "[]", 0);
  }

  /** Takes which template is above which one; what is covered is counted no longer, nor shown as wrong. */
  arrange(stack: Stack): void {
    this.stack = stack;
    const above: { count: Count; hidden: number[] }[] = [];
    for (const { id, hidden } of stack) {
      const count = this.counts.get(id);
      if (!count) continue;
      const over = above.filter((a) => overlap(a.count, count));
      const covers = JSON.stringify(over.map((a) => [a.count.id, a.count.version, a.hidden]));
      if (covers !== count.covers) this.count(count, uncovered(count, over), covers, count.damaged);
      above.push({ count, hidden });
    }
  }

  private count(placed: Placed, wants: Uint16Array, covers: string, damaged: number): void {
    const { id, version, x, y, shape, size } = placed;
    const shards = new Set(shardsIn(size, x, y, x + shape.width, y + shape.height));
    const count: Count = {
      id, version, x, y, shape, size, wants, covers, shards, states: new Uint8Array(wants.length),
      total: 0, known: 0, totals: new Uint32Array(256), wrongs: new Uint32Array(256), damaged,
    };
    for (let i = 0; i < wants.length; i++) {
      const want = wants[i];
      if (want === none || x + (i % shape.width) < 0 || x + (i % shape.width) >= size.width) continue;
      const row = y + Math.floor(i / shape.width);
      if (row < 0 || row >= size.height) continue;
      count.total++;
      count.totals[want]++;
    }
    this.counts.set(id, count);
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
  nearest({ x, y, skip }: WrongQuery): WrongPixel | null {
    const skipped = new Set(skip);
    let best: WrongPixel | null = null;
    let least = Infinity;
    for (const { id, hidden } of this.stack) {
      const count = this.counts.get(id);
      if (!count) continue;
      const { shape, states, wants } = count;
      for (let i = states.indexOf(wrong); i >= 0; i = states.indexOf(wrong, i + 1)) {
        const at = { id, x: count.x + (i % shape.width), y: count.y + Math.floor(i / shape.width), color: wants[i] };
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

function overlap(a: Placed, b: Placed): boolean {
  return a.x < b.x + b.shape.width && b.x < a.x + a.shape.width && a.y < b.y + b.shape.height && b.y < a.y + a.shape.height;
}

/** The cells of below that none of those above it has. */
function uncovered(below: Placed, above: { count: Placed; hidden: number[] }[]): Uint16Array {
  const wants = below.shape.cells.slice();
  for (const { count: { x, y, shape }, hidden } of above) {
    const without = new Set([none, ...hidden]);
    const toX = Math.min(x + shape.width, below.x + below.shape.width);
    const toY = Math.min(y + shape.height, below.y + below.shape.height);
    for (let row = Math.max(y, below.y); row < toY; row++) {
      for (let column = Math.max(x, below.x); column < toX; column++) {
        if (without.has(shape.cells[(row - y) * shape.width + column - x])) continue;
        wants[(row - below.y) * below.shape.width + column - below.x] = none;
      }
    }
  }
  return wants;
}

/** Notes the pixel below a cell. Reports whether a right one went wrong. */
function mark(count: Count, i: number, color: number): boolean {
  const want = count.wants[i];
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
