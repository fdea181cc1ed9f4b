// The whole canvas in a corner, with the part that is seen. A click or a drag in
// it goes there. It is painted anew a few times a second at most, a few rows with
// each frame of the page, so that no frame waits for it.

import type { Picture } from "../board/picture";
import type { Stage } from "../stage";
import { preference } from "../preferences";
import type { Size } from "../wire/geometry";
import { byID } from "./dom";

const longest = 144; // CSS pixels
const everyMS = 500;
const rowsAtOnce = 12;
const samples = [0.25, 0.75]; // of a pixel, in both directions

export class Minimap {
  private readonly root = byID("minimap");
  private readonly canvas = this.root.querySelector("canvas") as HTMLCanvasElement;
  private readonly small = matchMedia("(max-width: 640px), (max-height: 520px)"); // no room for it
  private readonly frame = this.root.querySelector("i") as HTMLElement;
  private image = new ImageData(1, 1);
  private dirty = true;
  private begunMS = 0; // of the pass that is painted now, or was painted last
  private nextRow = Infinity; // of this pass

  constructor(private readonly stage: Stage, private readonly rgbOf: (color: number) => number, go: (x: number, y: number) => void) {
    const goTo = (e: PointerEvent) => {
      const { picture } = stage;
      const area = this.canvas.getBoundingClientRect();
      if (picture) go(((e.clientX - area.left) / area.width) * picture.size.width, ((e.clientY - area.top) / area.height) * picture.size.height);
    };
    this.root.addEventListener("pointerdown", (e) => {
      if (e.isTrusted) this.root.setPointerCapture(e.pointerId);
      goTo(e);
    });
    this.root.addEventListener("pointermove", (e) => this.root.hasPointerCapture(e.pointerId) && goTo(e));
  }

  /** Something of the picture, or how it is shown, has changed. */
  soil(): void {
    this.dirty = true;
  }

  /** Moves the frame to what is seen; after each frame of the page. */
  follow(): void {
    const { picture } = this.stage;
    const seen = this.stage.inView();
    const all = !picture || (seen.width === picture.size.width && seen.height === picture.size.height);
    this.root.hidden = all || !picture.ready || this.small.matches || !preference("minimap");
    if (!picture || this.root.hidden) return;
    const scale = longest / Math.max(picture.size.width, picture.size.height);
    this.frame.style.transform = `translate(${seen.x * scale}px, ${seen.y * scale}px)`;
    this.frame.style.width = `${Math.max(4, seen.width * scale)}px`;
    this.frame.style.height = `${Math.max(4, seen.height * scale)}px`;
    if (this.paint(performance.now())) this.stage.request();
  }

  /** Paints the rows that are due. True: more are. */
  paint(nowMS: number): boolean {
    const { picture } = this.stage;
    if (!picture?.ready || this.root.hidden) return false;
    if (this.nextRow >= this.image.height) {
      if (!this.dirty || nowMS - this.begunMS < everyMS) return false;
      this.dirty = false;
      this.begunMS = nowMS;
      this.nextRow = 0;
      this.fit(picture.size);
    }
    const end = Math.min(this.image.height, this.nextRow + rowsAtOnce);
    for (let y = this.nextRow; y < end; y++) this.paintRow(picture, y);
    this.canvas.getContext("2d")?.putImageData(this.image, 0, 0, 0, this.nextRow, this.image.width, end - this.nextRow);
    this.nextRow = end;
    return end < this.image.height;
  }

  private fit(size: Size): void {
    const scale = longest / Math.max(size.width, size.height);
    const width = Math.max(1, Math.round(size.width * scale));
    const height = Math.max(1, Math.round(size.height * scale));
    if (this.image.width === width && this.image.height === height) return;
    this.canvas.width = width;
    this.canvas.height = height;
    this.image = new ImageData(width, height);
  }

  private paintRow(picture: Picture, y: number): void {
    const { width, height, data } = this.image;
    const { size } = picture;
    for (let x = 0, at = 4 * y * width; x < width; x++, at += 4) {
      let red = 0;
      let green = 0;
      let blue = 0;
      for (const dy of samples) {
        for (const dx of samples) {
          const rgb = this.rgbOf(picture.at(Math.floor(((x + dx) / width) * size.width), Math.floor(((y + dy) / height) * size.height)));
          red += rgb >> 16;
          green += (rgb >> 8) & 0xff;
          blue += rgb & 0xff;
        }
      }
      data[at] = red / 4;
      data[at + 1] = green / 4;
      data[at + 2] = blue / 4;
      data[at + 3] = 255;
    }
  }
}
