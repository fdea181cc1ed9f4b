// The templates of this page: takes them in, keeps them, has them converted,
// drawn and counted, and says what became of them.

import { t } from "../i18n/i18n";
import type { FromWorker, ToWorker } from "../net/link";
import { preference } from "../preferences";
import type { Stage } from "../stage";
import type { Size } from "../wire/geometry";
import type { Color, Config } from "../wire/messages";
import type { Converter } from "./converter";
import { canRefresh, countOf, entryFor, type Entry } from "./entry";
import { firstOf, inParallel, listedNow, type Draft, type Found } from "./intake";
import type { Layer } from "./overlay";
import { measure } from "./sources";
import { Store } from "./store";
import { cellsMax, defaults, frameAt, sideMax, templatesMax, type Shape, type Template, type WrongPixel } from "./template";
import { Trouble } from "./trouble";

const keepAfterMS = 400; // a slider that moves is kept once
const alertEveryMS = 60_000;
const visitedMax = 1_000;

export interface TemplatesParts {
  stage: Stage;
  converter: Converter;
  send(message: ToWorker): void;
  /** Animations are at the same frame on every page. */
  serverMS(): number;
  /** The cell from which the next wrong pixel is looked for. */
  from(): { x: number; y: number };
  aim(pixel: WrongPixel | null): void;
  changed(): void;
  damaged(entry: Entry, pixels: number): void;
  lost(why: "forbidden" | "full"): void;
}

/** What each kind of change asks for. */
const reshapes: (keyof Template)[] = ["image", "width", "frames", "distance", "dithering"];
const moves: (keyof Template)[] = ["x", "y", "visible"];

export class Templates {
  entries: Entry[] = []; // the first is on top
  private readonly store: Store;
  private readonly opened: Promise<void>;
  private readonly keeping = new Map<string, number>();
  private colors: Color[] = [];
  private size: Size | null = null;
  private configured: () => void = () => {};
  private readonly ready = new Promise<void>((resolve) => (this.configured = resolve));
  private visited: number[] = []; // wrong pixels that were shown one after the other
  private alertedMS = 0;
  private lastID = 0;

  constructor(private readonly parts: TemplatesParts) {
    this.store = new Store((why) => parts.lost(why));
    this.opened = this.open();
    setInterval(() => this.tick(Date.now()), 1_000);
  }

  /** Takes the canvas's facts: other colours make other shapes, another size other counts. */
  configure(config: Config): void {
    const recolored = JSON.stringify(config.colors) !== JSON.stringify(this.colors);
    const resized = this.size?.width !== config.width || this.size.height !== config.height;
    this.colors = config.colors;
    this.size = { width: config.width, height: config.height };
    this.configured();
    if (recolored) for (const entry of this.entries) void this.reshape(entry);
    else if (resized) this.place(this.entries);
  }

  hear(m: Extract<FromWorker, { kind: "progress" | "wrong" }>): void {
    if (m.kind === "wrong") return this.showWrong(m.pixel);
    for (const progress of m.progress) {
      const entry = this.entries.find((e) => e.template.id === progress.id && e.version === progress.version);
      if (!entry) continue;
      if (entry.progress?.total !== progress.total) entry.pace.reset(); // another one covers more of it, or less
      entry.progress = progress;
      if (progress.known === progress.total) entry.pace.add(Date.now(), countOf(entry).wrong);
    }
    this.parts.changed();
  }

  /** Takes in what was found, the first on top. Throws a Trouble where nothing of it is any good. */
  async add({ drafts, unread }: Found): Promise<{ added: Entry[]; failed: number }> {
    await Promise.all([this.ready, this.opened]);
    const added: Entry[] = [];
    let trouble: Trouble | null = null;
    for (const draft of drafts.toReversed()) {
      try {
        added.unshift(await this.addOne(draft));
      } catch (err) {
        if (!(err instanceof Trouble)) throw err;
        trouble ??= err;
      }
    }
    if (added.length === 0 && trouble) throw trouble;
    return { added, failed: unread + drafts.length - added.length };
  }

  update(entry: Entry, change: Partial<Template>): void {
    const { template } = entry;
    Object.assign(template, change);
    template.x = within(template.x);
    template.y = within(template.y);
    const touches = (names: (keyof Template)[]) => names.some((name) => name in change);
    if (touches(reshapes)) void this.reshape(entry);
    else if (touches(moves)) this.place([entry]);
    else if ("hidden" in change) this.show();
    else this.parts.stage.overlay.setSlots(this.layers());
    if ("hidden" in change) entry.pace.reset();
    this.parts.stage.request();
    this.keep(template);
    this.parts.changed();
  }

  remove(entry: Entry): void {
    this.entries = this.entries.filter((e) => e !== entry);
    clearTimeout(this.keeping.get(entry.template.id));
    void this.store.remove(entry.template.id);
    this.parts.send({ kind: "templateGone", id: entry.template.id });
    this.show();
    this.parts.changed();
  }

  /** Fetches the image again from where it came, and what its list says of it. */
  async refresh(entry: Entry): Promise<void> {
    const listed = await listedNow(entry.template);
    const { sources } = listed ?? entry.template;
    const image = await firstOf(sources);
    if (!image) throw new Trouble("template.trouble.unread");
    await measure(image);
    if (!this.entries.includes(entry)) return;
    this.update(entry, listed ? { image, sources, x: listed.x, y: listed.y, frames: listed.frames } : { image });
  }

  /** The same for all that have an address. Returns how many could not be had. */
  async refreshAll(): Promise<number> {
    const had = await inParallel(this.entries.filter(canRefresh), (entry) =>
      this.refresh(entry).then(
        () => true,
        (err: unknown) => {
          if (!(err instanceof Trouble)) throw err;
          return false;
        },
      ),
    );
    return had.filter((ok) => !ok).length;
  }

  /** Puts the middle of a template where the page looks. */
  placeHere(entry: Entry): void {
    const { camera } = this.parts.stage;
    const { width, height } = entry.shape ?? { width: 0, height: 0 };
    this.update(entry, { x: Math.round(camera.x - width / 2), y: Math.round(camera.y - height / 2) });
  }

  goTo({ template, shape }: Entry): void {
    if (!shape) return;
    const { stage } = this.parts;
    stage.camera.flyTo(template.x + shape.width / 2, template.y + shape.height / 2, this.scaleFor(shape));
    stage.request();
  }

  /** The true colour, whatever the palette looks like to somebody. */
  rgbOf(color: number): number {
    return this.colors[color]?.rgb ?? 0;
  }

  /** The scale at which a shape fills most of the window. */
  scaleFor(shape: Shape): number {
    const { camera } = this.parts.stage;
    return Math.max(camera.scaleMin, Math.min(24, (0.8 * camera.freeWidth) / shape.width, (0.8 * camera.freeHeight) / shape.height));
  }

  /** Asks for the nearest wrong pixel that was not shown just now. */
  nextWrong(): void {
    const skip = [...this.visited, ...(this.parts.stage.picture?.hopedCells ?? [])];
    this.parts.send({ kind: "wrongAsked", query: { ...this.parts.from(), skip } });
  }

  private async open(): Promise<void> {
    const kept = await this.store.all();
    this.entries = kept.toReversed().slice(0, templatesMax).map(entryFor);
    this.parts.changed();
    await this.ready;
    for (const entry of this.entries) if (entry.turn === 0) void this.reshape(entry);
  }

  private async addOne(draft: Draft): Promise<Entry> {
    const image = await measure(draft.image);
    const cells = draft.frames ?? image;
    const share = draft.width === null ? 1 : draft.width / cells.width;
    const { camera } = this.parts.stage;
    const fields = {
      ...draft,
      name: draft.name || t("template.unnamed"),
      x: within(draft.x ?? Math.round(camera.x - (cells.width * share) / 2)),
      y: within(draft.y ?? Math.round(camera.y - (cells.height * share) / 2)),
    };
    const same = this.entries.find(({ template }) => template.name === fields.name && template.sources[0] === draft.sources[0] && draft.sources.length > 0);
    if (!same && this.entries.length >= templatesMax) throw new Trouble("template.trouble.many", { n: templatesMax });
    const entry = same ?? entryFor({ ...defaults, hidden: [], ...fields, id: this.newID() });
    if (same) Object.assign(same.template, fields);
    else this.entries.unshift(entry);
    await this.reshape(entry);
    if (entry.trouble) {
      if (!same) this.remove(entry);
      throw entry.trouble;
    }
    this.keep(entry.template);
    return entry;
  }

  /** Rises with time, so that what is kept comes back in order. */
  private newID(): string {
    this.lastID = Math.max(Date.now(), this.lastID + 1);
    return this.lastID.toString(36).padStart(9, "0");
  }

  /** Has the shape made; the last of several calls counts. */
  private async reshape(entry: Entry): Promise<void> {
    const { image, width, frames, distance, dithering } = entry.template;
    const frame = (entry.frame = frameAt(frames, this.parts.serverMS() / 1000));
    const turn = ++entry.turn;
    try {
      const shape = await this.parts.converter.convert({ image, width, frames, frame, rgbs: this.colors.map((c) => c.rgb), distance, dithering });
      if (turn !== entry.turn) return;
      const cells = this.entries.reduce((sum, e) => sum + (e === entry ? 0 : (e.shape?.cells.length ?? 0)), shape.cells.length);
      if (cells > cellsMax) throw new Trouble("template.trouble.room");
      entry.shape = shape;
      entry.trouble = null;
    } catch (err) {
      if (!(err instanceof Trouble)) throw err;
      if (turn !== entry.turn) return;
      entry.shape = null;
      entry.trouble = err;
    }
    this.place([entry]);
    this.parts.changed();
  }

  /** Has entries counted anew where they are now, and draws all. */
  private place(entries: Entry[]): void {
    for (const entry of entries) {
      const { template, shape } = entry;
      entry.progress = null;
      entry.pace.reset();
      entry.damageTold = 0;
      if (!this.entries.includes(entry) || !this.size) continue;
      const { id, x, y, visible } = template;
      const version = ++entry.version;
      if (shape && visible) this.parts.send({ kind: "template", placed: { id, version, x, y, shape, size: this.size } });
      else this.parts.send({ kind: "templateGone", id });
    }
    this.visited = [];
    this.show();
  }

  private show(): void {
    if (this.size) this.parts.stage.overlay.show(this.size, this.layers());
    const shown = this.entries.filter((e) => e.template.visible && e.shape);
    this.parts.send({ kind: "templateStack", stack: shown.map(({ template: { id, hidden } }) => ({ id, hidden })) });
    this.parts.stage.request();
  }

  private layers(): Layer[] {
    return this.entries.flatMap(({ template: { x, y, hidden, opacity, style, highlight, visible }, shape }) =>
      shape && visible ? [{ shape, x, y, hidden, opacity, dots: style === "dots", highlight }] : [],
    );
  }

  private keep(template: Template): void {
    clearTimeout(this.keeping.get(template.id));
    this.keeping.set(template.id, setTimeout(() => void this.store.put(template), keepAfterMS) as unknown as number);
  }

  private showWrong(pixel: WrongPixel | null): void {
    if (!pixel && this.visited.length > 0) {
      this.visited = []; // all were shown: begin again
      return this.nextWrong();
    }
    if (pixel) this.visited = [...this.visited, pixel.y * 4096 + pixel.x].slice(-visitedMax);
    this.parts.aim(pixel);
  }

  /** Once a second: frames that are due, and what was painted over. */
  private tick(nowMS: number): void {
    for (const entry of this.entries) {
      if (entry.frame !== frameAt(entry.template.frames, this.parts.serverMS() / 1000)) void this.reshape(entry);
    }
    const hurt = this.entries.find((e) => (e.progress?.damaged ?? 0) > e.damageTold);
    if (!hurt || nowMS - this.alertedMS < alertEveryMS) return;
    this.alertedMS = nowMS;
    const damaged = hurt.progress?.damaged ?? 0;
    if (preference("damageAlert")) this.parts.damaged(hurt, damaged - hurt.damageTold);
    hurt.damageTold = damaged;
  }
}

function within(v: number): number {
  return Math.max(-sideMax, Math.min(sideMax, Math.round(v)));
}
