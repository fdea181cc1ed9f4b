// The few things that every part of the page does with the document.

import { toLinear } from "../color";

export function byID<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no #${id} in the page`);
  return found as T;
}

export function element<K extends keyof HTMLElementTagNameMap>(tag: K, className: string, text = ""): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

export function hex(rgb: number): string {
  return `#${rgb.toString(16).padStart(6, "0")}`;
}

/** Whether dark text reads better on rgb than light text: WCAG's relative luminance. */
export function isLight(rgb: number): boolean {
  const luminance = 0.2126 * toLinear(rgb >> 16) + 0.7152 * toLinear((rgb >> 8) & 0xff) + 0.0722 * toLinear(rgb & 0xff);
  return luminance > 0.3;
}

/** localStorage, where there is one. */
export const settings = {
  get(key: string): string | null {
    try {
      return localStorage.getItem(`pixelwall-${key}`);
    } catch {
      return null;
    }
  },
  set(key: string, value: string): void {
    try {
      localStorage.setItem(`pixelwall-${key}`, value);
    } catch {
      // Private windows of some browsers keep nothing.
    }
  },
};
