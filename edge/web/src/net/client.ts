// The connection's life: session, WebSocket, init, then messages until it ends,
// a wait, and again. sync.ts keeps the canvas, outbox.ts the placements.

import type { Copy } from "../board/reference";
import { WireError } from "../wire/errors";
import { keep } from "../offline/kept";
import { formatCanvasFile } from "../wire/canvas-file";
import { parse, type Allowance, type Config, type Init, type Message, type Refusal } from "../wire/messages";
import { canRange, hello, ping, place } from "../wire/requests";
import { fullJitter, spread } from "./backoff";
import { answers, fetchInfo, infoBody, openSession, StatusError } from "./http";
import { canvasReplaced, expired, tokenExpired, type FromWorker, type LinkState, type Place, type Report, type Session } from "./link";
import { Outbox } from "./outbox";
import { Pulse } from "./pulse";
import { Socket, type Ending } from "./socket";
import { Sync } from "./sync";

const heartbeatMS = 2_000;
const livedMS = 10_000; // a connection that lasted this long was a good one
const renewBeforeMS = 60 * 60_000;
const blockedAfter = 2; // connects in a row that never opened while HTTP worked
const pollMinMS = 5_000;
const pollMaxMS = 10_000;
const hideAfterMS = 60_000;
const signInEveryMS = 30_000;
const keepEveryMS = 120_000;
const hopelessMS = 2_000; // a connect that is older when the network changes was begun on another one

const closeOutdated = 4002;
const closeToken = 4003;

export interface Start {
  origin: string;
  instance: bigint;
  session: Session | null;
  unanswered: Place[];
}

export class Client {
  private readonly sync: Sync;
  private readonly outbox: Outbox;
  private socket: Socket | null = null;
  private session: Session | null;
  private state: LinkState = { kind: "connecting" };
  private ready = false; // init has come on this connection
  private bye: { minMS: number; maxMS: number } | null = null;
  private build = "";
  private pulse = new Pulse(0);
  private askedSessionAt = 0;
  private config: Config | null = null;
  private rested = false; // an allowance was heard of, so the page counts on from it
  private kept = ""; // which state of the canvas was kept last
  private keptAt = 0;
  private bestRoundTripMS = Infinity;
  private aheadMS = 0; // the server's clock, of that reading
  private hideTimer = 0;
  private readonly pauses = new Set<() => void>(); // each ends one
  private connectingSince = 0;
  private hurried = false; // somebody asked for the next try at once

  constructor(private readonly start: Start, private readonly post: (m: FromWorker, transfer?: Transferable[]) => void) {
    this.session = start.session;
    this.outbox = new Outbox(start.unanswered, (p) => this.socket?.send(place(p.number, p.x, p.y, p.color)));
    this.sync = new Sync(`${start.origin}/api/v1/canvas`, {
      send: (message) => this.socket?.send(message),
      post,
      reached: (shard, seq) => {
        for (const number of this.outbox.settle(shard, seq)) post({ kind: "settled", number });
      },
      owed: () => this.outbox.shards(),
      sleep: (ms) => this.pause(ms).then(() => {}),
    });
  }

  /** Runs for the life of the page. */
  async run(): Promise<void> {
    setInterval(() => this.heartbeat(), heartbeatMS);
    void this.showByHTTP();
    let tries = 0;
    let blocked = 0;
    for (let unopened = 0; ; ) {
      this.enter({ kind: "connecting" });
      await this.ensureSession();
      const from = Date.now();
      const ending = await this.connect();
      const welcomed = this.ready;
      this.hangUp();
      if (ending.code === closeOutdated) return this.enter({ kind: "outdated" });
      if (ending.code === closeToken) this.session = this.session && { ...this.session, expires: 0 };
      tries = welcomed && Date.now() - from >= livedMS ? 1 : tries + 1;
      unopened = ending.opened ? 0 : unopened + 1;
      const hurried = this.hurried;
      this.hurried = false;
      if (hurried) continue;
      let waitMS = fullJitter(tries, Math.random);
      if (this.bye) waitMS = spread(this.bye.minMS, this.bye.maxMS, Math.random);
      this.bye = null;
      // One failure is nothing to ask about; a server that just restarts lets
      // HTTP through a moment before the next connect, but not twice.
      blocked = unopened > 1 && (await answers(this.start.origin)) ? blocked + 1 : 0;
      if (blocked >= blockedAfter && (await this.pollWhile())) continue;
      this.enter({ kind: "waiting", retryAtMS: Date.now() + waitMS });
      await this.pause(waitMS);
    }
  }

  view(shards: number[]): void {
    this.sync.view(shards);
  }

  /** Shards that are followed wherever the page looks. */
  pin(shards: number[]): void {
    this.sync.pin(shards);
  }

  copyOf(shard: number): Copy | undefined {
    return this.sync.reference?.copies.get(shard);
  }

  /** A page in the background stops watching after a while. */
  hide(hidden: boolean): void {
    clearTimeout(this.hideTimer);
    if (hidden) this.keep();
    if (!hidden) this.sync.hide(false);
    else this.hideTimer = setTimeout(() => this.sync.hide(true), hideAfterMS) as unknown as number;
  }

  place(p: Place): void {
    this.outbox.add(p, this.ready);
  }

  /** Ends a wait or a connect that takes too long, or asks a connection that seems to live whether it does. */
  wake(why: "person" | "network" | "shown"): void {
    for (const end of this.pauses) end();
    if (this.socket && !this.socket.open && performance.now() - this.connectingSince > hopelessMS) {
      this.hurried = true;
      this.socket.close();
    } else if (this.state.kind === "silent" && why === "person") this.socket?.close();
    else if (this.ready) this.ping(why === "network");
  }

  report(): Report {
    const reference = this.sync.reference;
    const shards = [...(reference?.copies ?? [])].map(([shard, copy]) => ({
      shard, seq: copy.seq, crc: reference?.crc(shard) ?? 0, watched: this.sync.isWatched(shard) && copy.continuous,
    }));
    return {
      canvas: reference ? reference.canvas.toString(16).padStart(16, "0") : "",
      state: this.state.kind, shards, unanswered: this.outbox.length, decodeMS: this.sync.decodeMS,
    };
  }

  private enter(state: LinkState): void {
    // Tries in vain do not change what the page says while it polls.
    if (this.state.kind === "polling" && state.kind === "connecting") return;
    this.state = state;
    this.post({ kind: "state", state });
  }

  private configure(config: Config): void {
    this.config = config;
    this.post({ kind: "config", config });
  }

  /** Keeps what a live connection has shown, for a visit without the network. */
  private keep(): void {
    const { reference } = this.sync;
    if (!this.ready || !this.config || !reference || reference.copies.size === 0) return;
    const file = reference.file();
    const state = [file.canvas, this.config.version, ...file.shards.map((s) => s.seq)].join();
    this.keptAt = Date.now();
    if (state === this.kept) return;
    this.kept = state;
    void keep(infoBody(this.config), formatCanvasFile(file), this.keptAt);
  }

  private async showByHTTP(): Promise<void> {
    this.sync.follow();
    for (let tries = 0; !this.config; tries++) {
      try {
        const { config, keptMS } = await fetchInfo(this.start.origin);
        if (this.config) return; // init said the same
        this.configure(config);
        if (keptMS !== null) this.post({ kind: "kept", timeMS: keptMS });
      } catch {
        await this.pause(fullJitter(tries, Math.random));
      }
    }
  }

  /** One look at the canvas over HTTP; palette and size may have grown since the last. */
  private async poll(): Promise<void> {
    const { config } = await fetchInfo(this.start.origin);
    this.sync.configure(config);
    this.configure(config);
    await this.sync.poll();
  }

  /** Sees to a session that lasts; the same user's, wherever the server takes the old token. */
  private async ensureSession(): Promise<void> {
    if (this.session && this.session.expires - Date.now() > renewBeforeMS) return;
    this.askedSessionAt = Date.now();
    try {
      const renewed = this.session && (await this.renew(this.session.token));
      if (!renewed) this.session = null; // or each connection would end by it, where no new guest is to be had either
      this.session = renewed ?? (await openSession(this.start.origin, null));
      if (!renewed) this.disown();
      this.post({ kind: "session", session: this.session });
    } catch {
      // Without a session the page watches; the heartbeat asks again.
    }
  }

  /** Another session of the same user; null where the token is refused, and with it the name. */
  private async renew(token: string): Promise<Session | null> {
    try {
      return await openSession(this.start.origin, token);
    } catch (err) {
      if (err instanceof StatusError && err.status === 401) return null;
      throw err;
    }
  }

  /** A watcher becomes a painter as soon as there is a session to be had. */
  private async signIn(): Promise<void> {
    await this.ensureSession();
    if (this.session && this.ready) this.socket?.close();
  }

  private connect(): Promise<Ending> {
    const url = `${this.start.origin.replace(/^http/, "ws")}/ws`;
    this.connectingSince = performance.now();
    this.pulse = new Pulse(this.connectingSince);
    const socket = new Socket(
      url,
      () => socket.send(hello(this.start.instance, canRange, this.session?.token ?? "")),
      (bytes) => this.hear(bytes),
    );
    this.socket = socket;
    return socket.ended;
  }

  private hangUp(): void {
    this.keep();
    this.socket?.close();
    this.socket = null;
    this.ready = false;
    this.outbox.leave();
    this.bestRoundTripMS = Infinity;
    this.sync.leave();
  }

  /** Shows the canvas over HTTP until the next try is due; false where HTTP fails too. */
  private async pollWhile(): Promise<boolean> {
    for (let round = 0; round < 3; round++) {
      try {
        await this.poll();
      } catch {
        return false;
      }
      this.enter({ kind: "polling" });
      if (await this.pause(spread(pollMinMS, pollMaxMS, Math.random))) return true;
    }
    return true;
  }

  /** Waits; true when wake ended it. */
  private pause(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (woken: boolean) => {
        clearTimeout(timer);
        this.pauses.delete(wake);
        resolve(woken);
      };
      const wake = () => end(true);
      const timer = setTimeout(() => end(false), ms);
      this.pauses.add(wake);
    });
  }

  private heartbeat(): void {
    if (!this.socket) return;
    const now = Date.now();
    const finding = this.pulse.look(performance.now());
    if (finding === "dead") this.socket.close();
    else if (this.ready && finding === "ask") this.ping();
    // An answer may wait behind a catch-up that takes long on a slow line.
    else if (finding === "doubtful" && !this.sync.catchingUp) this.doubt();
    if (now - this.keptAt > keepEveryMS) this.keep();
    if (this.ready && !this.session && now - this.askedSessionAt > signInEveryMS) void this.signIn();
  }

  private doubt(): void {
    if (this.pulse.urgent) this.socket?.close();
    else if (this.state.kind === "live") this.enter({ kind: "silent" });
  }

  private ping(urgent = false): void {
    const now = Date.now();
    this.pulse.asked(performance.now(), urgent);
    this.socket?.send(ping(now));
  }

  private hear(bytes: Uint8Array): void {
    this.pulse.hear(performance.now());
    if (this.state.kind === "silent") this.enter({ kind: "live" });
    let m: Message | null;
    try {
      m = parse(bytes);
    } catch (err) {
      if (!(err instanceof WireError)) throw err;
      // Which copy it was meant for is unknown, so none can be trusted to go on.
      console.warn("pixelwall: a message does not parse", err);
      this.socket?.close();
      return;
    }
    if (m) this.obey(m);
  }

  private obey(m: Message): void {
    switch (m.kind) {
      case "init": return this.welcome(m);
      case "batch": return this.sync.batch(m);
      case "catchup": return this.sync.catchUp(m);
      case "check": return this.sync.check(m.shard, m.seq, m.crc);
      case "resync": return this.sync.resync(m.reason, m.shards);
      case "config":
        this.sync.configure(m.config);
        return this.configure(m.config);
      case "placed":
        this.outbox.placed(m);
        this.allow(m.allowance);
        this.post({ kind: "placed", number: m.number });
        return this.settle(m.shard);
      case "error":
        if (m.number === 0) console.warn("pixelwall: the server refused a message:", m.message);
        else this.refused(m);
        return;
      case "allowance": return this.allow(m.allowance);
      case "presence": return this.post({ kind: "online", online: m.online });
      case "pong": return this.clock(m.timeMS, Date.now() - m.nonce);
      case "bye":
        this.bye = { minMS: m.waitMinMS, maxMS: m.waitMaxMS };
        return;
    }
  }

  private welcome(m: Init): void {
    this.ready = true;
    this.sync.canvasURL = new URL(m.canvasURL, this.start.origin).href;
    this.clock(m.timeMS, Infinity);
    this.configure(m.config);
    this.post({ kind: "user", user: m.user, name: m.name });
    this.allow(m.allowance);
    // A server that could not look it up does not keep anybody from a try.
    if (!this.rested && m.user !== 0n) this.post({ kind: "allowance", allowance: { available: m.config.max, max: m.config.max, nextMS: 0 } });
    this.post({ kind: "online", online: m.online });
    if (this.build !== "" && this.build !== m.build) this.post({ kind: "build" });
    this.build ||= m.build;
    this.enter({ kind: "live" });
    if (!this.sync.join(m.canvas, m.config)) this.forgetPlacements();
    // Without a session the answer would say nothing of what is stored.
    if (this.session) for (const number of this.outbox.reopen(Date.now())) this.refuse(number, expired, null);
    this.ping();
  }

  /** Another canvas took the old one's place: what was meant for that one is void. */
  private forgetPlacements(): void {
    for (const number of this.outbox.clear()) this.refuse(number, canvasReplaced, null);
  }

  /** Another user would paint anew what the one before may have painted. */
  private disown(): void {
    for (const number of this.outbox.giveUp()) this.refuse(number, tokenExpired, null);
  }

  private refused(m: Refusal): void {
    const code = this.outbox.refused(m, Date.now());
    if (code === null) return;
    this.allow(m.allowance);
    this.refuse(m.number, code, m.allowance.max > 0 ? m.allowance : null);
  }

  private refuse(number: number, code: number, allowance: Allowance | null): void {
    this.post({ kind: "refused", number, code, allowance });
  }

  /** All zero where the server says nothing about it. */
  private allow(allowance: Allowance): void {
    if (allowance.max === 0) return;
    this.rested = true;
    this.post({ kind: "allowance", allowance });
  }

  private settle(shard: number): void {
    const copy = this.sync.reference?.copies.get(shard);
    if (!copy || !this.sync.isWatched(shard)) this.sync.follow();
    if (!copy) return;
    for (const number of this.outbox.settle(shard, copy.seq)) this.post({ kind: "settled", number });
  }

  /** Of all readings of the server's clock the one with the shortest way counts. */
  private clock(timeMS: number, roundTripMS: number): void {
    const wayMS = Number.isFinite(roundTripMS) ? roundTripMS / 2 : 0;
    const aheadMS = timeMS + wayMS - Date.now();
    // A reading is wrong by half its way at most: one that differs by more shows
    // that somebody has set a clock.
    const moved = Math.abs(aheadMS - this.aheadMS) > roundTripMS + this.bestRoundTripMS;
    if (roundTripMS < 0 || (roundTripMS > this.bestRoundTripMS && !moved)) return;
    this.bestRoundTripMS = roundTripMS;
    this.aheadMS = aheadMS;
    this.post({ kind: "clock", aheadMS });
  }
}
