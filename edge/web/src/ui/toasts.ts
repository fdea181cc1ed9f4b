// Short messages above the dock, and the sentence for screen readers. At most
// three at once: an older one makes room, so that a flood cannot bury the page.

import { byID, element } from "./dom";

const most = 3;

export function toast(text: string, tone: "plain" | "bad" = "plain", lastsMS = 5_000): void {
  const root = byID("toasts");
  for (const shown of [...root.children]) if (shown.textContent === text) shown.remove();
  while (root.children.length >= most) root.firstElementChild?.remove();
  const made = element("p", `toast ${tone}`, text);
  root.append(made);
  setTimeout(() => made.remove(), lastsMS);
}

let timer = 0;

/** Says text to screen readers, once the last word for a moment. */
export function say(text: string): void {
  clearTimeout(timer);
  timer = setTimeout(() => (byID("live").textContent = text), 250) as unknown as number;
}
