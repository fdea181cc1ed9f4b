// How much of the first canvas is here; before that there is nothing to look at.

import { byID } from "./dom";

/** Shows a share from 0 to 1. The first frame of the canvas hides it. */
export function showLoading(share: number): void {
  const root = byID("loading");
  root.setAttribute("aria-valuenow", String(Math.floor(100 * share)));
  root.style.setProperty("--share", String(share));
}
