import { Picture } from "../src/board/picture";
import { Reference } from "../src/board/reference";
import { equal, test, throws } from "./harness";

const change = (index: number, color: number) => (index << 8) | color;
const place = (number: number, x: number, y: number, color: number) => ({ number, x, y, color });

test("a hope is shown at once and the log's colour when it ends", () => {
  const p = new Picture({ width: 600, height: 20 }, 0);
  p.hope(place(1, 513, 2, 5));
  equal(p.at(513, 2), 5);
  p.apply(1, Uint32Array.of(change(2 * 88 + 1, 7))); // 88 columns in shard 1
  equal(p.at(513, 2), 5, "while it is hoped for");
  equal(p.release(1), place(1, 513, 2, 5));
  equal(p.at(513, 2), 7, "afterwards");
});

test("of two hopes for a cell the later one is shown, whichever ends first", () => {
  const p = new Picture({ width: 20, height: 20 }, 1);
  p.hope(place(1, 3, 3, 5));
  p.hope(place(2, 3, 3, 6));
  p.release(1);
  equal(p.at(3, 3), 6);
  p.hope(place(3, 3, 3, 7));
  p.release(3);
  equal(p.at(3, 3), 6);
  p.release(2);
  equal(p.at(3, 3), 1);
  equal(p.release(2), null);
});

test("a shard that is loaded anew stays below what is hoped for", () => {
  const p = new Picture({ width: 4, height: 1 }, 0);
  p.hope(place(1, 2, 0, 9));
  p.load(0, Uint8Array.of(1, 2, 3, 4));
  equal([0, 1, 2, 3].map((x) => p.at(x, 0)), [1, 2, 9, 4]);
  p.release(1);
  equal(p.at(2, 0), 3);
});

test("what changed is uploaded once, in bands", () => {
  const p = new Picture({ width: 512, height: 512 }, 0);
  const uploads = () => {
    const seen: number[][] = [];
    p.flush((shard, _tile, first, rows) => seen.push([shard, first, rows]));
    return seen;
  };
  equal(uploads(), [[0, 0, 512]]);
  p.apply(0, Uint32Array.of(change(5 * 512, 1), change(40 * 512, 1), change(200 * 512, 1)));
  equal(uploads(), [[0, 0, 64], [0, 192, 32]]);
  equal(uploads(), []);
});

test("a grown picture shows what the smaller one did", () => {
  const p = new Picture({ width: 10, height: 10 }, 0);
  p.apply(0, Uint32Array.of(change(11, 4)));
  const grown = p.grown({ width: 600, height: 10 }, 0);
  equal([grown.at(1, 1), grown.contains(599, 9), grown.at(599, 9)], [4, true, 0]);
});

function reference(): Reference {
  const r = new Reference(1n, { width: 4, height: 1 }, 4);
  r.load({ shard: 0, seq: 10, timeMS: 12345, pixels: Uint8Array.of(0, 0, 0, 0) });
  return r;
}

const catchUp = (from: number, to: number) => ({ kind: "catchup" as const, shard: 0, from, to, timeTenths: 130, param: 0, payload: Uint8Array.of(0b0_0101_111) });
const batch = (advance: number) => ({ kind: "batch" as const, coding: 0, param: 1, shard: 0, advance, timeAdvance: 5, payload: Uint8Array.of(0b0_0_1001_11) });

test("a batch before the catch-up is not for this copy", () => {
  const r = reference();
  equal(r.applyBatch(batch(1)), null);
  equal(r.copies.get(0)?.seq, 10);
});

test("a catch-up whose range has the copy's seq brings it to its end", () => {
  const r = reference();
  equal(r.applyCatchUp(catchUp(8, 15)), Uint32Array.of(change(0, 5)));
  equal([r.copies.get(0)?.seq, r.copies.get(0)?.timeTenths, r.copies.get(0)?.pixels], [15, 130, Uint8Array.of(5, 0, 0, 0)]);
  equal(r.applyBatch(batch(3)), Uint32Array.of(change(0, 9)));
  equal([r.copies.get(0)?.seq, r.copies.get(0)?.timeTenths], [18, 135]);
});

test("a catch-up beside the copy's seq changes nothing", () => {
  const r = reference();
  equal([r.applyCatchUp(catchUp(11, 15)), r.applyCatchUp(catchUp(5, 9))], [null, null]);
});

test("after a cut batches are not for this copy again", () => {
  const r = reference();
  r.applyCatchUp(catchUp(10, 10));
  r.cut();
  equal(r.applyBatch(batch(1)), null);
});

test("a payload that no encoder makes changes nothing", () => {
  const r = reference();
  r.applyCatchUp(catchUp(10, 10));
  throws(() => r.applyBatch({ ...batch(1), payload: Uint8Array.of(0b0_0_1001_10) }), "truncated");
  equal([r.copies.get(0)?.seq, r.copies.get(0)?.pixels], [10, Uint8Array.of(5, 0, 0, 0)]);
});

test("growing forgets the shards whose area grew and no other", () => {
  const r = new Reference(1n, { width: 600, height: 512 }, 4);
  r.load({ shard: 0, seq: 1, timeMS: 0, pixels: new Uint8Array(512 * 512) });
  r.load({ shard: 1, seq: 1, timeMS: 0, pixels: new Uint8Array(88 * 512) });
  r.grow({ width: 700, height: 512 });
  equal([...r.copies.keys()], [0]);
});
