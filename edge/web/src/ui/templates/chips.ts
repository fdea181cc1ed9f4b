// The colours of a template as switches: which of them are shown and counted, and
// how many pixels of each are wrong.

import { number, t } from "../../i18n/i18n";
import { none } from "../../templates/template";
import type { Entry } from "../../templates/entry";
import { element, hex } from "../dom";
import { button } from "./fields";

export interface Palette {
  nameOf(color: number): string;
  rgbOf(color: number): number;
}

export class ColorChips {
  readonly root = element("fieldset", "chips");
  private readonly list = element("div", "");
  private readonly chips = new Map<number, HTMLButtonElement>();
  private shape: Entry["shape"] = null;

  constructor(private readonly entry: Entry, private readonly palette: Palette, private readonly onChange: (hidden: number[]) => void) {
    const all = button("link", "template.colors.all", () => onChange([]));
    const no = button("link", "template.colors.none", () => onChange([...this.chips.keys()]));
    this.root.append(element("legend", "", t("template.colors")), this.list, all, no);
  }

  show(): void {
    if (this.shape !== this.entry.shape) this.build();
    const { progress, template } = this.entry;
    for (const [color, chip] of this.chips) {
      const wrong = progress?.wrongs[color] ?? 0;
      const label = t("template.colors.wrong", { n: wrong, color: this.palette.nameOf(color) });
      if (chip.getAttribute("aria-label") !== label) chip.setAttribute("aria-label", label);
      chip.setAttribute("aria-pressed", String(!template.hidden.includes(color)));
      (chip.lastElementChild as HTMLElement).textContent = wrong > 0 ? number(wrong) : "✓";
    }
  }

  private build(): void {
    this.shape = this.entry.shape;
    this.chips.clear();
    const used = new Set(this.shape?.cells);
    used.delete(none);
    for (const color of [...used].sort((a, b) => a - b)) this.chips.set(color, this.chip(color));
    this.list.replaceChildren(...this.chips.values());
  }

  private chip(color: number): HTMLButtonElement {
    const made = element("button", "color-chip");
    made.type = "button";
    made.title = this.palette.nameOf(color);
    const dot = element("i", "dot");
    dot.style.setProperty("--color", hex(this.palette.rgbOf(color)));
    made.append(dot, element("span", "name", made.title), element("span", "wrong"));
    made.addEventListener("click", () => {
      const { hidden } = this.entry.template;
      this.onChange(hidden.includes(color) ? hidden.filter((c) => c !== color) : [...hidden, color]);
    });
    return made;
  }
}
