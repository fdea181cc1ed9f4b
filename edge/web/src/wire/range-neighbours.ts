// The colours around a pixel, the heaviest first: CODEC.md section 3.3. The
// canvas is the one before the batch; what the batch has changed in this row and
// the one above is remembered beside it.

import type { Area } from "./codec";

const weightBeside = 3;
const weightDiagonal = 1;
const weightChanged = 2;
const offeredMax = 4;

export class Neighbours {
  /** Of the count candidates, the first offered ones are asked for. */
  count = 0;
  offered = 0;
  readonly colors = new Uint8Array(8);
  readonly weights = new Uint8Array(8);
  private area: Area = { pixels: new Uint8Array(0), width: 1, height: 1, bits: 4 };
  // Per column, for odd and even rows: (row + 1) << 8 | colour of the last change.
  private readonly changes = [new Uint32Array(0), new Uint32Array(0)];
  private readonly byColor = new Uint8Array(256); // all zero between two pixels
  private own = 0;
  private x = 0;
  private y = 0;

  start(area: Area): void {
    this.area = area;
    for (const i of [0, 1]) {
      if (this.changes[i].length < area.width) this.changes[i] = new Uint32Array(area.width);
      else this.changes[i].fill(0);
    }
  }

  /** The pixel that look was at last has been changed to color. */
  changed(color: number): void {
    this.changes[this.y & 1][this.x] = ((this.y + 1) << 8) | color;
  }

  look(index: number): void {
    const { width, height, pixels } = this.area;
    const y = Math.floor(index / width);
    const x = index - y * width;
    const left = x > 0;
    const right = x + 1 < width;
    const down = y + 1 < height;
    this.x = x;
    this.y = y;
    this.own = pixels[index];
    this.count = 0;
    if (left) this.add(index - 1, x - 1, y, weightBeside);
    if (y > 0) this.add(index - width, x, y - 1, weightBeside);
    if (right) this.plain(pixels[index + 1], weightBeside);
    if (down) this.plain(pixels[index + width], weightBeside);
    if (y > 0) {
      if (left) this.add(index - width - 1, x - 1, y - 1, weightDiagonal);
      if (right) this.add(index - width + 1, x + 1, y - 1, weightDiagonal);
    }
    if (down) {
      if (left) this.plain(pixels[index + width - 1], weightDiagonal);
      if (right) this.plain(pixels[index + width + 1], weightDiagonal);
    }
    this.sort();
    this.offered = Math.min(this.count, offeredMax);
  }

  /** A neighbour that this batch may have changed. */
  private add(index: number, x: number, y: number, weight: number): void {
    const change = this.changes[y & 1][x];
    if (change >>> 8 === y + 1) this.plain(change & 0xff, weight + weightChanged);
    else this.plain(this.area.pixels[index], weight);
  }

  private plain(color: number, weight: number): void {
    if (color === this.own) return;
    if (this.byColor[color] === 0) this.colors[this.count++] = color;
    this.byColor[color] += weight;
  }

  /** A stable insertion sort; clears byColor. */
  private sort(): void {
    const { colors, weights, byColor } = this;
    for (let i = 0; i < this.count; i++) {
      const color = colors[i];
      const weight = byColor[color];
      byColor[color] = 0;
      let k = i;
      for (; k > 0 && weights[k - 1] < weight; k--) {
        colors[k] = colors[k - 1];
        weights[k] = weights[k - 1];
      }
      colors[k] = color;
      weights[k] = weight;
    }
  }
}
