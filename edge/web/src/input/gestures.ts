// Pointers in, intents out: hover, tap, hold, aim, pan, fling, pinch. A finger or
// button that moved, and every finger of a pinch, never ends in a tap; a finger
// that rested first aims instead of panning, and taps where it lifts.

import { Velocity } from "./velocity";

export type PointerKind = "mouse" | "touch" | "pen";

export interface Point {
  id: number;
  kind: PointerKind;
  x: number;
  y: number;
  timeMS: number;
}

export interface Intents {
  hover(x: number, y: number): void;
  tap(x: number, y: number, kind: PointerKind, timeMS: number): void;
  hold(x: number, y: number): void;
  /** A finger rests, then moves. ripe: lifting now is a hold. False: there is nothing to aim at here. */
  aim(x: number, y: number, ripe: boolean): boolean;
  aimed(): void;
  /** A pointer comes down. True: it held a moving canvas, which is no tap. */
  grab(): boolean;
  pan(dx: number, dy: number): void;
  fling(vx: number, vy: number): void;
  pinch(factor: number, x: number, y: number): void;
  /** Calls f after ms unless the returned function is called before. */
  later(ms: number, f: () => void): () => void;
}

export const mouseSlop = 4;
export const touchSlop = 10;
export const aimMS = 300;
export const holdMS = 700;

interface Finger extends Point {
  startX: number;
  startY: number;
}

export class Gestures {
  private readonly fingers = new Map<number, Finger>();
  private readonly velocity = new Velocity();
  private moved = false; // since the first finger went down
  private aiming = false;
  private ripe = false;
  private cancelHold: () => void = () => {};

  constructor(private readonly intents: Intents) {}

  down(p: Point): void {
    this.fingers.set(p.id, { ...p, startX: p.x, startY: p.y });
    this.cancelHold();
    this.velocity.clear();
    if (this.fingers.size > 1) {
      this.endAim();
      this.moved = true; // two fingers are a pinch, also when they lie still
      return;
    }
    this.velocity.add(p);
    this.moved = this.intents.grab();
    if (p.kind === "mouse" || this.moved) return;
    this.cancelHold = this.intents.later(aimMS, () => {
      this.aiming = this.intents.aim(p.x, p.y, false);
      this.cancelHold = this.intents.later(holdMS - aimMS, () => this.ripen(p));
    });
  }

  move(p: Point): void {
    const finger = this.fingers.get(p.id);
    if (!finger) {
      if (p.kind !== "touch") this.intents.hover(p.x, p.y);
      return;
    }
    if (this.aiming) return this.follow(finger, p);
    if (this.fingers.size > 1) this.stretch(finger, p);
    else if (this.drags(finger, p)) this.intents.pan(p.x - finger.x, p.y - finger.y);
    else return; // held back until it is a pan, which then starts from where it began
    this.velocity.add(p);
    finger.x = p.x;
    finger.y = p.y;
  }

  up(p: Point): void {
    if (!this.fingers.delete(p.id)) return;
    this.cancelHold();
    if (this.fingers.size > 0) return this.velocity.clear();
    if (this.aiming) {
      const { ripe } = this;
      this.endAim();
      if (ripe) this.intents.hold(p.x, p.y);
      else this.intents.tap(p.x, p.y, p.kind, p.timeMS);
    } else if (this.moved) {
      const { vx, vy } = this.velocity.at(p.timeMS);
      if (vx !== 0 || vy !== 0) this.intents.fling(vx, vy);
    } else this.intents.tap(p.x, p.y, p.kind, p.timeMS);
  }

  cancel(id: number): void {
    this.fingers.delete(id);
    this.moved = true;
    this.cancelHold();
    this.endAim();
    this.velocity.clear();
  }

  private ripen(p: Point): void {
    if (this.aiming) {
      this.ripe = true;
      this.intents.aim(p.x, p.y, true);
      return;
    }
    this.moved = true; // the finger that held does not tap as well
    this.intents.hold(p.x, p.y);
  }

  private follow(finger: Finger, p: Point): void {
    if (Math.hypot(p.x - finger.startX, p.y - finger.startY) >= touchSlop) {
      this.cancelHold();
      this.ripe = false;
    }
    this.intents.aim(p.x, p.y, this.ripe);
  }

  private endAim(): void {
    if (this.aiming) this.intents.aimed();
    this.aiming = this.ripe = false;
  }

  private drags(finger: Finger, p: Point): boolean {
    if (this.moved) return true;
    const slop = p.kind === "mouse" ? mouseSlop : touchSlop;
    if (Math.hypot(p.x - finger.startX, p.y - finger.startY) < slop) return false;
    this.moved = true;
    this.cancelHold();
    return true;
  }

  private stretch(finger: Finger, p: Point): void {
    const others = [...this.fingers.values()].filter((f) => f !== finger);
    const other = others[0];
    const before = Math.max(1, Math.hypot(finger.x - other.x, finger.y - other.y));
    const after = Math.max(1, Math.hypot(p.x - other.x, p.y - other.y));
    // The middle between the two fingers moves by half of what one moves.
    this.intents.pan((p.x - finger.x) / 2, (p.y - finger.y) / 2);
    this.intents.pinch(after / before, (p.x + other.x) / 2, (p.y + other.y) / 2);
  }
}
