// Templates in WebGL2: a texture array like the board's, colour and slot a cell,
// and a uniform for each slot. What is wrong the shader sees by itself, as both
// textures are at hand, so a tick uploads nothing here.

import { templatesMax } from "../templates/template";
import type { Slot } from "../templates/overlay";
import { shardColumn, shardRow, shardSide } from "../wire/geometry";
import { dotReach, farMark, frameMin, frameRGB, frameShare, nearScale } from "./marks";

const unit = 6;

const float = (v: number) => (Number.isInteger(v) ? `${v}.0` : String(v));

/** Expects board, palette, scale, size and columns; covered is for what lies flat, marked for what is inside a cell. */
export const overlayShader = `
uniform usampler2DArray overlay;
uniform vec4 slots[${templatesMax}]; // opacity, dots, highlight
uniform bool overlaid;
const vec3 frameColor = vec3(${frameRGB.map((v) => float(v / 255)).join()});

vec3 covered(vec3 color, uint own, ivec2 p, int layer) {
  if (!overlaid) return color;
  uvec2 above = texelFetch(overlay, ivec3(p & 511, layer), 0).rg;
  if (above.g == 0u) return color;
  vec4 slot = slots[above.g - 1u];
  bool near = scale >= ${float(nearScale)};
  if (slot.z > 0.5) {
    if (above.r == own) return color;
    if (!near) return mix(color, frameColor, ${float(farMark)});
  }
  if (slot.y > 0.5 && near) return color;
  return mix(color, texelFetch(palette, ivec2(int(above.r), 0), 0).rgb, slot.x);
}

vec3 marked(vec3 color, vec2 at) {
  if (!overlaid || scale < ${float(nearScale)}) return color;
  ivec2 p = clamp(ivec2(floor(at)), ivec2(0), size - 1);
  int layer = (p.y >> 9) * columns + (p.x >> 9);
  uvec2 above = texelFetch(overlay, ivec3(p & 511, layer), 0).rg;
  if (above.g == 0u) return color;
  vec4 slot = slots[above.g - 1u];
  bool wrong = above.r != texelFetch(board, ivec3(p & 511, layer), 0).r;
  if (slot.z > 0.5 && !wrong) return color;
  vec2 off = abs(fract(at) - 0.5);
  float away = max(off.x, off.y);
  if (slot.y > 0.5) {
    vec3 dot_ = texelFetch(palette, ivec2(int(above.r), 0), 0).rgb;
    color = mix(color, dot_, slot.x * clamp((${float(dotReach)} - away) * scale + 0.5, 0.0, 1.0));
  }
  if (slot.z > 0.5) {
    float fromEdge = (0.5 - away) * scale;
    float thick = max(${float(frameMin)}, ${float(frameShare)} * scale);
    color = mix(color, vec3(1.0), clamp(1.5 * thick - fromEdge + 0.5, 0.0, 1.0));
    color = mix(color, frameColor, clamp(thick - fromEdge + 0.5, 0.0, 1.0));
  }
  return color;
}
`;

export class GLOverlay {
  private readonly slots: WebGLUniformLocation | null;
  private readonly overlaid: WebGLUniformLocation | null;
  private texture: WebGLTexture | null = null; // made when there is a first template
  private columns = 1;
  private rows = 1;

  constructor(private readonly gl: WebGL2RenderingContext, program: WebGLProgram) {
    gl.uniform1i(gl.getUniformLocation(program, "overlay"), unit);
    this.slots = gl.getUniformLocation(program, "slots");
    this.overlaid = gl.getUniformLocation(program, "overlaid");
  }

  /** Another canvas size; forgets all tiles. */
  resize(columns: number, rows: number): void {
    this.columns = columns;
    this.rows = rows;
    this.gl.deleteTexture(this.texture);
    this.texture = null;
  }

  upload(shard: number, tile: Uint8Array): void {
    const { gl } = this;
    const layer = shardRow(shard) * this.columns + shardColumn(shard);
    gl.activeTexture(gl.TEXTURE0 + unit);
    this.texture ??= this.make();
    gl.texSubImage3D(gl.TEXTURE_2D_ARRAY, 0, 0, 0, layer, shardSide, shardSide, 1, gl.RG_INTEGER, gl.UNSIGNED_BYTE, tile);
    gl.activeTexture(gl.TEXTURE0);
  }

  setSlots(slots: Slot[]): void {
    const values = new Float32Array(4 * templatesMax);
    slots.forEach((slot, i) => values.set([slot.opacity, Number(slot.dots), Number(slot.highlight), 0], 4 * i));
    this.gl.uniform4fv(this.slots, values);
    this.gl.uniform1i(this.overlaid, slots.length > 0 ? 1 : 0);
  }

  private make(): WebGLTexture {
    const { gl } = this;
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, texture);
    gl.texStorage3D(gl.TEXTURE_2D_ARRAY, 1, gl.RG8UI, shardSide, shardSide, this.columns * this.rows);
    gl.texParameteri(gl.TEXTURE_2D_ARRAY, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D_ARRAY, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    return texture;
  }
}
