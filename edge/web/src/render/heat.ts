// The heat map, above the picture: the picture is dimmed and what is warm glows.
// The light rises with the warmth, so that it can be read without colours.

import { heatBlock, type HeatField } from "../board/heat";
import type { Size } from "../wire/geometry";
import type { View } from "./renderer";

/** Of a warmth from 0 to 1: red, green, blue, and how much of it covers the picture. */
export const heatStops = [
  { at: 0, color: [110, 20, 70, 0] },
  { at: 0.3, color: [205, 55, 45, 0.8] },
  { at: 0.65, color: [250, 150, 40, 0.92] },
  { at: 1, color: [255, 244, 200, 1] },
] as const;

const shade = [18, 18, 22, 0.55] as const;
const heatUnit = 8;
const rampUnit = 9;

/** 256 colours R, G, B, A from cold to hot. */
export function heatRamp(): Uint8ClampedArray<ArrayBuffer> {
  const ramp = new Uint8ClampedArray(256 * 4);
  for (let i = 0; i < 256; i++) {
    const at = i / 255;
    const next = Math.max(1, heatStops.findIndex((s) => s.at >= at));
    const [from, to] = [heatStops[next - 1], heatStops[next]];
    const share = (at - from.at) / (to.at - from.at);
    for (let k = 0; k < 4; k++) {
      const value = from.color[k] + (to.color[k] - from.color[k]) * share;
      ramp[4 * i + k] = k === 3 ? 255 * value : value;
    }
  }
  return ramp;
}

const vec3 = shade.slice(0, 3).map((v) => (v / 255).toFixed(4)).join(", ");

/** GLSL: warmed(color, at) with at in cells. */
export const heatSource = `
uniform sampler2D heat;
uniform sampler2D heatRamp;
uniform vec2 heatCells; // that the texture spans; 0: no heat map
vec3 warmed(vec3 color, vec2 at) {
  if (heatCells.x == 0.0) return color;
  float warmth = textureLod(heat, at / heatCells, 0.0).r;
  vec4 glow = textureLod(heatRamp, vec2((warmth * 255.0 + 0.5) / 256.0, 0.5), 0.0);
  return mix(mix(color, vec3(${vec3}), ${shade[3].toFixed(2)}), glow.rgb, glow.a);
}`;

/** The heat map's textures; made again after a lost context. */
export class HeatTexture {
  private readonly cells: WebGLUniformLocation | null;

  constructor(private readonly gl: WebGL2RenderingContext, program: WebGLProgram) {
    this.cells = gl.getUniformLocation(program, "heatCells");
    gl.uniform1i(gl.getUniformLocation(program, "heat"), heatUnit);
    gl.uniform1i(gl.getUniformLocation(program, "heatRamp"), rampUnit);
    this.fill(rampUnit, gl.RGBA8, gl.RGBA, 256, 1, new Uint8Array(heatRamp().buffer));
  }

  set(field: HeatField | null): void {
    this.gl.uniform2f(this.cells, (field?.width ?? 0) * heatBlock, (field?.height ?? 0) * heatBlock);
    if (field) this.fill(heatUnit, this.gl.R8, this.gl.RED, field.width, field.height, field.bytes);
  }

  private fill(unit: number, internal: number, format: number, width: number, height: number, bytes: Uint8Array): void {
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE0 + unit);
    if (!gl.getParameter(gl.TEXTURE_BINDING_2D)) {
      gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
      for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
      for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, filter, gl.LINEAR);
    }
    gl.texImage2D(gl.TEXTURE_2D, 0, internal, width, height, 0, format, gl.UNSIGNED_BYTE, bytes);
    gl.activeTexture(gl.TEXTURE0);
  }
}

/** The same for Canvas 2D. */
export class HeatPicture {
  private readonly canvas = document.createElement("canvas");
  private readonly ramp = heatRamp();
  private shown = false;

  set(field: HeatField | null): void {
    this.shown = field !== null;
    if (!field) return;
    this.canvas.width = field.width;
    this.canvas.height = field.height;
    const image = new ImageData(field.width, field.height);
    field.bytes.forEach((warmth, i) => image.data.set(this.ramp.subarray(4 * warmth, 4 * warmth + 4), 4 * i));
    this.canvas.getContext("2d")?.putImageData(image, 0, 0);
  }

  draw(context: CanvasRenderingContext2D, view: View, size: Size): void {
    if (!this.shown) return;
    const [x, y, width, height] = [view.originX, view.originY, size.width * view.scale, size.height * view.scale].map(Math.round);
    const [red, green, blue, alpha] = shade;
    context.fillStyle = `rgb(${red} ${green} ${blue} / ${alpha})`;
    context.fillRect(x, y, width, height);
    context.imageSmoothingEnabled = true;
    context.drawImage(this.canvas, 0, 0, size.width / heatBlock, size.height / heatBlock, x, y, width, height);
  }
}
