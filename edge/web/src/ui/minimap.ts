// The whole canvas in a corner, with the part that is seen. A click or a drag in
// it goes there. It is painted anew a few times a second at most, and only the
// frame moves with every frame of the page.

import type { Stage } from "../stage";
import { preference } from "../preferences";
import { byID } from "./dom";

const longest = 144; // CSS pixels
const everyMS = 500;
const samples = [0.25, 0.75]; // of a pixel, in both directions

export class Minimap {
  private readonly root = byID("minimap");
  private readonly canvas = this.root.querySelector("canvas") as HTMLCanvasElement;
  private readonly frame = this.root.querySelector("i") as HTMLElement;
  private dirty = true;
  private paintedMS = 0;

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
    this.root.hidden = all || !preference("minimap");
    if (!picture || this.root.hidden) return;
    const scale = longest / Math.max(picture.size.width, picture.size.height);
    this.frame.style.transform = `translate(${seen.x * scale}px, ${seen.y * scale}px)`;
    this.frame.style.width = `${Math.max(4, seen.width * scale)}px`;
    this.frame.style.height = `${Math.max(4, seen.height * scale)}px`;
    this.paint(performance.now());
  }

  /** Paints it where it is due. */
  paint(nowMS: number): void {
    const { picture } = this.stage;
    if (!this.dirty || !picture?.ready || this.root.clientWidth === 0 || nowMS - this.paintedMS < everyMS) return;
    this.dirty = false;
    this.paintedMS = nowMS;
    const { size } = picture;
    const scale = longest / Math.max(size.width, size.height);
    const width = Math.max(1, Math.round(size.width * scale));
    const height = Math.max(1, Math.round(size.height * scale));
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    const image = new ImageData(width, height);
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++, at += 4) {
        const sum = [0, 0, 0];
        for (const dy of samples) {
          for (const dx of samples) {
            const rgb = this.rgbOf(picture.at(Math.floor(((x + dx) / width) * size.width), Math.floor(((y + dy) / height) * size.height)));
            sum[0] += rgb >> 16;
            sum[1] += (rgb >> 8) & 0xff;
            sum[2] += rgb & 0xff;
          }
        }
        image.data.set([sum[0] / 4, sum[1] / 4, sum[2] / 4, 255], at);
      }
    }
    this.canvas.getContext("2d")?.putImageData(image, 0, 0);
  }
}
