// The settings of one template: where it goes, how it is shown, which colours of
// it, and how its image becomes colours of the canvas.

import { t } from "../../i18n/i18n";
import { canRefresh, type Entry } from "../../templates/entry";
import type { Templates } from "../../templates/templates";
import { sideMax } from "../../templates/template";
import { button, check, input, radios, select } from "./fields";
import { ColorChips, type Palette } from "./chips";
import { element } from "../dom";

export interface SettingsPorts {
  templates: Templates;
  palette: Palette;
  goTo(entry: Entry): void;
  share(entry: Entry): void;
  refresh(entry: Entry): void;
}

export class Settings {
  readonly root = element("div", "settings");
  private readonly x;
  private readonly y;
  private readonly width;
  private readonly chips: ColorChips;

  constructor(private readonly entry: Entry, ports: SettingsPorts) {
    const { templates } = ports;
    const { template } = entry;
    const name = input("template.name", "text", (value) => templates.update(entry, { name: value.trim() || template.name }));
    name.field.value = template.name;
    name.field.maxLength = 80;
    this.x = this.place("template.x", -sideMax, (x) => templates.update(entry, { x }));
    this.y = this.place("template.y", -sideMax, (y) => templates.update(entry, { y }));
    this.width = this.place("template.width", 1, (width) => templates.update(entry, { width }));
    const where = element("div", "row");
    where.append(this.x.label, this.y.label, this.width.label);
    const opacity = input("template.opacity", "range", (value) => templates.update(entry, { opacity: Number(value) / 100 }), true);
    Object.assign(opacity.field, { min: "10", max: "100", step: "5", value: String(Math.round(100 * template.opacity)) });
    this.chips = new ColorChips(entry, ports.palette, (hidden) => templates.update(entry, { hidden }));
    const mapping = element("div", "row");
    mapping.append(
      select("template.distance", [["oklab", "template.distance.oklab"], ["rgb", "template.distance.rgb"]], template.distance, (distance) => templates.update(entry, { distance })),
      select("template.dithering", [["none", "template.dithering.none"], ["ordered", "template.dithering.ordered"], ["diffusion", "template.dithering.diffusion"]],
        template.dithering, (dithering) => templates.update(entry, { dithering })),
    );
    const ends = element("div", "actions");
    ends.append(button("soft", "template.share", () => ports.share(entry)));
    if (canRefresh(entry)) ends.append(button("soft", "template.refresh", () => ports.refresh(entry)));
    ends.append(button("soft danger", "template.delete", () => templates.remove(entry)));
    this.root.append(
      name.label, where, button("soft", "template.here", () => templates.placeHere(entry)),
      radios("template.style", `style-${template.id}`, [["dots", "template.style.dots"], ["full", "template.style.full"]], template.style, (style) => templates.update(entry, { style })),
      opacity.label,
      check("template.highlight", template.highlight, (highlight) => templates.update(entry, { highlight })),
      this.chips.root, mapping, ends,
    );
  }

  /** Shows what others changed: a field that is being typed into stays as it is. */
  show(): void {
    const { template, shape } = this.entry;
    for (const [{ field }, value] of [[this.x, template.x], [this.y, template.y], [this.width, shape?.width ?? template.width]] as const) {
      if (document.activeElement !== field && value !== null) field.value = String(value);
    }
    this.chips.show();
  }

  /** A field for a whole number; what is none is put back. */
  private place(key: "template.x" | "template.y" | "template.width", least: number, onChange: (value: number) => void): ReturnType<typeof input> {
    const made = input(key, "number", (text) => {
      const value = Number(text);
      if (text !== "" && Number.isInteger(value) && value >= least && value <= sideMax) return onChange(value);
      made.field.setCustomValidity(t("template.range", { from: least, to: sideMax }));
      made.field.reportValidity();
    });
    made.field.addEventListener("input", () => made.field.setCustomValidity(""));
    Object.assign(made.field, { step: "1", min: String(least), max: String(sideMax) });
    return made;
  }
}
