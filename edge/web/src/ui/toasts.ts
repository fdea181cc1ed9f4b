// Short messages above the dock, and the sentences for screen readers. At most
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

const saidForMS = 10_000;

/** Says what came of something to screen readers, which read one sentence after the other. */
export function say(text: string): void {
  const live = byID("live");
  while (live.children.length >= most) live.firstElementChild?.remove();
  const made = element("p", "", text);
  live.append(made);
  setTimeout(() => made.remove(), saidForMS);
}

let timer = 0;

/** Says where the cursor is once it rests: nobody wants to hear of every cell on the way. */
export function sayAtRest(text: string): void {
  clearTimeout(timer);
  timer = setTimeout(() => say(text), 250) as unknown as number;
}
