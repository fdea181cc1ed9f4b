// This page's side of "one tap is one event": the random instance id, the rising
// number, and what was not answered yet. They are kept together in the tab's
// session storage, so that a reload sends the rest again under the same numbers.

import type { Place } from "./link";

const key = "pixelwall-placements";

interface Kept {
  instance: string;
  next: number;
  unanswered: Place[];
}

export class Placements {
  private constructor(private kept: Kept) {}

  /**
   * Takes over what this tab had before a reload. A duplicated tab inherits the
   * storage of one that still runs; two pages with one instance would take each
   * other's numbers, so the instance is locked for as long as the page lives.
   * Without locks (plain HTTP on another host) each page begins anew.
   */
  static async open(): Promise<Placements> {
    const kept = read();
    if (kept && (await lock(kept.instance))) return new Placements(kept);
    const instance = crypto.getRandomValues(new BigUint64Array(1))[0];
    const fresh = new Placements({ instance: instance.toString(16), next: 1, unanswered: [] });
    await lock(fresh.kept.instance);
    fresh.write();
    return fresh;
  }

  get instance(): bigint {
    return BigInt(`0x${this.kept.instance}`);
  }

  get unanswered(): Place[] {
    return [...this.kept.unanswered];
  }

  /** Numbers a new placement, and keeps it before anybody can send it. */
  add(x: number, y: number, color: number): Place {
    const place = { number: this.kept.next++, x, y, color, atMS: Date.now() };
    this.kept.unanswered.push(place);
    this.write();
    return place;
  }

  answered(number: number): void {
    this.kept.unanswered = this.kept.unanswered.filter((p) => p.number !== number);
    this.write();
  }

  private write(): void {
    try {
      sessionStorage.setItem(key, JSON.stringify(this.kept));
    } catch {
      // No storage here: a reload forgets what was under way, the server does not.
    }
  }
}

function read(): Kept | null {
  try {
    const kept = JSON.parse(sessionStorage.getItem(key) ?? "null") as Kept | null;
    return kept && /^[0-9a-f]{1,16}$/.test(kept.instance) && Array.isArray(kept.unanswered) ? kept : null;
  } catch {
    return null;
  }
}

/** Holds the lock until the page goes; false when another page has it or there are no locks. */
function lock(instance: string): Promise<boolean> {
  if (!navigator.locks) return Promise.resolve(false);
  return new Promise((resolve) => {
    const hold = (held: Lock | null) => {
      resolve(held !== null);
      return held ? new Promise<never>(() => {}) : undefined;
    };
    navigator.locks.request(`pixelwall-${instance}`, { ifAvailable: true }, hold).catch(() => resolve(false));
  });
}
