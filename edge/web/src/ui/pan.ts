// Buttons that move the view, for whoever cannot drag.

import { byID } from "./dom";

export function bindPan(pan: (dx: number, dy: number) => void): void {
  const toggle = byID<HTMLButtonElement>("pan-open");
  const pad = byID("pan");
  const open = (wanted: boolean) => {
    pad.hidden = !wanted;
    toggle.setAttribute("aria-expanded", String(wanted));
  };
  toggle.addEventListener("click", () => open(Boolean(pad.hidden)));
  pad.addEventListener("click", (e) => {
    const button = (e.target as Element).closest("button");
    if (button) pan(Number(button.dataset.x), Number(button.dataset.y));
  });
  byID("zoom").addEventListener("keydown", (e) => {
    if (e.key !== "Escape" || pad.hidden) return;
    open(false);
    toggle.focus();
    e.stopPropagation();
  });
  open(false);
}
