// Binds a canvas element's pointer and wheel events to gestures.

import { Gestures, type Intents, type Point, type PointerKind } from "./gestures";

export interface WheelIntents {
  /** quick: many small steps, as a touchpad makes them; no easing on top. */
  wheel(factor: number, x: number, y: number, quick: boolean): void;
  inspect(x: number, y: number): void;
  /** The middle button. */
  pick(x: number, y: number): void;
  leave(): void;
}

export function bindPointers(target: HTMLElement, intents: Omit<Intents, "later"> & WheelIntents): void {
  let middle = false;
  const fingers = new Set<number>();
  const gestures = new Gestures({
    ...intents,
    tap: (x, y, kind, timeMS) => (middle ? intents.pick(x, y) : intents.tap(x, y, kind, timeMS)),
    later(ms, f) {
      const timer = setTimeout(f, ms);
      return () => clearTimeout(timer);
    },
  });
  const point = (e: PointerEvent): Point => ({ id: e.pointerId, kind: kindOf(e), x: e.clientX, y: e.clientY, timeMS: e.timeStamp });

  target.addEventListener("pointerdown", (e) => {
    if (e.button > 1) return; // the right button inspects
    if (e.pointerType === "touch") fingers.add(e.pointerId);
    middle = e.button === 1;
    // A synthetic pointer, as tests make them, cannot be captured.
    if (e.isTrusted) target.setPointerCapture(e.pointerId);
    target.focus({ preventScroll: true, focusVisible: false } as FocusOptions); // no frame for a finger
    gestures.down(point(e));
    target.classList.toggle("dragging", e.pointerType === "mouse");
  });
  // Some systems scroll or paste with the middle button.
  target.addEventListener("mousedown", (e) => e.button === 1 && e.preventDefault());
  target.addEventListener("pointermove", (e) => gestures.move(point(e)));
  target.addEventListener("pointerup", (e) => {
    fingers.delete(e.pointerId);
    gestures.up(point(e));
    target.classList.remove("dragging");
  });
  target.addEventListener("pointercancel", (e) => {
    fingers.delete(e.pointerId);
    gestures.cancel(e.pointerId);
    target.classList.remove("dragging");
  });
  target.addEventListener("pointerleave", () => intents.leave());
  target.addEventListener("contextmenu", (e) => {
    e.preventDefault();
    // On touch a long press makes this event too, after the hold of gestures.
    if ((e as PointerEvent).pointerType !== "touch") intents.inspect(e.clientX, e.clientY);
  });
  target.addEventListener(
    "wheel",
    (e) => {
      e.preventDefault();
      const lines = e.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : e.deltaMode === WheelEvent.DOM_DELTA_PAGE ? 400 : 1;
      const delta = Math.max(-240, Math.min(240, e.deltaY * lines));
      const quick = Math.abs(delta) < 40;
      intents.wheel(Math.exp(-delta * (e.ctrlKey ? 0.01 : 0.0022)), e.clientX, e.clientY, quick);
    },
    { passive: false },
  );
  // Safari on a Mac tells of a touchpad's pinch so, other browsers by a wheel with
  // Ctrl. On a phone it tells of fingers as well, which pointer events are for.
  let before = 1;
  target.addEventListener("gesturestart", (e) => {
    e.preventDefault();
    before = 1;
  });
  target.addEventListener("gesturechange", (e) => {
    e.preventDefault();
    const { scale, clientX, clientY } = e as Event & { scale: number; clientX: number; clientY: number };
    if (fingers.size === 0 && scale > 0) intents.wheel(scale / before, clientX, clientY, true);
    before = scale;
  });
}

function kindOf(e: PointerEvent): PointerKind {
  return e.pointerType === "touch" || e.pointerType === "pen" ? e.pointerType : "mouse";
}
