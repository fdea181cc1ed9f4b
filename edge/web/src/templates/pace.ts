// How fast a template comes on, from what was wrong in the last minutes. Time is
// an argument, so it is arithmetic.

const spanMS = 5 * 60_000;
const apartMS = 5_000; // between two samples that are kept
const leastMS = 20_000; // less than this says nothing about a minute

export class Pace {
  private samples: { atMS: number; wrong: number }[] = [];
  private last: { atMS: number; wrong: number } | null = null;

  add(atMS: number, wrong: number): void {
    this.last = { atMS, wrong };
    const newest = this.samples.at(-1);
    if (!newest || atMS - newest.atMS >= apartMS) this.samples.push(this.last);
    while (this.samples.length > 1 && atMS - this.samples[1].atMS >= spanMS) this.samples.shift();
  }

  /** Begins anew: what is counted is another thing now. */
  reset(): void {
    this.samples = [];
    this.last = null;
  }

  /** Pixels a minute that come right, less those that go wrong; null while it is too early to say. */
  perMinute(nowMS: number): number | null {
    const oldest = this.samples[0];
    if (!oldest || !this.last || nowMS - oldest.atMS < leastMS) return null;
    return ((oldest.wrong - this.last.wrong) * 60_000) / (nowMS - oldest.atMS);
  }

  /** How long it takes at this pace, in ms; null when it does not come to an end. */
  remainingMS(nowMS: number): number | null {
    const rate = this.perMinute(nowMS);
    if (rate === null || rate <= 0 || !this.last) return null;
    return (this.last.wrong / rate) * 60_000;
  }
}
