// "Save a picture": a part of the canvas as a PNG, made in the page.

import { faultOf, pixelsMax, snapshot, type Area } from "../board/snapshot";
import { t } from "../i18n/i18n";
import type { Stage } from "../stage";
import type { Color } from "../wire/messages";
import { byID } from "./dom";

const fields = ["x", "y", "width", "height"] as const;

export class SaveDialog {
  private readonly dialog = byID<HTMLDialogElement>("save");
  private readonly form = this.dialog.querySelector("form") as HTMLFormElement;
  private readonly said = this.dialog.querySelector("[role=status]") as HTMLElement;
  private readonly button = this.dialog.querySelector("[type=submit]") as HTMLButtonElement;

  constructor(private readonly stage: Stage, private readonly colors: () => Color[]) {
    this.form.addEventListener("input", () => this.check());
    this.form.addEventListener("submit", (e) => {
      e.preventDefault();
      void this.save();
    });
    byID("save-view").addEventListener("click", () => this.fill(stage.inView()));
    byID("save-all").addEventListener("click", () => stage.picture && this.fill({ x: 0, y: 0, ...stage.picture.size }));
    byID("save-close").addEventListener("click", () => this.dialog.close());
  }

  open(): void {
    this.fill(this.stage.inView());
    this.dialog.showModal();
  }

  private field(name: string): HTMLInputElement | HTMLSelectElement {
    return this.form.elements.namedItem(name) as HTMLInputElement | HTMLSelectElement;
  }

  private fill(area: Area): void {
    for (const name of fields) this.field(name).value = String(area[name]);
    this.check();
  }

  private get wish(): { area: Area; scale: number } {
    const [x, y, width, height] = fields.map((name) => (this.field(name).value === "" ? NaN : Number(this.field(name).value)));
    return { area: { x, y, width, height }, scale: Number(this.field("scale").value) };
  }

  /** Says how large it will be, or what is wrong; true when it can be made. */
  private check(): boolean {
    const { picture } = this.stage;
    const { area, scale } = this.wish;
    const fault = picture ? faultOf(area, scale, picture.size) : "outside";
    this.button.disabled = fault !== null;
    this.said.dataset.tone = fault ? "bad" : "plain";
    if (fault === "large") this.said.textContent = t("save.large", { n: Math.floor(pixelsMax / 1_000_000) });
    else if (fault) this.said.textContent = t("save.outside", { width: picture?.size.width ?? 0, height: picture?.size.height ?? 0 });
    else this.said.textContent = t("save.size", { width: area.width * scale, height: area.height * scale });
    return fault === null;
  }

  private async save(): Promise<void> {
    const { picture } = this.stage;
    if (!this.check() || !picture) return;
    const { area, scale } = this.wish;
    try {
      download(await snapshot(picture, this.colors(), area, scale), `pixelwall-${area.x}-${area.y}-${area.width}x${area.height}.png`);
    } catch (err) {
      console.warn("pixelwall: no picture could be made", err);
      this.said.dataset.tone = "bad";
      this.said.textContent = t("save.failed");
      return;
    }
    this.dialog.close();
  }
}

function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
