// Placements under way. What was not answered is sent again after a reconnect,
// with the same numbers, in order; what was answered waits until the reference
// canvas has passed it.

import type { Place } from "./link";
import type { Placed } from "../wire/messages";

/** The server takes 64 unanswered placements a connection; what is more waits here. */
const windowMax = 64;

export class Outbox {
  private unanswered: Place[];
  private sent = 0; // of unanswered, on this connection
  private answered: { number: number; shard: number; seq: number }[] = [];

  constructor(unanswered: Place[], private readonly send: (p: Place) => void) {
    this.unanswered = unanswered;
  }

  get length(): number {
    return this.unanswered.length;
  }

  add(p: Place, connected: boolean): void {
    this.unanswered.push(p);
    if (connected) this.flush();
  }

  /** Begins anew on a fresh connection. */
  reopen(): void {
    this.sent = 0;
    this.flush();
  }

  private flush(): void {
    while (this.sent < this.unanswered.length && this.sent < windowMax) this.send(this.unanswered[this.sent++]);
  }

  /** Takes p off the list of what is to be sent again. */
  placed(p: Placed): void {
    if (this.drop(p.number)) this.answered.push({ number: p.number, shard: p.shard, seq: p.seq });
  }

  refused(number: number): boolean {
    return this.drop(number);
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
    if (at < this.sent) this.sent--;
    this.flush();
    return true;
  }
}
