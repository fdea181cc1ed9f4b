// One template in the panel: what it looks like, how far it is, what can be done.

import { t } from "../../i18n/i18n";
import { none, type Shape } from "../../templates/template";
import type { Entry } from "../../templates/entry";
import { linkField } from "../copy";
import { element } from "../dom";
import type { Palette } from "./chips";
import { button } from "./fields";
import { Settings, type SettingsPorts } from "./settings";
import { wordsOf } from "./words";

const thumbSide = 88; // two device pixels a CSS pixel

export class Card {
  readonly root = element("li", "template");
  private readonly thumb = element("canvas", "thumb");
  private readonly name = element("strong", "");
  private readonly count = element("span", "count");
  private readonly pace = element("p", "pace");
  private readonly meter = element("div", "meter");
  private readonly eye: HTMLButtonElement;
  private readonly details = element("details", "");
  private settings: Settings | null = null;
  private drawn: Shape | null = null;

  constructor(private readonly entry: Entry, private readonly ports: SettingsPorts) {
    const { templates } = ports;
    this.eye = button("soft", "template.show", () => templates.update(entry, { visible: !entry.template.visible }));
    this.thumb.setAttribute("aria-hidden", "true");
    this.meter.setAttribute("role", "progressbar");
    this.meter.append(element("i", ""));
    const head = element("div", "head");
    const title = element("div", "title");
    title.append(this.name, this.count);
    head.append(this.thumb, title, this.eye);
    const actions = element("div", "actions");
    actions.append(button("soft", "template.goTo", () => ports.goTo(entry)));
    this.details.append(element("summary", "", t("template.settings")));
    this.details.addEventListener("toggle", () => this.unfold());
    this.root.append(head, this.meter, this.pace, actions, this.details);
  }

  show(nowMS: number): void {
    const { template, shape, progress } = this.entry;
    const words = wordsOf(this.entry, nowMS);
    setText(this.name, template.name);
    setText(this.count, words.count);
    setText(this.pace, words.pace);
    this.pace.hidden = words.pace === "";
    this.root.classList.toggle("off", !template.visible);
    this.eye.setAttribute("aria-pressed", String(template.visible));
    this.eye.setAttribute("aria-label", `${t("template.show")}: ${template.name}`);
    this.meter.hidden = progress === null || !template.visible;
    this.meter.setAttribute("aria-label", template.name);
    this.meter.setAttribute("aria-valuenow", String(Math.floor(100 * words.share)));
    this.meter.setAttribute("aria-valuetext", words.count);
    (this.meter.firstElementChild as HTMLElement).style.inlineSize = `${100 * words.share}%`;
    if (shape && shape !== this.drawn) drawThumb(this.thumb, shape, this.ports.palette);
    this.drawn = shape;
    if (this.details.open) this.settings?.show();
  }

  /** Shows a link that could not be copied. */
  offer(link: string): void {
    this.root.querySelector(".copied")?.remove();
    const field = linkField(link);
    this.details.before(field);
    field.select();
  }

  private unfold(): void {
    if (!this.details.open) return;
    if (!this.settings) this.details.append((this.settings = new Settings(this.entry, this.ports)).root);
    this.settings.show();
  }
}

/** The shape in a square, the nearest cell for each pixel. */
function drawThumb(canvas: HTMLCanvasElement, shape: Shape, palette: Palette): void {
  canvas.width = canvas.height = thumbSide;
  const context = canvas.getContext("2d");
  if (!context) return;
  const image = context.createImageData(thumbSide, thumbSide);
  const cells = Math.max(shape.width, shape.height) / thumbSide; // a pixel
  for (let i = 0; i < thumbSide * thumbSide; i++) {
    const x = Math.floor(((i % thumbSide) + 0.5) * cells + (shape.width - thumbSide * cells) / 2);
    const y = Math.floor((Math.floor(i / thumbSide) + 0.5) * cells + (shape.height - thumbSide * cells) / 2);
    const inside = x >= 0 && y >= 0 && x < shape.width && y < shape.height;
    const color = inside ? shape.cells[y * shape.width + x] : none;
    if (color === none) continue;
    const rgb = palette.rgbOf(color);
    image.data.set([rgb >> 16, (rgb >> 8) & 0xff, rgb & 0xff, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

function setText(node: HTMLElement, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}
