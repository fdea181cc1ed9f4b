// The magnifier above a finger: what the finger covers, with the aimed cell marked.

import type { Picture } from "../board/picture";
import { t } from "../i18n/i18n";
import { byID, hex } from "./dom";

const cells = 7; // across; odd, so that one is in the middle
const side = 20; // CSS pixels a cell
const above = 44; // between the finger and the lens
const rim = 8;

export interface Aim {
  px: number; // of the finger, in the window
  py: number;
  x: number; // of the cell
  y: number;
  ripe: boolean; // lifting now tells about the cell
}

export class Lens {
  private readonly root = byID("lens");
  private readonly canvas = this.root.querySelector("canvas") as HTMLCanvasElement;
  private readonly caption = this.root.querySelector("span") as HTMLElement;

  constructor(private readonly rgbOf: (color: number) => number) {}

  show(picture: Picture, aim: Aim): void {
    this.root.hidden = false;
    this.draw(picture, aim);
    this.caption.textContent = aim.ripe ? t("lens.ripe") : `${aim.x}, ${aim.y}`;
    const { offsetWidth: width, offsetHeight: height } = this.root;
    const fits = aim.py - above - height >= rim;
    const beside = aim.px > innerWidth / 2 ? aim.px - above - width : aim.px + above;
    const left = Math.min(innerWidth - width - rim, Math.max(rim, fits ? aim.px - width / 2 : beside));
    const top = fits ? aim.py - above - height : rim;
    this.root.style.transform = `translate(${left}px, ${top}px)`;
  }

  hide(): void {
    this.root.hidden = true;
  }

  private draw(picture: Picture, aim: Aim): void {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    canvas.width = canvas.height = Math.round(cells * side * ratio);
    const context = canvas.getContext("2d");
    if (!context) return;
    const middle = (cells - 1) / 2;
    const edge = (i: number) => Math.round(i * side * ratio);
    for (let j = 0; j < cells; j++) {
      for (let i = 0; i < cells; i++) {
        const [x, y] = [aim.x - middle + i, aim.y - middle + j];
        if (!picture.contains(x, y)) continue; // there the paper is seen
        context.fillStyle = hex(this.rgbOf(picture.at(x, y)));
        context.fillRect(edge(i), edge(j), edge(i + 1) - edge(i), edge(j + 1) - edge(j));
      }
    }
    // A light ring in a dark one is seen on every colour.
    for (const [color, out] of [["#1c1b19", 2.5], ["#fff", 1]] as const) {
      context.strokeStyle = color;
      context.lineWidth = 2 * ratio;
      const at = (middle * side - out) * ratio;
      context.strokeRect(at, at, (side + 2 * out) * ratio, (side + 2 * out) * ratio);
    }
  }
}
