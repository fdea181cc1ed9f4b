// Pointers in, intents out: hover, tap, hold, pan, pinch. A finger or button
// that moved, and every finger of a pinch, never ends in a tap.

export type PointerKind = "mouse" | "touch" | "pen";

export interface Point {
  id: number;
  kind: PointerKind;
  x: number;
  y: number;
}

export interface Intents {
  hover(x: number, y: number): void;
  tap(x: number, y: number, kind: PointerKind): void;
  hold(x: number, y: number): void;
  pan(dx: number, dy: number): void;
  pinch(factor: number, x: number, y: number): void;
  /** Calls f after ms unless the returned function is called before. */
  later(ms: number, f: () => void): () => void;
}

export const mouseSlop = 4;
export const touchSlop = 10;
export const holdMS = 550;

interface Finger extends Point {
  startX: number;
  startY: number;
}

export class Gestures {
  private readonly fingers = new Map<number, Finger>();
  private moved = false; // since the first finger went down
  private cancelHold: () => void = () => {};

  constructor(private readonly intents: Intents) {}

  down(p: Point): void {
    this.fingers.set(p.id, { ...p, startX: p.x, startY: p.y });
    this.cancelHold();
    if (this.fingers.size > 1) {
      this.moved = true; // two fingers are a pinch, also when they lie still
      return;
    }
    this.moved = false;
    if (p.kind === "mouse") return;
    this.cancelHold = this.intents.later(holdMS, () => {
      this.moved = true; // the finger that held does not tap as well
      this.intents.hold(p.x, p.y);
    });
  }

  move(p: Point): void {
    const finger = this.fingers.get(p.id);
    if (!finger) {
      if (p.kind !== "touch") this.intents.hover(p.x, p.y);
      return;
    }
    if (this.fingers.size > 1) this.stretch(finger, p);
    else if (this.drags(finger, p)) this.intents.pan(p.x - finger.x, p.y - finger.y);
    else return; // held back until it is a pan, which then starts from where it began
    finger.x = p.x;
    finger.y = p.y;
  }

  up(p: Point): void {
    if (!this.fingers.delete(p.id)) return;
    this.cancelHold();
    if (this.fingers.size === 0 && !this.moved) this.intents.tap(p.x, p.y, p.kind);
  }

  cancel(id: number): void {
    this.fingers.delete(id);
    this.moved = true;
    this.cancelHold();
  }

  get dragging(): boolean {
    return this.fingers.size > 0 && this.moved;
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
