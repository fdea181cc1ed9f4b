import { fullJitter, spread } from "../src/net/backoff";
import { Client } from "../src/net/client";
import type { FromWorker, Place } from "../src/net/link";
import { Outbox, sendBurst, sendEveryMS, tooOldMS } from "../src/net/outbox";
import { answerMS, deadMS, Pulse, quietMS } from "../src/net/pulse";
import { Sync } from "../src/net/sync";
import { canvasFileBytes } from "../src/wire/canvas-file";
import { Writer } from "../src/wire/fields";
import { parse } from "../src/wire/messages";
import { noticeFor } from "../src/ui/banner";
import { formatLink, formatShare, parseLink, unshare } from "../src/camera/link";
import { equal, test } from "./harness";

const place = (number: number): Place => ({ number, x: 0, y: 0, color: 0, atMS: 0 });
const refusal = (number: number, code: number) => ({ number, code, retryAfterMS: 1000 });
const placed = (number: number, seq: number) => ({ kind: "placed" as const, number, shard: 2, seq, timeMS: 0, allowance: { available: 0, max: 1, nextMS: 0 } });

test("waits lie between nothing and a bound that doubles up to 30 s", () => {
  equal([1, 2, 5, 6, 50].map((tries) => fullJitter(tries, () => 1)), [1000, 2000, 16_000, 30_000, 30_000]);
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

/** An outbox with what it sends, and what it does later: the answers that it waits for, and its next message. */
function outbox(unanswered: Place[]) {
  const sent: number[] = [];
  const retries: (() => void)[] = [];
  const paced: (() => void)[] = [];
  const box = new Outbox(unanswered, (p) => sent.push(p.number), (ms, then) => (ms === sendEveryMS ? paced : retries).push(then));
  /** Lets time go by for n messages. */
  const pass = (n: number) => {
    for (let i = 0; i < n; i++) paced.shift()?.();
  };
  return { box, sent, retries, pass };
}

test("what may be stored is asked for until the server has looked it up", () => {
  const { box, sent, retries } = outbox([place(1)]); // from before a reload
  box.reopen(0);
  box.add(place(2), true);
  box.add(place(3), true);
  equal([box.refused(refusal(1, 13), 0), box.refused(refusal(2, 13), 0)], [null, 13], "final on the first connection");
  box.reopen(0);
  sent.length = 0;
  retries.pop()?.(); // of the connection before
  equal(sent, []);
  equal([13, 14, 17].map((code) => box.refused(refusal(3, code), 0)), [null, null, null]);
  retries.pop()?.();
  equal([sent, box.length], [[3], 2]);
  equal([box.refused(refusal(1, 5), 0), box.refused(refusal(3, 11), 0)], [5, 11], "what the server looked up is final");
  for (const send of retries) send();
  equal([sent, box.length], [[3], 0]);
});

test("a refusal that says nothing of an earlier sending is told as an unknown outcome", () => {
  const { box } = outbox([1, 2, 3, 4, 5].map(place));
  box.reopen(0);
  equal([3, 4, 6].map((code, i) => box.refused(refusal(i + 1, code), 0)), [11, 11, 11], "out_of_canvas, unknown_color, unauthorized");
  equal([box.refused(refusal(4, 13), tooOldMS - 1000), box.refused(refusal(5, 13), tooOldMS)], [null, 11], "for two minutes");
  box.add(place(6), true);
  equal([box.refused(refusal(6, 3), 0), box.refused(refusal(9, 3), 0)], [3, null], "of a first sending, and of nothing");
});

test("what was not sent on a connection is surely not stored", () => {
  const { box } = outbox(Array.from({ length: sendBurst }, (_, i) => place(i + 1)));
  box.reopen(0);
  box.add(place(99), true); // has to wait for its turn
  box.leave();
  box.reopen(0);
  equal([box.refused(refusal(99, 13), 0), box.refused(refusal(1, 13), 0)], [13, null]);
});

test("however much is sent again, the server's limit holds, and order", () => {
  const { box, sent, pass } = outbox(Array.from({ length: 100 }, (_, i) => place(i + 1)));
  equal(sendBurst + Math.round(1000 / sendEveryMS), 25, "in the first second, of 40");
  box.reopen(0);
  equal(sent.length, sendBurst);
  pass(15);
  box.add(place(101), true);
  equal(sent, Array.from({ length: sendBurst + 15 }, (_, i) => i + 1));
  pass(100);
  equal(sent.length, 64, "under way at once");
  box.refused(refusal(10, 5), 0);
  equal(sent.at(-1), 65);
  pass(2 * sendBurst);
  box.reopen(0); // a burst is saved up again, and no more
  equal(sent.slice(65).length, sendBurst);
  pass(1);
  box.leave();
  pass(sendBurst);
  equal(sent.slice(65).length, sendBurst + 1, "nothing goes out without a connection");
});

test("what is older than the server's memory is not sent again", () => {
  const { box, sent } = outbox([place(1), { ...place(2), atMS: 5_000 }]);
  equal([box.reopen(tooOldMS), box.reopen(tooOldMS + 1), sent, box.length], [[], [1], [1, 2, 2], 1]);
  equal(box.refused(refusal(1, 13), tooOldMS), null, "an answer that comes after all");
});

test("of another user only what was not answered is given up", () => {
  const { box, pass } = outbox(Array.from({ length: 12 }, (_, i) => place(i + 1)));
  box.reopen(0);
  box.placed(placed(3, 7));
  equal([box.giveUp().length, box.length, box.settle(2, 7)], [11, 0, [3]]);
  pass(20);
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

/** A server of that canvas whose WebSockets the test plays; it knows no token. */
function server() {
  class Peer {
    static readonly OPEN = 1;
    readonly readyState = 1;
    readonly sent: number[] = []; // types of messages
    onopen: () => void = () => {};
    onmessage: (e: { data: ArrayBuffer }) => void = () => {};
    constructor() {
      peers.push(this);
      changed();
    }
    send(m: Uint8Array): void {
      this.sent.push(m[0]);
      changed();
    }
    close(): void {}
  }
  const peers: Peer[] = [];
  const told: FromWorker[] = [];
  let changed: () => void = () => {};
  const real = { fetch: globalThis.fetch, WebSocket: globalThis.WebSocket };
  globalThis.WebSocket = Peer as unknown as typeof WebSocket;
  globalThis.fetch = (url, init) => {
    const path = new URL(String(url)).pathname;
    if (new Headers(init?.headers).has("Authorization")) return Promise.resolve(new Response("", { status: 401 }));
    if (path === "/api/v1/session") return Promise.resolve(Response.json({ token: "new", user: { id: "5", name: "guest" }, expires: "2999-01-01T00:00:00Z" }));
    return Promise.resolve(path === "/api/v1/canvas" ? new Response(canvasFile(5, "1230")) : new Response("", { status: 404 }));
  };
  return {
    peers,
    told,
    post: (m: FromWorker) => {
      told.push(m);
      changed();
    },
    until: async (done: () => boolean) => {
      while (!done()) await new Promise<void>((resolve) => (changed = resolve));
    },
    restore: () => Object.assign(globalThis, real),
  };
}

/** An init for a painter; with a max of 0 the server does not know the allowance. */
function init(available: number, max: number): ArrayBuffer {
  const w = new Writer().u8(0x41).varint(1).u64(1n).varint(0);
  w.varint(1).varint(3).varint(1).u8(4).u8(0).varint(5000).varint(2).varint(1000).u8(0).varint(2); // config
  for (let i = 0; i < 2; i++) w.u8(0).u8(0).u8(0).text("");
  w.u64(5n).text("guest").varint(available).varint(max).varint(0).varint(0).varint(1).text("").text("/api/v1/canvas");
  return w.varint(1).u8(0).varint(5).done().buffer;
}

test("an allowance that the server could not ask for keeps nobody from a try, and what was known stays", async () => {
  const s = server();
  const start = { origin: "http://test.invalid", instance: 1n, session: { token: "t", name: "", expires: Infinity }, unanswered: [] };
  void new Client(start, s.post).run();
  await s.until(() => s.peers.length === 1);
  const [peer] = s.peers;
  const allowances = () => s.told.flatMap((m) => (m.kind === "allowance" ? [[m.allowance.available, m.allowance.max]] : []));
  peer.onopen();
  peer.onmessage({ data: init(0, 0) });
  equal(allowances(), [[2, 2]]);
  peer.onmessage({ data: init(1, 2) });
  peer.onmessage({ data: init(0, 0) });
  equal(allowances(), [[2, 2], [1, 2]]);
  await s.until(() => peer.sent.includes(0x02));
  s.restore();
});

test("what another user left unanswered is given up, and not painted again", async () => {
  const s = server();
  const start = { origin: "http://test.invalid", instance: 1n, session: { token: "t", name: "", expires: 0 }, unanswered: [{ ...place(1), atMS: Date.now() }] };
  void new Client(start, s.post).run();
  await s.until(() => s.peers.length === 1);
  const [peer] = s.peers;
  peer.onopen();
  peer.onmessage({ data: init(1, 1) });
  equal(s.told.flatMap<unknown>((m) => (m.kind === "refused" ? [[m.number, m.code]] : m.kind === "session" ? [m.session.token] : [])), [[1, 7], "new"]);
  await s.until(() => peer.sent.includes(0x02));
  s.restore();
  equal(peer.sent.includes(0x03), false, "placed again");
});

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
