import { Tally } from "../src/templates/tally";
import { none, type Progress } from "../src/templates/template";
import { equal, test } from "./harness";

/** A tally over a canvas of 600 × 4: shard 0 has 512 columns, shard 1 has 88. */
function counting() {
  const size = { width: 600, height: 4 };
  const copies = new Map([[0, { width: 512, height: 4, pixels: new Uint8Array(512 * 4) }], [1, { width: 88, height: 4, pixels: new Uint8Array(88 * 4) }]]);
  let report: () => void = () => {};
  let last: Progress[] = [];
  const tally = new Tally({
    copyOf: (shard) => copies.get(shard),
    post: (m) => m.kind === "progress" && (last = structuredClone(m.progress)),
    later: (_, f) => (report = f),
  });
  const place = (id: string, x: number, y: number, width: number, cells: number[]) =>
    tally.set({ id, version: 1, x, y, size, shape: { width, height: cells.length / width, cells: Uint16Array.from(cells) } });
  const paint = (x: number, y: number, color: number) => {
    const shard = x < 512 ? 0 : 1;
    const copy = copies.get(shard) as { width: number; pixels: Uint8Array };
    const index = y * copy.width + (x & 511);
    copy.pixels[index] = color;
    tally.hear({ kind: "pixels", shard, changes: Uint32Array.of((index << 8) | color), fresh: true });
  };
  const counts = () => {
    report();
    return last.map(({ id, total, known, wrongs, damaged }) => [id, total, known, wrongs.reduce((a, b) => a + b, 0), damaged]);
  };
  return { tally, copies, place, paint, counts, last: () => last };
}

test("wrong pixels are counted over the shards that a template lies in", () => {
  const c = counting();
  c.place("a", 510, 1, 4, [0, 5, 5, none]);
  equal(c.tally.shards(), [0, 1]);
  equal(c.counts(), [["a", 3, 3, 2, 0]]);
  c.paint(511, 1, 5);
  c.paint(512, 1, 4);
  equal(c.counts(), [["a", 3, 3, 1, 0]]);
  c.paint(512, 1, 5);
  c.paint(513, 1, 9); // no part of it
  c.paint(511, 0, 9); // beside it
  equal(c.counts(), [["a", 3, 3, 0, 0]]);
});

test("a right pixel that is painted over is damage, and by colour it counts as wrong", () => {
  const c = counting();
  c.place("a", 0, 0, 2, [0, 3]);
  c.paint(0, 0, 7);
  c.paint(1, 0, 7); // wrong before and after
  equal(c.counts(), [["a", 2, 2, 2, 1]]);
  equal([c.last()[0].wrongs[0], c.last()[0].wrongs[3], c.last()[0].wrongs[7]], [1, 1, 0]);
  c.paint(0, 0, 0);
  equal(c.counts(), [["a", 2, 2, 1, 1]]);
});

test("what is outside of the canvas does not count", () => {
  const c = counting();
  c.place("a", -1, -1, 2, [5, 5, 5, 0]);
  c.place("b", 599, 3, 2, [5, 5, 5, 5]);
  c.place("c", 2000, 0, 1, [5]);
  equal(c.counts(), [["a", 1, 1, 0, 0], ["b", 1, 1, 1, 0], ["c", 0, 0, 0, 0]]);
});

test("a shard that is not here yet is unknown, and counted when it comes", () => {
  const c = counting();
  const copy = c.copies.get(1);
  c.copies.delete(1);
  c.place("a", 511, 0, 2, [5, 5]);
  equal(c.counts(), [["a", 2, 1, 1, 0]]);
  if (copy) c.copies.set(1, copy);
  c.tally.hear({ kind: "shards", shards: [{ shard: 1, pixels: new Uint8Array(0) }] });
  equal(c.counts(), [["a", 2, 2, 2, 0]]);
});

test("the next wrong pixel is the nearest that is neither skipped nor hidden", () => {
  const c = counting();
  c.place("a", 0, 0, 5, [1, 2, 0, 1, 2]);
  const next = (x: number, hidden: number[] = [], skip: number[] = []) => {
    c.tally.arrange([{ id: "a", hidden }]);
    return c.tally.nearest({ x, y: 0, skip });
  };
  const at = (x: number, color: number) => ({ id: "a", x, y: 0, color });
  equal([next(4), next(2), next(2, [2]), next(0, [], [0])], [at(4, 2), at(1, 2), at(3, 1), at(1, 2)]);
  equal(next(0, [1, 2]), null);
  c.tally.arrange([]);
  equal(c.tally.nearest({ x: 0, y: 0, skip: [] }), null);
});

test("what a template above has is no part of the one below, unless it is hidden there", () => {
  const c = counting();
  c.place("above", 1, 0, 2, [3, none]);
  c.place("below", 0, 0, 4, [5, 6, 7, 0]);
  const stack = (hidden: number[]) => [{ id: "above", hidden }, { id: "below", hidden: [] }];
  c.tally.arrange(stack([]));
  equal(c.counts(), [["above", 1, 1, 1, 0], ["below", 3, 3, 2, 0]]);
  c.paint(1, 0, 3); // right above, where below wants something else
  equal(c.counts(), [["above", 1, 1, 0, 0], ["below", 3, 3, 2, 0]]);
  equal(c.tally.nearest({ x: 1, y: 0, skip: [0] }), { id: "below", x: 2, y: 0, color: 7 });
  c.paint(3, 0, 9);
  c.tally.arrange(stack([3]));
  equal(c.counts()[1], ["below", 4, 4, 4, 1], "damage that was done is not forgotten");
  c.tally.drop("above");
  c.tally.arrange([{ id: "below", hidden: [] }]);
  equal(c.tally.nearest({ x: 1, y: 0, skip: [] }), { id: "below", x: 1, y: 0, color: 6 });
});

test("a template that is gone is counted no longer", () => {
  const c = counting();
  c.place("a", 0, 0, 1, [5]);
  c.tally.drop("a");
  equal([c.tally.shards(), c.counts()], [[], []]);
});

test("counts in steps are those of a count from scratch", () => {
  const c = counting();
  let seed = 7;
  const random = (n: number) => (seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) % n;
  const cells = Array.from({ length: 300 * 4 }, () => (random(5) === 0 ? none : random(4)));
  c.place("a", 400, 0, 300, cells);
  for (let i = 0; i < 3000; i++) c.paint(random(600), random(4), random(4));
  let wrong = 0;
  cells.forEach((want, i) => {
    const [x, y] = [400 + (i % 300), Math.floor(i / 300)];
    if (want === none || x >= 600) return;
    const copy = c.copies.get(x < 512 ? 0 : 1);
    if (copy && copy.pixels[y * copy.width + (x & 511)] !== want) wrong++;
  });
  equal(c.counts()[0][3], wrong);
});

/** How long a tick takes that changes so many pixels below a template of 500 × 500, in ms a round. */
function measureTally(changed: number, rounds: number): number[] {
  const side = 512;
  const copy = { width: side, height: side, pixels: new Uint8Array(side * side) };
  const tally = new Tally({ copyOf: () => copy, post: () => {}, later: () => {} });
  const cells = Uint16Array.from({ length: 500 * 500 }, (_, i) => i % 16);
  tally.set({ id: "a", version: 1, x: 6, y: 6, size: { width: side, height: side }, shape: { width: 500, height: 500, cells } });
  return Array.from({ length: rounds }, (_, round) => {
    const changes = Uint32Array.from({ length: changed }, (_, i) => ((((i * 7) % (side * side)) << 8) | ((i + round) % 16)));
    const before = performance.now();
    tally.hear({ kind: "pixels", shard: 0, changes, fresh: true });
    return performance.now() - before;
  });
}
Object.assign(globalThis, { measureTally });
