// The eyedropper: while its button is pressed in, the next tap takes a colour
// instead of painting.

import { byID } from "./dom";

export class Dropper {
  private readonly button = byID("dropper");

  constructor() {
    this.button.addEventListener("click", () => this.set(!this.active));
  }

  get active(): boolean {
    return this.button.getAttribute("aria-pressed") === "true";
  }

  set(active: boolean): void {
    this.button.setAttribute("aria-pressed", String(active));
    byID("board").classList.toggle("picking", active);
  }
}
