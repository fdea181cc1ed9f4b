// Placements under way. What was not answered is sent again after a reconnect,
// with the same numbers, in order and no faster than the server takes it; what was
// answered waits until the reference canvas has passed it.

import { expired, type Place } from "./link";
import type { Placed, Refusal } from "../wire/messages";

/** The server takes 64 unanswered placements a connection; what is more waits here. */
const windowMax = 64;

/** The server knows a number for two minutes at least. Later it may take it as new, and nobody waits for it any more. */
export const tooOldMS = 120_000;

/** Refusals that pass: unavailable, too_many, draining. */
const passing = [13, 14, 17];

/** Refusals for which the server did not look the number up: these, and out_of_canvas, unknown_color, unauthorized. */
const unasked = [3, 4, 6, ...passing];

/** The server takes 20 messages a second and 40 at once; some are left for what else the page says. */
export const sendEveryMS = 1000 / 15;
export const sendBurst = 10;

export class Outbox {
  private unanswered: Place[];
  private begun = 0; // of unanswered, on this connection
  private due: Place[] = []; // of them, those that are to be sent as soon as there is room
  private room = sendBurst; // messages that may be sent at once
  private refilling = false;
  private connection = 0;
  private unsure: Set<number>; // sent on an earlier connection, so they may be stored
  private answered: { number: number; shard: number; seq: number }[] = [];

  constructor(
    unanswered: Place[], // of this page before it was loaded again
    private readonly send: (p: Place) => void,
    private readonly after: (ms: number, then: () => void) => void = (ms, then) => void setTimeout(then, ms),
  ) {
    this.unanswered = unanswered;
    this.unsure = new Set(unanswered.map((p) => p.number));
  }

  get length(): number {
    return this.unanswered.length;
  }

  add(p: Place, connected: boolean): void {
    this.unanswered.push(p);
    if (connected) this.begin();
  }

  /** The connection has ended: what it left unanswered may be stored. */
  leave(): void {
    for (const p of this.unanswered.slice(0, this.begun)) if (!this.due.includes(p)) this.unsure.add(p.number);
    this.begun = 0;
    this.due = [];
    this.connection++;
  }

  /** Begins anew on a fresh connection. Returns the numbers that are too old to be sent, now forgotten. */
  reopen(nowMS: number): number[] {
    this.leave();
    const old = this.unanswered.filter((p) => nowMS - p.atMS > tooOldMS).map((p) => p.number);
    this.unanswered = this.unanswered.filter((p) => !old.includes(p.number));
    for (const number of old) this.unsure.delete(number);
    this.begin();
    return old;
  }

  private begin(): void {
    while (this.begun < this.unanswered.length && this.begun < windowMax) this.due.push(this.unanswered[this.begun++]);
    this.flush();
  }

  private flush(): void {
    while (this.room > 0 && this.due.length > 0) {
      const [p] = this.due.splice(0, 1);
      this.room--;
      this.send(p);
    }
    if (this.room === sendBurst || this.refilling) return;
    this.refilling = true;
    this.after(sendEveryMS, () => {
      this.refilling = false;
      this.room++;
      this.flush();
    });
  }

  /** Takes p off the list of what is to be sent again. */
  placed(p: Placed): void {
    if (this.drop(p.number)) this.answered.push({ number: p.number, shard: p.shard, seq: p.seq });
  }

  /**
   * Returns the code of a final refusal, null of one that is not: what may be stored
   * is asked for until the server has looked it up, or would not know it any more.
   */
  refused(r: Pick<Refusal, "number" | "code" | "retryAfterMS">, nowMS: number): number | null {
    const p = this.unanswered.find((p) => p.number === r.number);
    if (!p) return null;
    const silent = this.unsure.has(r.number) && unasked.includes(r.code);
    if (silent && passing.includes(r.code) && r.retryAfterMS > 0 && nowMS + r.retryAfterMS - p.atMS <= tooOldMS) {
      const { connection } = this;
      this.after(r.retryAfterMS, () => {
        if (!this.unanswered.includes(p) || connection !== this.connection) return;
        this.due.push(p);
        this.flush();
      });
      return null;
    }
    this.drop(r.number);
    return silent ? expired : r.code;
  }

  /** The numbers whose place in the order the copy of shard has reached. */
  settle(shard: number, seq: number): number[] {
    const settled = this.answered.filter((a) => a.shard === shard && a.seq <= seq);
    if (settled.length > 0) this.answered = this.answered.filter((a) => !settled.includes(a));
    return settled.map((a) => a.number);
  }

  /** Forgets everything and returns the numbers of what was under way. */
  clear(): number[] {
    const numbers = [...this.answered.map((a) => a.number), ...this.giveUp()];
    this.answered = [];
    return numbers;
  }

  /** Forgets what was not answered and returns its numbers. */
  giveUp(): number[] {
    const numbers = this.unanswered.map((p) => p.number);
    this.unanswered = [];
    this.unsure.clear();
    this.due = [];
    this.begun = 0;
    return numbers;
  }

  /** Shards that must be watched until their answers have come by. */
  shards(): number[] {
    return this.answered.map((a) => a.shard);
  }

  private drop(number: number): boolean {
    const at = this.unanswered.findIndex((p) => p.number === number);
    if (at < 0) return false;
    const [p] = this.unanswered.splice(at, 1);
    this.unsure.delete(number);
    this.due = this.due.filter((other) => other !== p);
    if (at < this.begun) this.begun--;
    this.begin();
    return true;
  }
}
