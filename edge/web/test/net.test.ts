import { fullJitter, spread } from "../src/net/backoff";
import type { FromWorker, Place } from "../src/net/link";
import { Outbox, tooOldMS } from "../src/net/outbox";
import { answerMS, deadMS, Pulse, quietMS } from "../src/net/pulse";
import { Sync } from "../src/net/sync";
import { canvasFileBytes } from "../src/wire/canvas-file";
import { parse } from "../src/wire/messages";
import { noticeFor } from "../src/ui/banner";
import { formatLink, formatShare, parseLink, unshare } from "../src/camera/link";
import { equal, test } from "./harness";

const place = (number: number): Place => ({ number, x: 0, y: 0, color: 0, atMS: 0 });
const refusal = (number: number, code: number) => ({ number, code, retryAfterMS: 1000 });
const placed = (number: number, seq: number) => ({ kind: "placed" as const, number, shard: 2, seq, timeMS: 0, allowance: { available: 0, max: 1, nextMS: 0 } });

test("waits lie between nothing and a bound that doubles up to 30 s", () => {
  equal([0, 1, 2, 5, 6, 50].map((tries) => fullJitter(tries, () => 1)), [500, 1000, 2000, 16_000, 30_000, 30_000]);
  equal(fullJitter(9, () => 0), 0);
  equal([0, 0.5, 1].map((r) => spread(1000, 3000, () => r)), [1000, 2000, 3000]);
});

test("what was not answered is sent again in order after a reconnect", () => {
  const sent: number[] = [];
  const box = new Outbox([], (p) => sent.push(p.number));
  for (const n of [1, 2, 3]) box.add(place(n), true);
  box.placed(placed(2, 7));
  box.add(place(4), false);
  sent.length = 0;
  box.reopen(0);
  equal(sent, [1, 3, 4]);
});

test("what may be stored is asked for until the server has looked it up", () => {
  const sent: number[] = [];
  const due: (() => void)[] = [];
  const box = new Outbox([place(1)], (p) => sent.push(p.number), (_ms, then) => due.push(then)); // 1 is from before a reload
  box.reopen(0);
  box.add(place(2), true);
  box.add(place(3), true);
  equal([box.refused(refusal(1, 13)), box.refused(refusal(2, 13))], [false, true], "final on the first connection");
  box.reopen(0);
  sent.length = 0;
  due.pop()?.(); // of the connection before
  equal(sent, []);
  equal([13, 14, 17].map((code) => box.refused(refusal(3, code))), [false, false, false]);
  due.pop()?.();
  equal([sent, box.length], [[3], 2]);
  equal([box.refused(refusal(1, 5)), box.refused(refusal(3, 11))], [true, true], "what the server looked up is final");
  for (const send of due) send();
  equal([sent, box.length], [[3], 0]);
});

test("no more than 64 are under way at once", () => {
  const sent: number[] = [];
  const box = new Outbox(Array.from({ length: 100 }, (_, i) => place(i + 1)), (p) => sent.push(p.number));
  box.reopen(0);
  equal(sent.length, 64);
  box.refused(refusal(10, 5));
  equal(sent.at(-1), 65);
});

test("what is older than the server's memory is not sent again", () => {
  const sent: number[] = [];
  const box = new Outbox([place(1), { ...place(2), atMS: 5_000 }], (p) => sent.push(p.number));
  equal([box.reopen(tooOldMS), box.reopen(tooOldMS + 1), sent, box.length], [[], [1], [1, 2, 2], 1]);
  equal(box.refused(refusal(1, 13)), false, "an answer that comes after all");
});

test("a placement settles when the copy has reached its seq", () => {
  const box = new Outbox([place(1), place(2)], () => {});
  box.placed(placed(1, 7));
  box.placed(placed(2, 9));
  equal([box.settle(2, 6), box.settle(3, 99), box.settle(2, 8), box.shards(), box.settle(2, 9)], [[], [], [1], [2], [2]]);
});

test("an answer to an unknown number is not settled", () => {
  const box = new Outbox([], () => {});
  box.placed(placed(5, 1));
  equal(box.settle(2, 99), []);
});

/** A canvas of 3 × 1 whose one shard shows the given pixels at seq. */
function canvasFile(seq: number, packed: string): Uint8Array<ArrayBuffer> {
  const text = `505743310100000000000000030001000401` + `00${seq.toString(16).padStart(2, "0")}00000000000000` + "0000000000000000" + packed;
  return Uint8Array.from(text.match(/../g) ?? [], (h) => parseInt(h, 16));
}

test("the first bytes of a canvas file say how long it is", () => {
  const file = canvasFile(5, "1230");
  equal([canvasFileBytes(file), canvasFileBytes(file.subarray(0, 35)), canvasFileBytes(file.subarray(0, 34)), canvasFileBytes(file.subarray(0, 3))], [file.length, file.length, null, null]);
});

const config = { version: 1, width: 3, height: 1, bits: 4 as const, blank: 0, cooldownMS: 0, max: 1, tickMS: 1000, readOnly: false, colors: [] };

/** A sync whose canvas is served from memory, with what it says and tells. */
async function synced(file: () => Uint8Array<ArrayBuffer>) {
  const sent: Uint8Array[] = [];
  const told: FromWorker[] = [];
  const real = globalThis.fetch;
  globalThis.fetch = () => Promise.resolve(new Response(file()));
  let changed: () => void = () => {};
  const until = async (done: () => boolean) => {
    while (!done()) await new Promise<void>((resolve) => (changed = resolve));
  };
  const sync = new Sync("http://test.invalid/canvas", {
    send: (m) => {
      sent.push(m);
      changed();
    },
    post: (m) => {
      told.push(m);
      changed();
    },
    reached: () => {},
    owed: () => [],
    sleep: () => Promise.resolve(),
  });
  sync.join(1n, config);
  await until(() => sent.length === 1);
  return { sync, sent, told, until, restore: () => (globalThis.fetch = real) };
}

const lastWatch = (sent: Uint8Array[]) => Array.from(sent.at(-1) ?? []).slice(9);

test("joining fetches the canvas and watches from its seq", async () => {
  const s = await synced(() => canvasFile(5, "1230"));
  s.restore();
  equal(lastWatch(s.sent), [0, 1, 0, 6]);
});

test("a check that differs fetches the shard anew and says so", async () => {
  let seq = 5;
  const s = await synced(() => canvasFile(seq, "1230"));
  s.sync.catchUp({ kind: "catchup", shard: 0, from: 5, to: 5, timeTenths: 0, param: 0, payload: new Uint8Array(0) });
  s.sync.check(0, 5, s.sync.reference?.crc(0) ?? 0);
  s.sync.check(0, 4, 1);
  equal(s.sent.length, 1, "messages after good checks");
  seq = 9;
  s.sync.check(0, 5, 1);
  await s.until(() => s.sent.length === 2);
  s.restore();
  equal(lastWatch(s.sent), [1, 1, 0, 10], "reason, count, shard, position");
});

test("a resync fetches the shard and watches from the new seq", async () => {
  let seq = 5;
  const s = await synced(() => canvasFile(seq, "1230"));
  seq = 20;
  s.sync.resync(1, [0]);
  await s.until(() => lastWatch(s.sent)[3] === 21);
  s.restore();
  equal(s.told.filter((m) => m.kind === "shards").length, 2);
});

test("a hidden page watches nothing, and goes on from its seq", async () => {
  const s = await synced(() => canvasFile(5, "1230"));
  s.sync.hide(true);
  equal(lastWatch(s.sent), [0, 0]);
  s.sync.hide(false);
  s.restore();
  equal(lastWatch(s.sent), [0, 1, 0, 6]);
});

test("what a page missed while it was hidden is caught up and is no news, what follows is", async () => {
  const s = await synced(() => canvasFile(5, "1230"));
  s.sync.hide(true);
  s.sync.hide(false);
  s.restore();
  s.sync.catchUp({ kind: "catchup", shard: 0, from: 5, to: 6, timeTenths: 0, param: 0, payload: Uint8Array.of(0b0_0101_111) });
  s.sync.batch({ kind: "batch", coding: 0, param: 1, shard: 0, advance: 1, timeAdvance: 5, payload: Uint8Array.of(0b0_0_1001_11) });
  equal(s.told.flatMap((m) => (m.kind === "pixels" ? [[m.fresh, ...m.changes]] : [])), [[false, 5], [true, 9]]);
  equal(s.sync.reference?.copies.get(0)?.seq, 7);
});

test("a message of an unknown type is skipped", () => {
  equal(parse(Uint8Array.of(0x7f, 1, 2, 3)), null);
});

test("trailing bytes of a known message are ignored", () => {
  equal(parse(Uint8Array.of(0x47, 5, 9, 9)), { kind: "presence", online: 5 });
});

test("a link is read and written", () => {
  equal(parseLink("#120,44,16"), { x: 120, y: 44, scale: 16 });
  equal(parseLink("#120,44,0.35"), { x: 120, y: 44, scale: 0.35 });
  equal(parseLink("#120,44"), { x: 120, y: 44, scale: null });
  for (const bad of ["", "#", "#1", "#a,b", "#1,2,x", "#-1,2,3", "#1,2,3,4", "#99999,1,1"]) equal(parseLink(bad), null, bad);
  equal(formatLink(120.7, 44.2, 16.007), "#120,44,16.01");
});

test("a share link becomes the place in the address, and other parameters stay", () => {
  equal(unshare("?x=120&y=44&zoom=16", ""), "/#120,44,16");
  equal(unshare("?debug&x=120&y=44&renderer=2d", ""), "/?debug&renderer=2d#120,44");
  equal(unshare("?x=1&y=2&zoom=3", "#7,8,9"), "/#7,8,9", "the address of a place that was looked at since");
  for (const other of ["", "?debug", "?x=1", "?x=1&y=b", "?x=-1&y=2", "?x=1&y=2&zoom=<b>", "?y=2&zoom=3"]) equal(unshare(other, ""), null, other);
  const share = new URL(formatShare(120.7, 44.2, 16.007), "https://wall.example");
  equal(unshare(share.search, share.hash), "/#120,44,16.01");
});

test("a connection that is silent is asked, doubted, and given up", () => {
  const p = new Pulse(0);
  p.asked(0);
  p.hear(100);
  equal([p.look(5_000), p.look(100 + quietMS + 1)], ["well", "ask"]);
  p.asked(9_000);
  equal([p.look(9_000 + answerMS), p.look(9_000 + answerMS + 1), p.look(100 + deadMS), p.look(100 + deadMS + 1)], ["well", "doubtful", "doubtful", "dead"]);
  p.hear(29_000);
  equal(p.look(29_100), "ask", "its clock, after 20 s");
});

test("a question is urgent until something is heard", () => {
  const p = new Pulse(0);
  p.asked(1_000, true);
  p.asked(2_000);
  equal([p.look(2_000 + answerMS), p.look(2_000 + answerMS + 1), p.urgent], ["well", "doubtful", true]);
  p.hear(7_000);
  p.asked(20_000);
  equal([p.look(20_000 + answerMS + 1), p.urgent], ["doubtful", false]);
});

const facts = { state: { kind: "live" } as const, readOnly: false, newBuild: false, signedIn: true, slow: false, keptMS: null, nowMS: 0 };

test("the banner tells the gravest thing, and nothing when all is well", () => {
  equal(noticeFor(facts), null);
  equal(noticeFor({ ...facts, newBuild: true })?.button, "reload");
  equal(noticeFor({ ...facts, newBuild: true, readOnly: true })?.text.startsWith("Read-only"), true);
  equal(noticeFor({ ...facts, state: { kind: "waiting", retryAtMS: 2500 } })?.text, "Connection lost. Trying again in 3 seconds");
  equal(noticeFor({ ...facts, state: { kind: "silent" } })?.button, "try");
  equal([false, true].map((slow) => noticeFor({ ...facts, state: { kind: "connecting" }, slow })?.button), [undefined, "try"]);
  equal(noticeFor({ ...facts, state: { kind: "polling" }, readOnly: true })?.text.includes("WebSocket"), true);
  const offline = noticeFor({ ...facts, state: { kind: "connecting" }, keptMS: Date.UTC(2026, 10, 15, 12) });
  equal(/^You are offline\. This is the canvas of your last visit \(Nov 1[456], 2026, .+\)\.$/.test(offline?.text ?? ""), true, offline?.text);
});

test("a banner that counts says one sentence to who listens", () => {
  const spoken = [1000, 2000, 9000].map((retryAtMS) => noticeFor({ ...facts, state: { kind: "waiting", retryAtMS } })?.spoken);
  equal(new Set(spoken).size, 1);
});
