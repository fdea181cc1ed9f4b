// The swatches: one radio group, so that Tab reaches it once and the arrows
// move inside it.

import type { Color } from "../wire/messages";
import { colorName, onLanguage, t } from "../i18n/i18n";
import { signOf } from "../render/glyphs";
import { byID, element, hex, isLight, settings } from "./dom";

export class PaletteBar {
  selected = Number(settings.get("color") ?? -1);
  private colors: Color[] = [];
  private readonly root = byID("palette");

  constructor(private readonly onSelect: (index: number) => void) {
    this.root.addEventListener("click", (e) => {
      const swatch = (e.target as HTMLElement).closest<HTMLElement>(".swatch");
      if (swatch) this.select(Number(swatch.dataset.index));
    });
    this.root.addEventListener("keydown", (e) => this.key(e));
    onLanguage(() => this.label());
  }

  get count(): number {
    return this.colors.length;
  }

  get color(): Color {
    return this.colors[this.selected] ?? { rgb: 0x888888, name: "" };
  }

  nameOf(index: number): string {
    const color = this.colors[index];
    return color ? colorName(color.name) : t("color.numbered", { n: index + 1 });
  }

  rgbOf(index: number): number {
    return this.colors[index]?.rgb ?? 0;
  }

  setColors(colors: Color[]): void {
    if (JSON.stringify(colors) === JSON.stringify(this.colors)) return;
    this.colors = colors;
    this.root.replaceChildren(...colors.map((c, i) => swatch(c, i)));
    this.label();
    this.root.dataset.size = colors.length <= 16 ? "small" : colors.length <= 40 ? "medium" : "large";
    // Full rows look calm: 16 in one, 32 in two, 40 in two of 20.
    const rows = Math.ceil(colors.length / (colors.length <= 32 ? 16 : colors.length <= 40 ? 20 : 24));
    const narrowRows = Math.ceil(colors.length / (colors.length <= 32 ? 8 : 10));
    this.root.style.setProperty("--columns", String(Math.ceil(colors.length / rows)));
    this.root.style.setProperty("--narrow-columns", String(Math.ceil(colors.length / narrowRows)));
    this.select(colors[this.selected] ? this.selected : mostVivid(colors));
  }

  select(index: number): void {
    if (this.colors.length === 0) return;
    this.selected = (index + this.colors.length) % this.colors.length;
    settings.set("color", String(this.selected));
    for (const child of this.root.children) {
      const swatch = child as HTMLElement;
      const on = Number(swatch.dataset.index) === this.selected;
      swatch.setAttribute("aria-checked", String(on));
      swatch.tabIndex = on ? 0 : -1;
      if (on) swatch.scrollIntoView({ block: "nearest" });
    }
    const root = document.documentElement;
    root.style.setProperty("--paint", hex(this.color.rgb));
    root.style.setProperty("--on-paint", isLight(this.color.rgb) ? "#1c1b19" : "#ffffff");
    this.onSelect(this.selected);
  }

  private label(): void {
    [...this.root.children].forEach((swatch, i) => {
      swatch.setAttribute("aria-label", this.nameOf(i));
      (swatch as HTMLElement).title = `${i + 1} · ${this.nameOf(i)}`;
    });
  }

  private key(e: KeyboardEvent): void {
    const right = document.documentElement.dir === "rtl" ? -1 : 1;
    const step = { ArrowRight: right, ArrowDown: 1, ArrowLeft: -right, ArrowUp: -1 }[e.key];
    if (step === undefined) return;
    e.preventDefault();
    e.stopPropagation();
    this.select(this.selected + step);
    (this.root.children[this.selected] as HTMLElement).focus();
  }
}

/** What a first visitor paints with: the colour that is farthest from grey. */
function mostVivid(colors: Color[]): number {
  const vivid = colors.map(({ rgb }) => {
    const parts = [rgb >> 16, (rgb >> 8) & 0xff, rgb & 0xff];
    return Math.max(...parts) - Math.min(...parts);
  });
  return vivid.indexOf(Math.max(...vivid));
}

function swatch(c: Color, index: number): HTMLElement {
  const made = element("button", isLight(c.rgb) ? "swatch light" : "swatch");
  made.type = "button";
  made.dataset.index = String(index);
  made.dataset.sign = signOf(index);
  made.setAttribute("role", "radio");
  made.style.setProperty("--color", hex(c.rgb));
  return made;
}
