// The painter's hand: the cell cursor, and what a tap, a click or a key does
// with it. A placement is shown at once and taken back if the server says no.

import { soon, t } from "./i18n/i18n";
import { preference } from "./preferences";
import { say, sayAtRest, toast } from "./ui/toasts";
import { byID } from "./ui/dom";
import type { Cooldown } from "./ui/cooldown";
import type { Dock } from "./ui/dock";
import type { PaletteBar } from "./ui/palette";
import type { PointerKind } from "./input/gestures";
import { canvasReplaced, expired, tokenExpired, type FromWorker, type LinkState, type Place } from "./net/link";
import type { Placements } from "./net/placements";
import type { Stage } from "./stage";

/** Below this scale a cell is too small to be meant: a tap zooms in first. */
export const aimScale = { mouse: 6, pen: 10, touch: 12 };
const closeScale = 28;
const cursorFromScale = 4;
const reticleSide = 16; // CSS pixels: what keys steer is seen at every scale

/** The second click of a double-click that came closer was not aimed at a cell. */
const approachMS = 500;


export interface Cursor {
  x: number;
  y: number;
  by: "mouse" | "touch" | "keys";
  chosen: boolean; // waits for a second tap, or for the button
}

export interface PainterParts {
  stage: Stage;
  palette: PaletteBar;
  cooldown: Cooldown;
  dock: Dock;
  placements: Placements;
  send(place: Place): void;
  changed(): void;
}

type Refused = Extract<FromWorker, { kind: "refused" }>;

export class Painter {
  cursor: Cursor | null = null;
  link: LinkState = { kind: "connecting" };
  readOnly = false;
  signedIn = false;
  private readonly mark = byID("cursor");
  private approachedMS = -Infinity;

  constructor(private readonly parts: PainterParts) {}

  hover(px: number, py: number): void {
    if (this.cursor?.chosen) return;
    const cell = this.parts.stage.cellAt(px, py);
    this.setCursor(cell && { ...cell, by: "mouse", chosen: false });
  }

  leave(): void {
    if (this.cursor?.by === "mouse" && !this.cursor.chosen) this.setCursor(null);
  }

  /** timeMS: when it happened, however late it is heard of. */
  tap(px: number, py: number, kind: PointerKind, timeMS: number): void {
    const { stage } = this.parts;
    const cell = stage.cellAt(px, py);
    if (!cell || stage.camera.flying || timeMS - this.approachedMS < approachMS) return;
    if (stage.camera.scale < aimScale[kind]) return this.approach(cell.x, cell.y, timeMS);
    const before = this.cursor;
    const second = before?.chosen && before.x === cell.x && before.y === cell.y;
    const asks = preference("confirm") === "auto" ? kind !== "mouse" : preference("confirm") === "always";
    this.setCursor({ ...cell, by: kind === "mouse" ? "mouse" : "touch", chosen: asks });
    if (!asks || second) this.place();
  }

  /** Takes back a choice that waits. */
  forget(): void {
    if (this.cursor?.chosen) this.setCursor(null);
  }

  moveBy(dx: number, dy: number): void {
    const { stage } = this.parts;
    const { camera, picture } = stage;
    if (!picture) return;
    const from = this.cursor ?? { x: Math.floor(camera.x), y: Math.floor(camera.y) };
    const x = Math.min(picture.size.width - 1, Math.max(0, from.x + dx));
    const y = Math.min(picture.size.height - 1, Math.max(0, from.y + dy));
    this.setCursor({ x, y, by: "keys", chosen: false });
    camera.reveal(x, y);
    stage.request();
    this.tell(x, y);
  }

  /** Puts the cursor on a cell that the view goes to. */
  arrive(x: number, y: number, by: Cursor["by"]): void {
    this.setCursor({ x, y, by, chosen: by === "touch" });
    this.tell(x, y);
  }

  private tell(x: number, y: number): void {
    const { stage, palette } = this.parts;
    if (stage.picture) sayAtRest(t("painter.cell", { x, y, color: palette.nameOf(stage.picture.at(x, y)) }));
  }

  /** Puts the cursor on a cell and brings it into view. */
  pointAt(x: number, y: number, by: Cursor["by"]): void {
    const { stage } = this.parts;
    const { camera } = stage;
    this.setCursor({ x, y, by, chosen: by === "touch" });
    if (camera.scale < aimScale.touch) camera.flyTo(x + 0.5, y + 0.5, closeScale);
    else camera.reveal(x, y);
    stage.request();
  }

  /** Enter, or the button of the dock. */
  confirm(): void {
    const { stage } = this.parts;
    if (!this.cursor) return toast(t("painter.choose"));
    const { x, y } = this.cursor;
    if (stage.camera.scale < aimScale.mouse) return this.approach(x, y, performance.now());
    if (!stage.shows(x, y)) {
      // Nobody paints what cannot be seen: first it is shown.
      stage.camera.reveal(x, y);
      stage.request();
      return this.tell(x, y);
    }
    this.place();
  }

  /** Shows again what a reload interrupted. */
  resume(unanswered: Place[]): void {
    for (const p of unanswered) if (this.parts.stage.picture?.contains(p.x, p.y)) this.parts.stage.picture.hope(p);
    this.parts.stage.request();
  }

  placed(number: number): void {
    const { stage, palette, placements } = this.parts;
    placements.answered(number);
    const pixel = stage.picture?.hoped(number);
    if (pixel) say(t("painter.placed", { ...pixel, color: palette.nameOf(pixel.color) }));
  }

  settled(number: number): void {
    this.parts.stage.picture?.release(number);
    this.parts.stage.request();
  }

  refused(m: Refused): void {
    const { stage, placements, cooldown } = this.parts;
    placements.answered(m.number);
    const now = Date.now();
    if (m.allowance) cooldown.setAllowance(m.allowance);
    // Of these nobody knows whether they were paid for: init has said what is left.
    else if (![expired, tokenExpired, canvasReplaced].includes(m.code)) cooldown.giveBack(now);
    const pixel = stage.picture?.release(m.number);
    const back = pixel ? t("painter.back", { x: pixel.x, y: pixel.y }) : t("painter.backSomewhere");
    toast(`${back} ${reason(m, cooldown.remainingMS(now))}`, "bad", 7_000);
    stage.request();
    this.parts.changed();
  }

  /** Puts the mark where the cursor is; after every frame. */
  drawCursor(): void {
    const { stage } = this.parts;
    const { cursor, mark } = this;
    mark.hidden = !cursor || (cursor.by !== "keys" && stage.camera.scale < cursorFromScale);
    if (mark.hidden || !cursor) return;
    const { left, top, side } = stage.squareOf(cursor.x, cursor.y);
    const around = cursor.by === "keys" ? Math.max(0, reticleSide - side) / 2 : 0;
    mark.style.transform = `translate(${left - around}px, ${top - around}px)`;
    mark.style.width = mark.style.height = `${side + 2 * around}px`;
    mark.toggleAttribute("data-reticle", around > 0);
    mark.dataset.by = cursor.by;
    mark.toggleAttribute("data-chosen", cursor.chosen);
  }

  private setCursor(cursor: Cursor | null): void {
    const before = this.cursor;
    if (before?.x === cursor?.x && before?.y === cursor?.y && before?.by === cursor?.by && before?.chosen === cursor?.chosen) return;
    this.cursor = cursor;
    this.drawCursor();
    this.parts.changed();
  }

  private approach(x: number, y: number, timeMS: number): void {
    this.approachedMS = timeMS;
    this.parts.stage.camera.flyTo(x + 0.5, y + 0.5, closeScale);
    this.parts.stage.request();
  }

  private place(): void {
    const { stage, palette, cooldown, dock, placements } = this.parts;
    const { cursor } = this;
    const obstacle = this.obstacle();
    if (!cursor || !stage.picture || obstacle) return toast(obstacle ?? t("painter.noCanvas"), "bad");
    const now = Date.now();
    if (cooldown.available(now) === 0) {
      dock.nudge();
      return say(t("painter.early", { when: soon(cooldown.remainingMS(now)) }));
    }
    const place = placements.add(cursor.x, cursor.y, palette.selected);
    cooldown.spend(now);
    stage.picture.hope(place);
    stage.request();
    this.parts.send(place);
    if (cursor.by === "touch") this.setCursor(null);
    else this.setCursor({ ...cursor, chosen: false });
    this.parts.changed();
  }

  /** Why nothing can be placed at all just now. */
  private obstacle(): string | null {
    if (this.link.kind === "polling") return t("painter.polling");
    if (this.link.kind === "outdated") return t("painter.outdated");
    if (this.readOnly) return t("painter.readonly");
    if (!this.signedIn) return t(this.link.kind === "live" ? "painter.watching" : "painter.connecting");
    return null;
  }
}

/** The server's error codes, in a painter's words. */
function reason(m: Refused, waitMS: number): string {
  switch (m.code) {
    case 5: return t("refused.cooldown", { when: soon(waitMS) });
    case 6:
    case tokenExpired: return t("refused.session");
    case expired: return t("refused.expired");
    case 12: return t("refused.readonly");
    case 13:
    case 17: return t("refused.unavailable");
    case 14: return t("refused.tooMany");
    case canvasReplaced: return t("refused.replaced");
    default: return t("refused.other");
  }
}
