// "Go to": a place is typed or pasted, and the view goes there.

import { parsePlace, type Place } from "../camera/link";
import { t } from "../i18n/i18n";
import type { Size } from "../wire/geometry";
import { byID } from "./dom";

export class GoTo {
  private readonly dialog = byID<HTMLDialogElement>("goto");
  private readonly input = this.dialog.querySelector("input") as HTMLInputElement;
  private readonly said = this.dialog.querySelector("[role=alert]") as HTMLElement;

  constructor(private readonly size: () => Size | null, private readonly go: (place: Place) => void) {
    byID("goto-open").addEventListener("click", () => this.open());
    this.dialog.querySelector("form")?.addEventListener("submit", (e) => {
      e.preventDefault();
      this.submit();
    });
    this.dialog.querySelector("[type=button]")?.addEventListener("click", () => this.dialog.close());
  }

  open(): void {
    this.say("");
    this.dialog.showModal();
    this.input.select();
  }

  private submit(): void {
    const place = parsePlace(this.input.value);
    const size = this.size();
    if (!place) return this.say(t("goto.unread"));
    if (!size || place.x >= size.width || place.y >= size.height) return this.say(t("goto.outside", { x: (size?.width ?? 1) - 1, y: (size?.height ?? 1) - 1 }));
    this.dialog.close();
    byID("board").focus();
    this.go(place);
  }

  private say(fault: string): void {
    this.said.textContent = fault;
    this.input.setAttribute("aria-invalid", String(fault !== ""));
  }
}
