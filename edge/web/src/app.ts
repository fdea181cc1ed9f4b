// The page: connects the worker, the stage, the painter's hand and the controls.

import { number, t } from "./i18n/i18n";
import type { PointerKind } from "./input/gestures";
import { Keys, keyOf, type Command } from "./input/keys";
import { bindPointers } from "./input/pointer";
import { Looking } from "./looking";
import type { FromWorker, LinkState, Session, ToWorker } from "./net/link";
import { Placements } from "./net/placements";
import { Painter } from "./painter";
import { onPreference, preference } from "./preferences";
import { Stage } from "./stage";
import { Converter } from "./templates/converter";
import type { WrongPixel } from "./templates/template";
import { Templates } from "./templates/templates";
import type { Banner } from "./ui/banner";
import { Cooldown } from "./ui/cooldown";
import { Dock } from "./ui/dock";
import { byID, settings } from "./ui/dom";
import { showLoading } from "./ui/loading";
import { Dropper } from "./ui/dropper";
import { Inspector } from "./ui/inspector";
import { PaletteBar } from "./ui/palette";
import { announceReady, prepareSound, ReadyEdge } from "./ui/ready";
import { TemplatesPanel } from "./ui/templates/panel";
import { say, toast } from "./ui/toasts";

interface Cell {
  x: number;
  y: number;
}

const zoomStep = 1.6;
const panShare = 0.18; // of the window, for one key press

export class App {
  readonly stage: Stage;
  readonly painter: Painter;
  readonly palette: PaletteBar;
  readonly cooldown = new Cooldown();
  readonly templates: Templates;
  private readonly keys = new Keys();
  private readonly dock: Dock;
  private readonly inspector: Inspector;
  private readonly templatesPanel: TemplatesPanel;
  private readonly looking: Looking;
  private readonly dropper = new Dropper();
  private readonly readyEdge = new ReadyEdge();
  private alarmMS: number | null = null;
  private state: LinkState = { kind: "connecting" };
  private connectingSinceMS = Date.now();
  private newBuild = false;
  private keptMS: number | null = null;
  private resumed = false;
  /** Shards that came before the canvas's facts; at most all of one canvas. */
  private early: Extract<FromWorker, { kind: "shards" }>["shards"] = [];

  constructor(
    private readonly worker: Worker, private readonly banner: Banner, private readonly placements: Placements, query: URLSearchParams, spawn: () => Worker,
  ) {
    this.dock = new Dock(this.cooldown, () => this.place());
    this.palette = new PaletteBar(() => this.refresh());
    this.stage = new Stage(
      { drawn: () => this.drawn(), watch: (shards) => this.send({ kind: "view", shards }) },
      query.get("renderer") === "2d",
      query.has("kiosk"),
    );
    this.painter = new Painter({
      stage: this.stage, palette: this.palette, cooldown: this.cooldown, dock: this.dock, placements,
      send: (place) => this.send({ kind: "place", place }),
      changed: () => this.refresh(),
    });
    this.inspector = new Inspector({
      nameOf: (color) => this.palette.nameOf(color),
      rgbOf: (color) => this.palette.rgbOf(color),
      serverMS: () => this.cooldown.serverMS(Date.now()),
      linkTo: (x, y) => this.stage.link(x, y),
      pick: (color) => this.pick(color),
    });
    const { painter } = this;
    this.looking = new Looking({
      stage: this.stage, palette: this.palette, move: (go) => this.moved(go), pan: (dx, dy) => this.pan(dx, dy), point: (x, y) => painter.arrive(x, y, byTouch() ? "touch" : "keys"),
    });
    this.templates = new Templates({
      stage: this.stage, converter: new Converter(spawn),
      send: (message) => this.send(message),
      serverMS: () => this.cooldown.serverMS(Date.now()),
      from: () => this.painter.cursor ?? { x: Math.floor(this.stage.camera.x), y: Math.floor(this.stage.camera.y) },
      aim: (pixel) => this.aim(pixel),
      changed: () => this.templatesPanel?.show(),
      damaged: (entry, n) => toast(t("template.damaged", { n, name: entry.template.name }), "bad", 8_000),
      lost: (why) => toast(t(`template.lost.${why}`), "bad", 10_000),
    });
    this.templatesPanel = new TemplatesPanel(this.templates, this.palette, this.stage);
    this.bind();
    if (!query.has("kiosk")) this.bindHands();
    worker.addEventListener("message", (e: MessageEvent<FromWorker>) => this.hear(e.data));
    this.send({ kind: "start", origin: location.origin, instance: placements.instance, session: savedSession(), unanswered: placements.unanswered });
    if (document.hidden) this.send({ kind: "hidden", hidden: true });
    setInterval(() => this.refresh(), 200);
  }

  send(message: ToWorker): void {
    this.worker.postMessage(message);
  }

  private hear(m: FromWorker): void {
    const { picture } = this.stage;
    switch (m.kind) {
      case "config":
        this.cooldown.configure(m.config.cooldownMS, m.config.max);
        this.painter.readOnly = m.config.readOnly;
        this.stage.configure(m.config);
        this.templates.configure(m.config);
        this.looking.setColors(m.config.colors);
        for (const early of this.early.splice(0)) this.stage.picture?.load(early.shard, early.pixels);
        if (!this.resumed) this.painter.resume(this.placements.unanswered);
        this.resumed = true;
        break;
      case "loading": return showLoading(m.share);
      case "shards":
        if (picture) for (const s of m.shards) picture.load(s.shard, s.pixels);
        else this.early.push(...m.shards);
        this.looking.loaded();
        return this.stage.request();
      case "pixels":
        picture?.apply(m.shard, m.changes);
        this.looking.changed(m.shard, m.changes, m.fresh);
        return this.stage.request();
      case "state":
        if (m.state.kind === "connecting" && this.state.kind !== "connecting") this.connectingSinceMS = Date.now();
        this.state = this.painter.link = m.state;
        if (m.state.kind !== "connecting" && m.state.kind !== "waiting") this.keptMS = null;
        if (m.state.kind === "live") welcome();
        break;
      case "session":
        settings.set("session", JSON.stringify(m.session));
        break;
      case "user":
        this.painter.signedIn = m.user !== 0n;
        byID("name").textContent = m.name;
        byID("name").hidden = m.user === 0n;
        break;
      case "clock": this.cooldown.setAhead(m.aheadMS); break;
      case "allowance": this.cooldown.setAllowance(m.allowance); break;
      case "online":
        byID("online").hidden = false;
        (byID("online").querySelector("b") as HTMLElement).textContent = number(m.online);
        return;
      case "progress":
      case "wrong": return this.templates.hear(m);
      case "placed": return this.painter.placed(m.number);
      case "settled": return this.painter.settled(m.number);
      case "refused": return this.painter.refused(m);
      case "kept": this.keptMS = m.timeMS; break;
      case "alarm": break;
      case "build": this.newBuild = true; break;
      case "fault":
        toast(t("app.fault"), "bad", 15_000);
        throw new Error(m.text);
    }
    this.refresh();
  }

  /** Brings the controls up to date: after news, and while a clock runs. */
  private refresh(): void {
    const nowMS = Date.now();
    const { cursor, signedIn, readOnly } = this.painter;
    this.watchCountdown(nowMS);
    this.dock.show({
      colorName: this.palette.nameOf(this.palette.selected), where: cursor && { x: cursor.x, y: cursor.y }, chosen: cursor?.chosen ?? false,
      canPaint: signedIn && !readOnly && this.state.kind !== "polling" && this.state.kind !== "outdated", nowMS,
    });
    // The first moment of every connect is not worth a word.
    const connectingMS = this.state.kind === "connecting" ? nowMS - this.connectingSinceMS : Infinity;
    if (connectingMS > 700) this.banner.show({ state: this.state, readOnly, newBuild: this.newBuild, signedIn, slow: connectingMS > 2_500, keptMS: this.keptMS, nowMS });
    document.documentElement.dataset.link = this.state.kind;
  }

  /** Tells who asked for it that the next pixel is there, also in a hidden page. */
  private watchCountdown(nowMS: number): void {
    const { cooldown, readyEdge } = this;
    if (readyEdge.update(nowMS, cooldown.available(nowMS), cooldown.remainingMS(nowMS))) announceReady();
    const { dueMS } = readyEdge;
    if (dueMS === null || (this.alarmMS !== null && Math.abs(dueMS - this.alarmMS) < 100)) return;
    this.alarmMS = dueMS;
    this.send({ kind: "alarm", inMS: dueMS - nowMS + 50 });
  }

  private drawn(): void {
    this.painter.drawCursor();
    this.looking.drawn();
  }

  /** What only people use, not the screen of a stream. */
  private bindHands(): void {
    const { stage, painter, looking } = this;
    const { camera } = stage;
    bindPointers(byID("board"), {
      hover: (x, y) => painter.hover(x, y),
      leave: () => painter.leave(),
      tap: (x, y, kind, timeMS) => this.tap(x, y, kind, timeMS),
      hold: (x, y) => this.inspect(stage.cellAt(x, y)),
      inspect: (x, y) => this.inspect(stage.cellAt(x, y)),
      pick: (x, y) => this.pickAt(stage.cellAt(x, y)),
      aim: (x, y, ripe) => looking.aim(x, y, ripe),
      aimed: () => looking.aimed(),
      grab: () => camera.grab(),
      fling: (vx, vy) => this.moved(() => camera.fling(vx, vy)),
      pan: (dx, dy) => this.moved(() => camera.panBy(dx, dy)),
      pinch: (factor, x, y) => this.moved(() => camera.zoomAt(factor, x, y)),
      wheel: (factor, x, y, quick) => this.moved(() => (quick ? camera.zoomAt(factor, x, y) : camera.easeZoomAt(factor, x, y))),
    });
    const zoom = (factor: number) => this.moved(() => camera.easeZoomAt(factor, camera.middleX, camera.middleY));
    byID("zoom-in").addEventListener("click", () => zoom(zoomStep));
    byID("zoom-out").addEventListener("click", () => zoom(1 / zoomStep));
    byID("zoom-fit").addEventListener("click", () => stage.fit(true));
    byID("help-open").addEventListener("click", () => byID<HTMLDialogElement>("help").showModal());
    for (const touched of ["pointerdown", "keydown"]) addEventListener(touched, prepareSound, true);
    const single = () => (this.keys.single = preference("singleKeys"));
    onPreference(single);
    single();
    addEventListener("keydown", (e) => this.key(e));
  }

  private bind(): void {
    document.addEventListener("visibilitychange", () => {
      this.send({ kind: "hidden", hidden: document.hidden });
      if (!document.hidden) this.send({ kind: "wake", why: "shown" });
    });
    // A page that was left may be kept, frozen, for a return. Its connection
    // would live on and count as online; a frozen worker closes nothing any more.
    addEventListener("pagehide", () => this.worker.terminate());
    addEventListener("pageshow", (e) => e.persisted && location.reload());
    for (const change of ["online", "offline"]) addEventListener(change, () => this.send({ kind: "wake", why: "network" }));
  }

  private tap(x: number, y: number, kind: PointerKind, timeMS: number): void {
    if (this.inspector.open) this.inspector.close();
    else this.place(this.stage.cellAt(x, y), () => this.painter.tap(x, y, kind, timeMS));
  }

  /** The one way to paint, by tap, key and button: an eyedropper that is out takes the colour instead. */
  private place(cell = this.painter.cursor as Cell | null, paint = () => this.painter.confirm()): void {
    if (!this.dropper.active) return paint();
    if (cell) this.pickAt(cell);
    else toast(t("inspector.point"));
  }

  private pan(dx: number, dy: number): void {
    const { camera } = this.stage;
    this.moved(() => camera.panBy(-dx * camera.width * panShare, -dy * camera.height * panShare));
  }

  private moved(move: () => void): void {
    if (this.inspector.open) this.inspector.close();
    move();
    this.stage.request();
  }

  private key(e: KeyboardEvent): void {
    const focus = document.activeElement;
    // What is typed into a field is no command, nor the first digit of one.
    if (focus?.matches("input, select, textarea")) return;
    const onBoard = focus === byID("board") || focus === document.body;
    const command = e.ctrlKey || e.metaKey || e.altKey ? null : this.keys.read({ key: keyOf(e), shift: e.shiftKey, timeMS: e.timeStamp }, this.palette.count);
    if (!command || document.querySelector("dialog[open]")) return;
    // Enter and the arrows belong to the control that has the focus.
    if (!onBoard && (command.kind === "cursor" || command.kind === "place")) return;
    e.preventDefault();
    // A key that is held, perhaps since a dialog that it closed, paints nothing more.
    if (e.repeat && command.kind === "place") return;
    this.obey(command);
  }

  private obey(c: Command): void {
    const { stage, painter, palette } = this;
    const { camera } = stage;
    switch (c.kind) {
      case "cursor": return painter.moveBy(c.dx, c.dy);
      case "pan": return this.pan(c.dx, c.dy);
      case "zoom": return this.moved(() => camera.easeZoomAt(c.direction > 0 ? zoomStep : 1 / zoomStep, camera.middleX, camera.middleY));
      case "color": return palette.select(c.index);
      case "step": return palette.select(palette.selected + c.by);
      case "place": return this.place();
      case "inspect": return this.inspect(painter.cursor, true);
      case "pick": return this.pickAt(painter.cursor);
      case "wrong": return this.templates.nextWrong();
      case "fit": return stage.fit(true);
      case "actual": return stage.actualSize();
      case "goto": return this.looking.openGoTo();
      case "full": return this.looking.toggleFullScreen();
      case "help": return byID<HTMLDialogElement>("help").showModal();
      case "escape": return this.escape();
    }
  }

  /** The next wrong pixel of a template, or that there is none. */
  private aim(pixel: WrongPixel | null): void {
    if (!pixel) return toast(t(this.templates.entries.length > 0 ? "template.noWrong" : "template.noTemplate"));
    const entry = this.templates.entries.find((e) => e.template.id === pixel.id);
    if (entry) this.templatesPanel.fold(entry);
    this.painter.pointAt(pixel.x, pixel.y, byTouch() ? "touch" : "keys");
    if (preference("pickWrong")) this.palette.select(pixel.color);
    say(t("template.should", { x: pixel.x, y: pixel.y, color: this.palette.nameOf(pixel.color) }));
  }

  private escape(): void {
    if (this.inspector.open) this.inspector.close();
    else if (this.dropper.active) this.dropper.set(false);
    else this.painter.forget();
  }

  private pickAt(cell: Cell | null): void {
    const { picture } = this.stage;
    if (cell && picture) this.pick(picture.at(cell.x, cell.y));
  }

  private pick(color: number): void {
    this.dropper.set(false);
    this.palette.select(color);
    say(t("painter.picked", { color: this.palette.nameOf(color) }));
  }

  private inspect(cell: Cell | null, byKey = false): void {
    const { picture } = this.stage;
    if (!cell || !picture) return toast(t("inspector.point"));
    const { left, top, side } = this.stage.squareOf(cell.x, cell.y);
    void this.inspector.show({ ...cell, color: picture.at(cell.x, cell.y), px: left + side / 2, py: top + side / 2 }, byKey);
  }
}

function byTouch(): boolean {
  return matchMedia("(pointer: coarse)").matches;
}

/** Tells a first visitor what to do, once. */
function welcome(): void {
  if (settings.get("welcomed")) return;
  settings.set("welcomed", "yes");
  toast(t(byTouch() ? "welcome.touch" : "welcome.mouse"), "plain", 9_000);
}

function savedSession(): Session | null {
  try {
    const saved = JSON.parse(settings.get("session") ?? "null") as Session | null;
    return saved && typeof saved.token === "string" ? saved : null;
  } catch {
    return null;
  }
}
