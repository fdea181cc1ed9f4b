// Where the page looks. All lengths on the screen are CSS pixels; a cell is one
// pixel of the canvas. The middle of the free part of the window, between the
// bars and panels at its rims, is where x and y are seen.

import type { Size } from "../wire/geometry";

export const scaleMax = 64;
const scaleFar = 0.1; // farther only where a larger canvas would not fit

/** What covers the window from its rims. */
export interface Insets {
  top: number;
  right: number;
  bottom: number;
  left: number;
}

interface Flight {
  fromX: number;
  fromY: number;
  fromScale: number;
  toX: number;
  toY: number;
  toScale: number;
  passedMS: number;
}

const flightMS = 320;
const zoomHalfLifeMS = 40;
const driftHalfLifeMS = 160;

/** CSS pixels a millisecond: slower is no fling, and faster than the last no canvas moves. */
const driftFrom = 0.25;
const driftUntil = 0.03;
const driftMax = 5;

export class Camera {
  x = 0; // cell in the middle
  y = 0;
  scale = 1; // CSS pixels a cell
  width = 1; // of the window
  height = 1;
  insets: Insets = { top: 0, right: 0, bottom: 0, left: 0 };
  /** For people who asked for less motion: every move is a jump. */
  still = false;
  private flight: Flight | null = null;
  private zoom: { scale: number; atX: number; atY: number } | null = null;
  private drift: { vx: number; vy: number } | null = null; // CSS pixels a millisecond

  constructor(private board: Size) {}

  setBoard(board: Size): void {
    this.board = board;
    this.clamp();
  }

  resize(width: number, height: number, insets: Insets): void {
    this.width = width;
    this.height = height;
    this.insets = insets;
    this.clamp();
  }

  /** A panel came or went: the canvas stays where it lies. */
  cover(insets: Insets): void {
    const { x, y } = this.toBoard(0, 0);
    this.insets = insets;
    this.x = x + this.middleX / this.scale;
    this.y = y + this.middleY / this.scale;
    this.clamp();
  }

  get middleX(): number {
    return (this.insets.left + this.width - this.insets.right) / 2;
  }

  get middleY(): number {
    return (this.insets.top + this.height - this.insets.bottom) / 2;
  }

  get freeWidth(): number {
    return this.width - this.insets.left - this.insets.right;
  }

  get freeHeight(): number {
    return this.height - this.insets.top - this.insets.bottom;
  }

  /** The canvas point under a point of the window, in cells, not rounded. */
  toBoard(px: number, py: number): { x: number; y: number } {
    return { x: this.x + (px - this.middleX) / this.scale, y: this.y + (py - this.middleY) / this.scale };
  }

  toWindow(x: number, y: number): { px: number; py: number } {
    return { px: (x - this.x) * this.scale + this.middleX, py: (y - this.y) * this.scale + this.middleY };
  }

  get fitScale(): number {
    const margin = 24;
    const wide = (this.freeWidth - margin) / this.board.width;
    const high = (this.freeHeight - margin) / this.board.height;
    return Math.min(scaleMax, Math.max(0.01, Math.min(wide, high)));
  }

  get scaleMin(): number {
    return Math.min(scaleFar, this.fitScale);
  }

  panBy(dx: number, dy: number): void {
    this.stop();
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
    this.clamp();
  }

  /** Zooms at once, keeping the canvas point under (px, py) where it is. */
  zoomAt(factor: number, px: number, py: number): void {
    this.stop();
    this.scaleTo(this.scale * factor, px, py);
  }

  /** Zooms smoothly; calls while one is under way add up. */
  easeZoomAt(factor: number, px: number, py: number): void {
    this.easeZoomTo((this.zoom?.scale ?? this.scale) * factor, px, py);
  }

  /** Zooms smoothly to a scale, whatever is under way. */
  easeZoomTo(scale: number, px: number, py: number): void {
    if (this.still) return this.zoomAt(scale / this.scale, px, py);
    this.flight = this.drift = null;
    this.zoom = { scale: Math.min(scaleMax, Math.max(this.scaleMin, scale)), atX: px, atY: py };
  }

  flyTo(x: number, y: number, scale: number): void {
    this.stop();
    const toScale = Math.min(scaleMax, Math.max(this.scaleMin, scale));
    this.flight = { fromX: this.x, fromY: this.y, fromScale: this.scale, toX: x, toY: y, toScale, passedMS: 0 };
    if (this.still) this.step(flightMS);
  }

  /** Goes there without a flight. */
  jumpTo(x: number, y: number, scale: number): void {
    this.stop();
    this.x = x;
    this.y = y;
    this.scale = Math.min(scaleMax, Math.max(this.scaleMin, scale));
    this.clamp();
  }

  /** Whether the middle of cell (x, y) is in the free part of the window. */
  shows(x: number, y: number): boolean {
    const { px, py } = this.toWindow(x + 0.5, y + 0.5);
    const { top, right, bottom, left } = this.insets;
    return px >= left && py >= top && px < this.width - right && py < this.height - bottom;
  }

  /** Pans no further than it takes to see cell (x, y) clear of the rim of the window's free part. */
  reveal(x: number, y: number): void {
    const { px, py } = this.toWindow(x + 0.5, y + 0.5);
    const { top, right, bottom, left } = this.insets;
    const rimX = Math.min(64, this.freeWidth / 4);
    const rimY = Math.min(64, this.freeHeight / 4);
    const dx = Math.max(left + rimX - px, 0) + Math.min(this.width - right - rimX - px, 0);
    const dy = Math.max(top + rimY - py, 0) + Math.min(this.height - bottom - rimY - py, 0);
    if (dx !== 0 || dy !== 0) this.panBy(dx, dy);
  }

  /** Lets go of the canvas while it moves: it glides on and comes to rest. */
  fling(vx: number, vy: number): void {
    const speed = Math.hypot(vx, vy);
    if (this.still || speed < driftFrom) return;
    this.stop();
    const share = Math.min(1, driftMax / speed);
    this.drift = { vx: vx * share, vy: vy * share };
  }

  /** Holds a gliding canvas; false when it did not glide. */
  grab(): boolean {
    const glided = this.drift !== null;
    this.drift = null;
    return glided;
  }

  stop(): void {
    this.flight = this.zoom = this.drift = null;
  }

  get flying(): boolean {
    return this.flight !== null;
  }

  get moving(): boolean {
    return this.flight !== null || this.zoom !== null || this.drift !== null;
  }

  /** Moves on by so much time. */
  step(ms: number): void {
    if (this.flight) this.fly(this.flight, ms);
    if (this.drift) this.glide(this.drift, ms);
    if (this.zoom) {
      const { scale, atX, atY } = this.zoom;
      const rest = 0.5 ** (ms / zoomHalfLifeMS);
      const next = scale * (this.scale / scale) ** rest;
      const done = Math.abs(next / scale - 1) < 0.002;
      this.scaleTo(done ? scale : next, atX, atY);
      if (done) this.zoom = null;
    }
  }

  private glide({ vx, vy }: { vx: number; vy: number }, ms: number): void {
    const rest = 0.5 ** (ms / driftHalfLifeMS);
    const wayMS = (driftHalfLifeMS / Math.LN2) * (1 - rest); // at full speed it would take so long
    this.x -= (vx * wayMS) / this.scale;
    this.y -= (vy * wayMS) / this.scale;
    this.drift = Math.hypot(vx, vy) * rest < driftUntil ? null : { vx: vx * rest, vy: vy * rest };
    this.clamp();
  }

  private fly(f: Flight, ms: number): void {
    f.passedMS += ms;
    const t = Math.min(1, f.passedMS / flightMS);
    const eased = 1 - (1 - t) ** 3;
    this.scale = f.fromScale * (f.toScale / f.fromScale) ** eased;
    // The middle moves with the zoom, so that the goal drifts straight to it.
    const span = 1 / f.toScale - 1 / f.fromScale;
    const along = Math.abs(span) < 1e-9 ? eased : (1 / this.scale - 1 / f.fromScale) / span;
    this.x = f.fromX + (f.toX - f.fromX) * along;
    this.y = f.fromY + (f.toY - f.fromY) * along;
    if (t === 1) this.flight = null;
    this.clamp();
  }

  private scaleTo(scale: number, px: number, py: number): void {
    const at = this.toBoard(px, py);
    this.scale = Math.min(scaleMax, Math.max(this.scaleMin, scale));
    this.x = at.x - (px - this.middleX) / this.scale;
    this.y = at.y - (py - this.middleY) / this.scale;
    this.clamp();
  }

  private clamp(): void {
    this.x = Math.min(this.board.width, Math.max(0, this.x));
    this.y = Math.min(this.board.height, Math.max(0, this.y));
  }
}
