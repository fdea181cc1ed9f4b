// The stage: picture, camera and renderer together, drawn when something moved
// and not otherwise.

import { Picture } from "./board/picture";
import { Camera, type Insets } from "./camera/camera";
import { formatLink, formatShare, parseLink } from "./camera/link";
import { preference } from "./preferences";
import { makeRenderer, type Renderer, type View } from "./render/renderer";
import { Overlay } from "./templates/overlay";
import { shardsIn } from "./wire/geometry";
import type { Color, Config } from "./wire/messages";
import { byID } from "./ui/dom";

const restMS = 200;
const rowsAFrame = 1024; // of 512 bytes each
const overlayTilesAFrame = 4; // of 512 KiB each
const gridFromScale = 8; // CSS pixels a cell
const glyphsFromScale = 16;
const barHigh = 64; // what lies above the canvas

export interface StagePorts {
  /** After each frame: the view may have moved. */
  drawn(): void;
  /** The shards to watch, when they change and the camera rests. */
  watch(shards: number[]): void;
}

export class Stage {
  picture: Picture | null = null;
  readonly camera = new Camera({ width: 1, height: 1 });
  renderer: Renderer;
  readonly overlay = new Overlay();
  private readonly board = byID("board");
  private readonly panel = byID("templates");
  private config: Config | null = null;
  private colors: Color[] = []; // as they are shown
  private ratio = 1; // device pixels a CSS pixel
  private asked = false;
  private shown = false; // the canvas, at least once
  private lastFrameMS = 0;
  private restTimer = 0;
  private lastView = "";
  private exact: { width: number; height: number } | null = null; // of the canvas in device pixels, where the browser tells
  private watched: number[] = [];

  constructor(private readonly ports: StagePorts, forceFlat: boolean, private readonly kiosk: boolean) {
    this.renderer = makeRenderer(this.board, forceFlat, { renewed: () => this.restore(), gone: () => this.fallBack() });
    const motion = matchMedia("(prefers-reduced-motion: reduce)");
    const still = () => (this.camera.still = motion.matches);
    motion.addEventListener("change", still);
    still();
    const observer = new ResizeObserver((entries) => this.resized(entries));
    try {
      observer.observe(this.board, { box: "device-pixel-content-box" });
    } catch {
      observer.observe(this.board); // Safari does not tell
    }
    observer.observe(byID("dock"));
    observer.observe(this.panel);
    addEventListener("resize", () => this.resize()); // also another ratio, on another screen
    // By now the address may be that of the last view again: rest writes it there.
    addEventListener("hashchange", (e) => this.followLink(new URL(e.newURL).hash));
  }

  /** Takes the canvas's facts: at first, and when they change. */
  configure(config: Config): void {
    const first = this.config === null;
    const grown = this.picture && (this.picture.size.width !== config.width || this.picture.size.height !== config.height);
    this.config = config;
    this.lastView = ""; // there may be other shards in it
    if (!this.picture || grown) {
      const size = { width: config.width, height: config.height };
      this.picture = this.picture?.grown(size, config.blank) ?? new Picture(size, config.blank);
      this.camera.setBoard(size);
      this.renderer.setSize(size);
      this.picture.soil();
      this.overlay.soil();
    }
    if (first) {
      this.resize();
      if (!this.followLink(location.hash)) this.fit(false);
    }
    this.request();
  }

  /** Takes the palette as it is to be seen. */
  setColors(colors: Color[]): void {
    this.colors = colors;
    this.renderer.setPalette(colors);
    this.request();
  }

  /** Draws soon. */
  request(): void {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame((now) => {
      this.asked = false;
      // A pause before this frame is no motion that was missed.
      this.camera.step(Math.min(50, now - this.lastFrameMS));
      this.lastFrameMS = now;
      this.draw(this.shown);
      this.ports.drawn();
      if (this.camera.moving) this.request();
      this.awaitRest();
    });
  }

  /** Rest is when the view stands still, however much is painted meanwhile. */
  private awaitRest(): void {
    const { x, y, scale, width, height } = this.camera;
    const view = [x, y, scale, width, height].join();
    if (view === this.lastView) return;
    this.lastView = view;
    clearTimeout(this.restTimer);
    this.restTimer = setTimeout(() => this.rest(), restMS) as unknown as number;
  }

  fit(smoothly: boolean): void {
    if (!this.config) return;
    const { width, height } = this.config;
    if (smoothly) this.camera.flyTo(width / 2, height / 2, this.camera.fitScale);
    else this.camera.jumpTo(width / 2, height / 2, this.camera.fitScale);
    this.request();
  }

  /** One pixel of the window for one of the canvas. */
  actualSize(): void {
    const { camera } = this;
    camera.easeZoomTo(1, camera.middleX, camera.middleY);
    this.request();
  }

  /** The cell under a point of the window, or null beside the canvas. */
  cellAt(px: number, py: number): { x: number; y: number } | null {
    const at = this.camera.toBoard(px, py);
    const cell = { x: Math.floor(at.x), y: Math.floor(at.y) };
    return this.picture?.contains(cell.x, cell.y) ? cell : null;
  }

  /** The square of a cell in the window, on whole device pixels as it is drawn. */
  squareOf(x: number, y: number): { left: number; top: number; side: number } {
    const view = this.view();
    return { left: (view.originX + x * view.scale) / this.ratio, top: (view.originY + y * view.scale) / this.ratio, side: this.camera.scale };
  }

  /** The colour 0xRRGGBB that the screen shows in the middle of a cell; for tests. */
  readCell(x: number, y: number): number {
    this.draw();
    const view = this.view();
    return this.renderer.read(Math.floor(view.originX + (x + 0.5) * view.scale), Math.floor(view.originY + (y + 0.5) * view.scale));
  }

  /** A link to a cell, for others. */
  link(x: number, y: number): string {
    return location.origin + formatShare(x, y, Math.max(12, this.camera.scale));
  }

  /** Whether a cell is seen in the window, or will be when the camera has arrived. */
  shows(x: number, y: number): boolean {
    return this.camera.moving || this.camera.shows(x, y);
  }

  /** A panel came, went or grew. */
  cover(): void {
    this.camera.cover(this.insets());
    this.request();
  }

  /** The cells in the window. */
  inView(): { x: number; y: number; width: number; height: number } {
    const size = this.picture?.size ?? { width: 0, height: 0 };
    const from = this.camera.toBoard(0, 0);
    const to = this.camera.toBoard(this.camera.width, this.camera.height);
    const x = Math.min(size.width, Math.max(0, Math.floor(from.x)));
    const y = Math.min(size.height, Math.max(0, Math.floor(from.y)));
    return { x, y, width: Math.max(0, Math.min(size.width, Math.ceil(to.x)) - x), height: Math.max(0, Math.min(size.height, Math.ceil(to.y)) - y) };
  }

  private view(): View {
    const { camera, ratio } = this;
    const scale = camera.scale * ratio;
    return {
      originX: Math.round(camera.middleX * ratio - camera.x * scale),
      originY: Math.round(camera.middleY * ratio - camera.y * scale),
      scale,
      grid: preference("grid") ? fromScale(camera.scale, gridFromScale) : 0,
      glyphs: preference("glyphs") ? fromScale(camera.scale, glyphsFromScale) : 0,
    };
  }

  /** bounded: what takes long is spread over frames. */
  private draw(bounded = false): void {
    const more = this.picture?.flush((shard, tile, firstRow, rows) => this.renderer.upload(shard, tile, firstRow, rows), bounded ? rowsAFrame : Infinity);
    const moreAbove = this.overlay.flush(this.renderer, bounded ? overlayTilesAFrame : Infinity);
    if (more || moreAbove) this.request();
    if (!this.picture?.ready) return;
    this.renderer.draw(this.view());
    if (this.shown) return;
    this.shown = true;
    byID("loading").hidden = true;
    performance.mark("canvas shown");
  }

  private resized(entries: ResizeObserverEntry[]): void {
    if (entries.every((e) => e.target === this.panel)) return this.cover();
    const box = entries.find((e) => e.target === this.board)?.devicePixelContentBoxSize?.[0];
    if (box) this.exact = { width: box.inlineSize, height: box.blockSize };
    this.resize();
  }

  private resize(): void {
    const { clientWidth, clientHeight } = this.board;
    const { exact } = this;
    this.ratio = devicePixelRatio || 1;
    // At 125 % the rounded CSS size may be a pixel off, which blurs every cell.
    const near = (told: number | undefined, css: number) => (told !== undefined && Math.abs(told - css * this.ratio) < 2 ? told : Math.round(css * this.ratio));
    const width = near(exact?.width, clientWidth);
    const height = near(exact?.height, clientHeight);
    if (this.renderer.canvas.width !== width || this.renderer.canvas.height !== height) this.renderer.resize(width, height);
    // Messages and the inspector lie above the dock, however high it is.
    document.documentElement.style.setProperty("--dock", `${this.dockHigh()}px`);
    this.camera.resize(clientWidth, clientHeight, this.insets());
    if (this.kiosk && !parseLink(location.hash)) this.fit(false);
    this.draw();
    this.request();
  }

  private dockHigh(): number {
    const dock = byID("dock").getBoundingClientRect();
    return dock.height === 0 ? 0 : Math.max(0, this.board.clientHeight - dock.top);
  }

  /** What the bars cover, and the panel of templates: on phones a sheet above the dock, elsewhere at the end of a line. */
  private insets(): Insets {
    const { clientWidth, clientHeight } = this.board;
    const { offsetLeft, offsetTop, offsetWidth } = this.panel; // unlike its rectangle not moved while it rises
    const insets = { top: this.kiosk ? 0 : barHigh, right: 0, bottom: this.dockHigh(), left: 0 };
    if (offsetWidth === 0) return insets;
    if (offsetWidth === clientWidth) return { ...insets, bottom: Math.max(insets.bottom, clientHeight - offsetTop) };
    const atLeft = offsetLeft < clientWidth / 2;
    return { ...insets, left: atLeft ? offsetLeft + offsetWidth : 0, right: atLeft ? 0 : clientWidth - offsetLeft };
  }

  private followLink(hash: string): boolean {
    const link = parseLink(hash);
    if (!link || !this.picture?.contains(link.x, link.y)) return false;
    this.camera.jumpTo(link.x + 0.5, link.y + 0.5, link.scale ?? 16);
    this.lastView = ""; // the address may hold more than the view
    this.request();
    return true;
  }

  private fallBack(): void {
    this.renderer = makeRenderer(this.board, true, { renewed: () => {}, gone: () => {} });
    this.resize();
    this.restore();
  }

  private restore(): void {
    if (!this.config || !this.picture) return;
    this.renderer.setSize(this.picture.size);
    this.renderer.setPalette(this.colors);
    this.picture.soil();
    this.overlay.soil();
    this.request();
  }

  private rest(): void {
    if (!this.picture) return;
    const { camera } = this;
    const link = formatLink(Math.min(camera.x, this.picture.size.width - 1), Math.min(camera.y, this.picture.size.height - 1), camera.scale);
    if (link !== location.hash && !this.kiosk) history.replaceState(null, "", link);
    const next = this.shardsToWatch(this.picture);
    if (next.join() === this.watched.join()) return;
    this.watched = next;
    this.ports.watch(next);
  }

  /** What is seen and a little around it; what is watched already stays until it is farther away. */
  private shardsToWatch(picture: Picture): number[] {
    const { camera } = this;
    const from = camera.toBoard(0, 0);
    const to = camera.toBoard(camera.width, camera.height);
    const around = (share: number) => {
      const dx = (to.x - from.x) * share;
      const dy = (to.y - from.y) * share;
      return shardsIn(picture.size, from.x - dx, from.y - dy, to.x + dx, to.y + dy);
    };
    const near = around(0.1);
    const kept = around(0.5).filter((shard) => this.watched.includes(shard));
    return [...new Set([...near, ...kept])].sort((a, b) => a - b);
  }
}

/** 0 below a scale, clear from twice the scale on. */
function fromScale(scale: number, from: number): number {
  return scale < from ? 0 : Math.min(1, 0.5 + (scale - from) / (2 * from));
}
