// A sign on every colour, for people to whom some colours look alike: its number
// in the palette, which is also its key. All signs are drawn once, into one
// picture of 16 × 16 tiles.

import type { Cells, View } from "./renderer";

const tileSide = 64;
const across = 16;
const strength = 0.9;
const unit = 10;

/** What stands for a colour. */
export function signOf(color: number): string {
  return String(color + 1);
}

/** Whether a dark sign reads better on a colour; the shader's own rule. */
export function takesDarkSign(rgb: number): boolean {
  return 0.3 * (rgb >> 16) + 0.6 * ((rgb >> 8) & 0xff) + 0.1 * (rgb & 0xff) > 0.5 * 255;
}

/** All signs in one ink, on ground or on nothing. */
function drawSigns(ink: string, ground: string | null): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = tileSide * across;
  const context = canvas.getContext("2d");
  if (!context) throw new Error("no 2D context");
  if (ground) {
    context.fillStyle = ground;
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  context.fillStyle = ink;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let color = 0; color < across * across; color++) {
    const sign = signOf(color);
    context.font = `700 ${sign.length < 3 ? 34 : 26}px ui-sans-serif, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif`;
    context.fillText(sign, ((color % across) + 0.5) * tileSide, (Math.floor(color / across) + 0.53) * tileSide);
  }
  return canvas;
}

/** GLSL: signedColor(color, number, at) with at in cells. */
export const signSource = `
uniform sampler2D signs;
uniform float signStrength;
vec3 signedColor(vec3 color, int number, vec2 at) {
  if (signStrength == 0.0) return color;
  vec2 spot = (vec2(number & 15, number >> 4) + fract(at)) / ${across.toFixed(1)};
  float ink = textureLod(signs, spot, max(0.0, log2(${tileSide.toFixed(1)} / scale))).r;
  float light = dot(color, vec3(0.3, 0.6, 0.1));
  return mix(color, vec3(light > 0.5 ? 0.0 : 1.0), ink * signStrength);
}`;

/** The signs as a texture; drawn when they are first wanted, and again after a lost context. */
export class SignTexture {
  private readonly place: WebGLUniformLocation | null;
  private made = false;

  constructor(private readonly gl: WebGL2RenderingContext, program: WebGLProgram) {
    this.place = gl.getUniformLocation(program, "signStrength");
    gl.uniform1i(gl.getUniformLocation(program, "signs"), unit);
  }

  use(share: number): void {
    const { gl } = this;
    if (share > 0 && !this.made) this.make();
    gl.uniform1f(this.place, share * strength);
  }

  private make(): void {
    const { gl } = this;
    this.made = true;
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, gl.RED, gl.UNSIGNED_BYTE, drawSigns("#fff", "#000"));
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    gl.activeTexture(gl.TEXTURE0);
  }
}

/** The same for Canvas 2D. */
export class SignPicture {
  private inks: { dark: HTMLCanvasElement; light: HTMLCanvasElement } | null = null;

  /** Draws the sign of every cell in view; numberAt and rgbOf say what is there. */
  draw(
    context: CanvasRenderingContext2D, view: View, cells: Cells,
    numberAt: (x: number, y: number) => number, rgbOf: (color: number) => number,
  ): void {
    if (view.glyphs === 0) return;
    this.inks ??= { dark: drawSigns("#000", null), light: drawSigns("#fff", null) };
    context.globalAlpha = view.glyphs * strength;
    context.imageSmoothingEnabled = true;
    for (let y = cells.fromY; y < cells.toY; y++) {
      for (let x = cells.fromX; x < cells.toX; x++) {
        const color = numberAt(x, y);
        const ink = takesDarkSign(rgbOf(color)) ? this.inks.dark : this.inks.light;
        const [left, top] = [view.originX + x * view.scale, view.originY + y * view.scale];
        context.drawImage(ink, (color % across) * tileSide, Math.floor(color / across) * tileSide, tileSide, tileSide, left, top, view.scale, view.scale);
      }
    }
    context.globalAlpha = 1;
  }
}
