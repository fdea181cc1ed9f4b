// Placements under way. What was not answered is sent again after a reconnect,
// with the same numbers, in order; what was answered waits until the reference
// canvas has passed it.

import type { Place } from "./link";
import type { Placed, Refusal } from "../wire/messages";

/** The server takes 64 unanswered placements a connection; what is more waits here. */
const windowMax = 64;

/** The server knows a number for two minutes at least. Later it may take it as new, and nobody waits for it any more. */
export const tooOldMS = 120_000;

/** Refusals for which the server did not look the number up: unavailable, too_many, draining. */
const unasked = [13, 14, 17];

export class Outbox {
  private unanswered: Place[];
  private sent = 0; // of unanswered, on this connection
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
    if (connected) this.flush();
  }

  /** Begins anew on a fresh connection. Returns the numbers that are too old to be sent, now forgotten. */
  reopen(nowMS: number): number[] {
    for (const p of this.unanswered.slice(0, this.sent)) this.unsure.add(p.number);
    const old = this.unanswered.filter((p) => nowMS - p.atMS > tooOldMS).map((p) => p.number);
    this.unanswered = this.unanswered.filter((p) => !old.includes(p.number));
    for (const number of old) this.unsure.delete(number);
    this.sent = 0;
    this.connection++;
    this.flush();
    return old;
  }

  private flush(): void {
    while (this.sent < this.unanswered.length && this.sent < windowMax) this.send(this.unanswered[this.sent++]);
  }

  /** Takes p off the list of what is to be sent again. */
  placed(p: Placed): void {
    if (this.drop(p.number)) this.answered.push({ number: p.number, shard: p.shard, seq: p.seq });
  }

  /** False where it is not final: what may be stored is asked for until the server has looked it up. */
  refused(r: Pick<Refusal, "number" | "code" | "retryAfterMS">): boolean {
    if (!this.unsure.has(r.number) || !unasked.includes(r.code) || r.retryAfterMS === 0) return this.drop(r.number);
    const { connection } = this;
    this.after(r.retryAfterMS, () => {
      const p = this.unanswered.find((p) => p.number === r.number);
      if (p && connection === this.connection) this.send(p);
    });
    return false;
  }

  /** The numbers whose place in the order the copy of shard has reached. */
  settle(shard: number, seq: number): number[] {
    const settled = this.answered.filter((a) => a.shard === shard && a.seq <= seq);
    if (settled.length > 0) this.answered = this.answered.filter((a) => !settled.includes(a));
    return settled.map((a) => a.number);
  }

  /** Forgets everything and returns the numbers of what was under way. */
  clear(): number[] {
    const numbers = [...this.answered, ...this.unanswered].map((p) => p.number);
    this.answered = [];
    this.unanswered = [];
    this.unsure.clear();
    this.sent = 0;
    return numbers;
  }

  /** Shards that must be watched until their answers have come by. */
  shards(): number[] {
    return this.answered.map((a) => a.shard);
  }

  private drop(number: number): boolean {
    const at = this.unanswered.findIndex((p) => p.number === number);
    if (at < 0) return false;
    this.unanswered.splice(at, 1);
    this.unsure.delete(number);
    if (at < this.sent) this.sent--;
    this.flush();
    return true;
  }
}
