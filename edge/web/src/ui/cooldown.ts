// How long until the next pixel, on the server's clock. Arithmetic only: now is
// an argument, so a reload, a second tab and a wrong local clock all agree.

import type { Allowance } from "../wire/messages";

export class Cooldown {
  private allowance: Allowance | null = null;
  private aheadMS = 0;
  private everyMS = 0;
  private max = 1;

  configure(everyMS: number, max: number): void {
    this.everyMS = everyMS;
    this.max = Math.max(1, max);
  }

  setAllowance(a: Allowance): void {
    this.allowance = a;
  }

  /** Counts a placement that the server has not answered yet. */
  spend(nowMS: number): void {
    if (!this.limited || !this.allowance) return;
    const available = Math.max(0, this.available(nowMS) - 1);
    const rest = this.remainingMS(nowMS);
    this.allowance = { available, max: this.allowance.max, nextMS: this.serverMS(nowMS) + (rest || this.everyMS) };
  }

  /** Takes a spend back: it was refused, and the server did not say what is left. */
  giveBack(nowMS: number): void {
    if (!this.limited || !this.allowance) return;
    const available = Math.min(this.allowance.max, this.available(nowMS) + 1);
    this.allowance = { ...this.allowance, available, nextMS: available === this.allowance.max ? 0 : this.allowance.nextMS };
  }

  /** The server's clock minus this computer's. */
  setAhead(ms: number): void {
    this.aheadMS = ms;
  }

  get limited(): boolean {
    return this.everyMS > 0;
  }

  get most(): number {
    return this.max;
  }

  serverMS(nowMS: number): number {
    return nowMS + this.aheadMS;
  }

  /** How many pixels may be placed now. */
  available(nowMS: number): number {
    if (!this.limited) return this.max;
    const a = this.allowance;
    if (!a) return 0;
    if (a.nextMS === 0) return a.max;
    const past = this.serverMS(nowMS) - a.nextMS;
    const regained = past < 0 ? 0 : 1 + Math.floor(past / this.everyMS);
    return Math.min(a.max, a.available + regained);
  }

  /** How long until one more may be placed; 0 when rested. */
  remainingMS(nowMS: number): number {
    const a = this.allowance;
    if (!this.limited || !a || a.nextMS === 0 || this.available(nowMS) >= a.max) return 0;
    const past = this.serverMS(nowMS) - a.nextMS;
    return past < 0 ? -past : this.everyMS - (past % this.everyMS);
  }

  /** 0 right after a placement, 1 when the next one is there. */
  progress(nowMS: number): number {
    return this.limited ? 1 - Math.min(1, this.remainingMS(nowMS) / this.everyMS) : 1;
  }
}
