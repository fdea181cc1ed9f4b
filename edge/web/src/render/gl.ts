// WebGL2: one byte a pixel in a texture array, a layer a shard, and the palette
// in a texture of its own, so that a batch uploads bytes and a new palette
// uploads 1 KiB. The fragment shader averages what a device pixel covers: cells
// keep sharp edges at every zoom and device pixel ratio, and none disappears
// when the canvas is far away.

import type { HeatField } from "../board/heat";
import { shardColumn, shardRow, shardSide, type Size } from "../wire/geometry";
import type { Color } from "../wire/messages";
import { SignTexture, signSource } from "./glyphs";
import { HeatTexture, heatSource } from "./heat";
import { GLOverlay, overlayShader } from "./gl-overlay";
import type { Slot } from "../templates/overlay";
import type { Renderer, RendererNews, View } from "./renderer";

const vertexSource = `#version 300 es
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0;
  gl_Position = vec4(corner, 0.0, 1.0);
}`;

const fragmentSource = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2DArray;
uniform usampler2DArray board;
uniform sampler2D palette;
uniform vec2 origin;
uniform float scale;
uniform float viewHeight;
uniform float grid;
uniform ivec2 size;
uniform int columns;
out vec4 result;

${heatSource}
${signSource}
${overlayShader}

int number(ivec2 p) {
  p = clamp(p, ivec2(0), size - 1);
  int layer = (p.y >> 9) * columns + (p.x >> 9);
  return int(texelFetch(board, ivec3(p & 511, layer), 0).r);
}

vec3 cell(ivec2 p) {
  p = clamp(p, ivec2(0), size - 1);
  int color = number(p);
  return covered(texelFetch(palette, ivec2(color, 0), 0).rgb, uint(color), p, (p.y >> 9) * columns + (p.x >> 9));
}

void main() {
  vec2 at = (vec2(gl_FragCoord.x, viewHeight - gl_FragCoord.y) - origin) / scale;
  vec2 beyond = max(max(-at, at - vec2(size)), 0.0) * scale;
  if (beyond.x + beyond.y > 0.0) {
    result = vec4(0.0, 0.0, 0.0, 0.22 * exp(-length(beyond) / 14.0));
    return;
  }
  float half_ = 0.5 / scale;
  ivec2 a = ivec2(floor(at - half_));
  ivec2 b = ivec2(floor(at + half_));
  vec3 color;
  if (a == b) {
    color = cell(a);
  } else if (scale >= 1.0) {
    vec2 share = fract(at + half_) * scale;
    if (a.x == b.x) share.x = 0.0;
    if (a.y == b.y) share.y = 0.0;
    color = mix(
      mix(cell(a), cell(ivec2(b.x, a.y)), share.x),
      mix(cell(ivec2(a.x, b.y)), cell(b), share.x), share.y);
  } else {
    int n = min(int(ceil(1.0 / scale)) + 1, 12);
    vec3 sum = vec3(0.0);
    for (int j = 0; j < n; j++) {
      for (int i = 0; i < n; i++) {
        vec2 part = (vec2(i, j) + 0.5) / float(n) - 0.5;
        sum += cell(ivec2(floor(at + part / scale)));
      }
    }
    color = sum / float(n * n);
  }
  color = marked(color, at);
  color = signedColor(color, number(ivec2(floor(at))), at);
  if (grid > 0.0) {
    vec2 edge = fract(at) * scale;
    float light = dot(color, vec3(0.3, 0.6, 0.1));
    if (edge.x < 1.0 || edge.y < 1.0) color = mix(color, vec3(light > 0.5 ? 0.0 : 1.0), 0.14 * grid);
  }
  result = vec4(warmed(color, at), 1.0);
}`;

const uniformNames = ["origin", "scale", "viewHeight", "grid", "size", "columns", "board", "palette"] as const;

/** A lost context comes back in a moment, or not at all. */
const patienceMS = 5_000;

export class GLRenderer implements Renderer {
  readonly kind = "webgl2";
  private readonly gl: WebGL2RenderingContext;
  private places = new Map<string, WebGLUniformLocation | null>();
  private size: Size = { width: 1, height: 1 };
  private lost = false;
  private overlay: GLOverlay | null = null;
  private heat!: HeatTexture; // both made by build
  private signs!: SignTexture;

  constructor(readonly canvas: HTMLCanvasElement, news: RendererNews) {
    const gl = canvas.getContext("webgl2", { alpha: true, antialias: false, depth: false, premultipliedAlpha: true });
    if (!gl) throw new Error("no WebGL2 context");
    this.gl = gl;
    this.build();
    let timer = 0;
    canvas.addEventListener("webglcontextlost", (e) => {
      e.preventDefault(); // asks for a new context
      this.lost = true;
      timer = setTimeout(() => news.gone(), patienceMS) as unknown as number;
    });
    canvas.addEventListener("webglcontextrestored", () => {
      clearTimeout(timer);
      try {
        this.build();
      } catch {
        return news.gone();
      }
      this.lost = false;
      news.renewed();
    });
  }

  private build(): void {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, vertexSource], [gl.FRAGMENT_SHADER, fragmentSource]] as const) {
      const shader = gl.createShader(type);
      if (!shader) throw new Error("no shader");
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? "shader");
    gl.useProgram(program);
    for (const name of uniformNames) this.places.set(name, gl.getUniformLocation(program, name));
    gl.uniform1i(this.place("board"), 0);
    gl.uniform1i(this.place("palette"), 1);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, 256, 1);
    nearest(gl, gl.TEXTURE_2D);
    gl.activeTexture(gl.TEXTURE0);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    this.overlay = new GLOverlay(gl, program);
    this.heat = new HeatTexture(gl, program);
    this.signs = new SignTexture(gl, program);
  }

  private place(name: (typeof uniformNames)[number]): WebGLUniformLocation | null {
    return this.places.get(name) ?? null;
  }

  resize(width: number, height: number): void {
    this.canvas.width = width;
    this.canvas.height = height;
    this.gl.viewport(0, 0, width, height);
  }

  setSize(size: Size): void {
    const { gl } = this;
    this.size = size;
    const columns = (size.width + shardSide - 1) >> 9;
    const rows = (size.height + shardSide - 1) >> 9;
    gl.deleteTexture(gl.getParameter(gl.TEXTURE_BINDING_2D_ARRAY) as WebGLTexture | null);
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, gl.createTexture());
    gl.texStorage3D(gl.TEXTURE_2D_ARRAY, 1, gl.R8UI, shardSide, shardSide, columns * rows);
    nearest(gl, gl.TEXTURE_2D_ARRAY);
    gl.uniform2i(this.place("size"), size.width, size.height);
    gl.uniform1i(this.place("columns"), columns);
    this.overlay?.resize(columns, rows);
  }

  setPalette(colors: Color[]): void {
    const { gl } = this;
    const bytes = new Uint8Array(256 * 4);
    colors.forEach((c, i) => bytes.set([c.rgb >> 16, (c.rgb >> 8) & 0xff, c.rgb & 0xff, 255], 4 * i));
    gl.activeTexture(gl.TEXTURE1);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, 256, 1, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
    gl.activeTexture(gl.TEXTURE0);
  }

  upload(shard: number, tile: Uint8Array, firstRow: number, rows: number): void {
    const { gl } = this;
    const columns = (this.size.width + shardSide - 1) >> 9;
    const layer = shardRow(shard) * columns + shardColumn(shard);
    gl.texSubImage3D(gl.TEXTURE_2D_ARRAY, 0, 0, firstRow, layer, shardSide, rows, 1, gl.RED_INTEGER, gl.UNSIGNED_BYTE, tile, firstRow * shardSide);
  }

  uploadOverlay(shard: number, tile: Uint8Array): void {
    this.overlay?.upload(shard, tile);
  }

  setSlots(slots: Slot[]): void {
    this.overlay?.setSlots(slots);
  }

  setHeat(field: HeatField | null): void {
    if (!this.lost) this.heat.set(field);
  }

  draw(view: View): void {
    if (this.lost) return;
    const { gl } = this;
    gl.uniform2f(this.place("origin"), view.originX, view.originY);
    gl.uniform1f(this.place("scale"), view.scale);
    gl.uniform1f(this.place("viewHeight"), this.canvas.height);
    gl.uniform1f(this.place("grid"), view.grid);
    this.signs.use(view.glyphs);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  read(x: number, y: number): number {
    const out = new Uint8Array(4);
    this.gl.readPixels(x, this.canvas.height - 1 - y, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, out);
    return (out[0] << 16) | (out[1] << 8) | out[2];
  }
}

function nearest(gl: WebGL2RenderingContext, target: number): void {
  gl.texParameteri(target, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(target, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  gl.texParameteri(target, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
  gl.texParameteri(target, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
}
