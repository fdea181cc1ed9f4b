// The dock's left half: the ring that counts down, what is chosen, and the
// button that confirms where a second tap is asked for.

import type { Cooldown } from "./cooldown";
import { coordinates, shortSeconds, t } from "../i18n/i18n";
import { say } from "./toasts";
import { byID } from "./dom";

export interface DockFacts {
  colorName: string;
  where: { x: number; y: number } | null; // of the cursor
  chosen: boolean; // the cursor waits for a second tap
  canPaint: boolean;
  nowMS: number;
}

export class Dock {
  private readonly ring = byID<HTMLButtonElement>("paint");
  private readonly number = byID("clock");
  private readonly arc = this.ring.querySelector(".arc") as SVGElement;
  private readonly title = byID("facts").querySelector("strong") as HTMLElement;
  private readonly line = byID("facts").querySelector("span") as HTMLElement;
  private waiting = false; // for the next pixel
  private readonly confirm = byID<HTMLButtonElement>("confirm");

  constructor(private readonly cooldown: Cooldown, onPaint: () => void) {
    this.ring.addEventListener("click", onPaint);
    this.confirm.addEventListener("click", onPaint);
  }

  show(f: DockFacts): void {
    const available = this.cooldown.available(f.nowMS);
    const seconds = Math.ceil(this.cooldown.remainingMS(f.nowMS) / 1000);
    const ready = f.canPaint && available > 0;
    const cooling = f.canPaint && available === 0 && seconds > 0;
    this.ring.classList.toggle("ready", ready);
    this.ring.classList.toggle("off", !f.canPaint);
    this.arc.style.strokeDashoffset = String(100 - 100 * this.cooldown.progress(f.nowMS));
    const stacked = this.cooldown.limited && this.cooldown.most > 1 && ready;
    setText(this.number, cooling ? clock(seconds) : stacked ? String(available) : "");
    // No clock in the label: whoever listens would hear it at every second.
    const label = f.where ? t("dock.paintAt", { color: f.colorName, ...f.where }) : t("dock.paint", { color: f.colorName });
    const count = stacked ? t("dock.count", { n: available, most: this.cooldown.most }) : "";
    const named = count ? `${label} (${count})` : label;
    if (this.ring.getAttribute("aria-label") !== named) this.ring.setAttribute("aria-label", named);
    setText(this.title, f.colorName);
    setText(this.line, cooling ? t("dock.next", { time: clock(seconds) }) : f.where ? coordinates(f.where.x, f.where.y) : t(f.canPaint ? "dock.pick" : "dock.watching"));
    if (this.waiting && ready) say(t("dock.ready"));
    this.waiting = cooling;
    this.confirm.hidden = !f.chosen;
    this.confirm.disabled = !ready;
    setText(this.confirm, cooling ? clock(seconds) : t("paint"));
    const news = cooling ? clock(seconds) : count;
    const name = news ? `(${news}) Pixelwall` : "Pixelwall";
    if (document.title !== name) document.title = name;
  }

  /** Says without words that it is not yet time. */
  nudge(): void {
    this.ring.classList.remove("nudged");
    void this.ring.offsetWidth; // restarts the animation
    this.ring.classList.add("nudged");
  }
}

/** "4s", "2:05"; the second as the language writes it. */
export function clock(seconds: number): string {
  if (seconds < 60) return shortSeconds(seconds);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function setText(node: HTMLElement, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}
