// Looking at the canvas, apart from painting: how colours are seen, the heat map,
// the minimap, the magnifier, the ways to get somewhere, pictures and full screen.

import { Heat } from "./board/heat";
import type { Place } from "./camera/link";
import { aimScale } from "./painter";
import { onPreference, prefer, preference, type Preferences } from "./preferences";
import { heatStops } from "./render/heat";
import { seenAll } from "./render/vision";
import type { Stage } from "./stage";
import { byID } from "./ui/dom";
import { GoTo } from "./ui/goto";
import { Lens } from "./ui/lens";
import { Minimap } from "./ui/minimap";
import type { PaletteBar } from "./ui/palette";
import { SaveDialog } from "./ui/save";
import type { Size } from "./wire/geometry";
import type { Color } from "./wire/messages";

const heatEveryMS = 1000; // slow enough that nothing flashes
const linkScale = 16; // where a place names no zoom

export interface LookingParts {
  stage: Stage;
  palette: PaletteBar;
  /** Moves the camera, with everything that belongs to it. */
  move(go: () => void): void;
  /** Puts the cell cursor on a cell that is gone to. */
  point(x: number, y: number): void;
  /** Pans by shares of the window. */
  pan(dx: number, dy: number): void;
}

export class Looking {
  private readonly minimap: Minimap;
  private readonly lens: Lens;
  private readonly goTo: GoTo;
  private readonly save: SaveDialog;
  private colors: Color[] = []; // as they are
  private heat: Heat | null = null;

  constructor(private readonly parts: LookingParts) {
    const { stage, palette } = parts;
    const rgbOf = (color: number) => palette.rgbOf(color);
    const { camera } = stage;
    this.lens = new Lens(rgbOf);
    this.minimap = new Minimap(stage, rgbOf, (x, y) => parts.move(() => camera.jumpTo(x, y, camera.scale)));
    this.goTo = new GoTo(() => stage.picture?.size ?? null, (place) => this.go(place));
    this.save = new SaveDialog(stage, () => this.colors);
    byID("zoom-actual").addEventListener("click", () => stage.actualSize());
    byID("save-open").addEventListener("click", () => {
      byID<HTMLDialogElement>("settings").close();
      this.save.open();
    });
    this.bindPad();
    this.bindFullScreen();
    const stops = heatStops.map((s) => `rgb(${s.color.slice(0, 3).join(" ")}) ${100 * s.at}%`);
    (byID("legend").querySelector("i") as HTMLElement).style.setProperty("--heat", stops.join(", "));
    onPreference((name) => this.preferred(name));
    this.showSwitches();
    setInterval(() => this.tick(), heatEveryMS);
  }

  /** Takes the true palette, and shows it as it is to be seen. */
  setColors(colors: Color[]): void {
    this.colors = colors;
    const shown = seenAll(colors, preference("vision"));
    this.parts.palette.setColors(shown);
    this.parts.stage.setColors(shown);
    this.minimap.soil();
  }

  /** A whole shard has come. */
  loaded(): void {
    this.minimap.soil();
  }

  /** Pixels have changed; fresh: people painted them just now. */
  changed(shard: number, changes: Uint32Array, fresh: boolean): void {
    this.minimap.soil();
    const size = this.parts.stage.picture?.size;
    if (!size || !fresh) return;
    const nowMS = Date.now();
    this.heatOf(size, nowMS).add(shard, changes, nowMS);
  }

  /** After each frame. */
  drawn(): void {
    this.minimap.follow();
  }

  /** Shows what is under a finger; false where there is none that could be aimed at. */
  aim(px: number, py: number, ripe: boolean): boolean {
    const { stage } = this.parts;
    const cell = stage.cellAt(px, py);
    if (!stage.picture || stage.camera.scale < aimScale.touch) return false;
    if (cell) this.lens.show(stage.picture, { px, py, ...cell, ripe });
    else this.lens.hide();
    return cell !== null;
  }

  aimed(): void {
    this.lens.hide();
  }

  openGoTo(): void {
    this.goTo.open();
  }

  toggleFullScreen(): void {
    if (!document.fullscreenEnabled) return;
    if (document.fullscreenElement) void document.exitFullscreen();
    else void document.documentElement.requestFullscreen();
  }

  private go({ x, y, scale }: Place): void {
    const { camera } = this.parts.stage;
    this.parts.move(() => camera.flyTo(x + 0.5, y + 0.5, scale ?? Math.max(linkScale, camera.scale)));
    this.parts.point(x, y);
  }

  private bindPad(): void {
    byID("pad-toggle").addEventListener("click", () => prefer("pad", !preference("pad")));
    for (const [id, dx, dy] of [["pad-up", 0, -1], ["pad-left", -1, 0], ["pad-right", 1, 0], ["pad-down", 0, 1]] as const) {
      byID(id).addEventListener("click", () => this.parts.pan(dx, dy));
    }
  }

  private bindFullScreen(): void {
    const button = byID("full-screen");
    button.hidden = !document.fullscreenEnabled;
    button.addEventListener("click", () => {
      byID<HTMLDialogElement>("settings").close();
      this.toggleFullScreen();
    });
  }

  private preferred(name: keyof Preferences): void {
    this.showSwitches();
    if (name === "vision") this.setColors(this.colors);
    if (name === "heat") this.showHeat();
    this.parts.stage.request();
  }

  private showSwitches(): void {
    byID("pad").hidden = !preference("pad");
    byID("pad-toggle").setAttribute("aria-expanded", String(preference("pad")));
    byID("legend").hidden = !preference("heat");
    byID("palette").toggleAttribute("data-glyphs", preference("glyphs"));
  }

  private tick(): void {
    if (document.hidden) return;
    this.minimap.follow();
    if (preference("heat")) this.showHeat();
  }

  private showHeat(): void {
    const { stage } = this.parts;
    const size = stage.picture?.size;
    if (!size) return;
    const nowMS = Date.now();
    stage.renderer.setHeat(preference("heat") ? this.heatOf(size, nowMS).field(nowMS) : null);
    stage.request();
  }

  private heatOf(size: Size, nowMS: number): Heat {
    this.heat ??= new Heat(size, nowMS);
    if (!this.heat.fits(size)) this.heat = this.heat.grown(size);
    return this.heat;
  }
}
