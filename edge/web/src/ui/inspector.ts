// Who painted a pixel, and when: a card beside it, filled by the REST history. The
// focus goes into it and back to the canvas.

import { ago, coordinates, locale, t } from "../i18n/i18n";
import { copyButton } from "./copy";
import { byID, element, hex } from "./dom";
import { say } from "./toasts";

interface HistoryBody {
  items: { seq: number; time: string; color: number; user: { id: string; name: string } | null }[];
  next: unknown;
}

export interface Inspected {
  x: number;
  y: number;
  color: number;
  px: number; // where it is in the window
  py: number;
}

export interface InspectorPorts {
  nameOf(color: number): string;
  rgbOf(color: number): number;
  serverMS(): number;
  linkTo(x: number, y: number): string;
  /** To paint with this colour. */
  pick(color: number): void;
}

const shown = 10;

export class Inspector {
  private readonly root = byID("inspector");
  private pending: AbortController | null = null;

  constructor(private readonly ports: InspectorPorts) {}

  get open(): boolean {
    return !this.root.hidden;
  }

  close(): void {
    this.pending?.abort();
    const focused = this.root.contains(document.activeElement);
    this.root.hidden = true;
    if (focused) byID("board").focus();
  }

  /** byKey: whoever has no pointer goes on inside the card. */
  async show(at: Inspected, byKey: boolean): Promise<void> {
    this.close();
    const list = element("ol", "history");
    list.append(element("li", "quiet", t("inspector.asking")));
    this.root.replaceChildren(this.head(at), list, this.foot(at));
    this.root.hidden = false;
    this.moveTo(at.px, at.py);
    if (byKey) this.root.focus({ preventScroll: true });
    this.pending = new AbortController();
    const { signal } = this.pending;
    try {
      const answer = await fetch(`/api/v1/pixel?x=${at.x}&y=${at.y}&limit=${shown}`, { signal });
      if (!answer.ok) throw new Error(String(answer.status));
      const body = (await answer.json()) as HistoryBody;
      list.replaceChildren(...this.rows(body));
      say(this.sentence(at, body));
    } catch {
      if (signal.aborted) return;
      list.replaceChildren(element("li", "quiet", t("inspector.failed")));
    }
    this.moveTo(at.px, at.py);
  }

  private head(at: Inspected): HTMLElement {
    const head = element("div", "head");
    const title = element("div", "title");
    title.append(element("strong", "", this.ports.nameOf(at.color)), element("span", "", coordinates(at.x, at.y)));
    const close = element("button", "icon close", "×");
    close.type = "button";
    close.setAttribute("aria-label", t("close"));
    close.addEventListener("click", () => this.close());
    head.append(this.dot(at.color), title, close);
    return head;
  }

  private rows(body: HistoryBody): HTMLElement[] {
    if (body.items.length === 0) return [element("li", "quiet", t("inspector.empty"))];
    return body.items.map((item) => {
      const row = element("li", "");
      const when = element("time", "", ago(this.ports.serverMS() - Date.parse(item.time)));
      when.dateTime = item.time;
      when.title = new Date(item.time).toLocaleString(locale());
      row.append(this.dot(item.color), element("bdi", "who", item.user?.name ?? t("inspector.start")), when);
      row.title = this.ports.nameOf(item.color);
      return row;
    });
  }

  private sentence(at: Inspected, body: HistoryBody): string {
    const cell = t("painter.cell", { x: at.x, y: at.y, color: this.ports.nameOf(at.color) });
    const last = body.items[0];
    if (!last) return `${cell}. ${t("inspector.empty")}`;
    return `${cell}. ${t("inspector.said", { name: last.user?.name ?? t("inspector.start"), when: ago(this.ports.serverMS() - Date.parse(last.time)) })}`;
  }

  private foot(at: Inspected): HTMLElement {
    const pick = element("button", "link", t("inspector.pick"));
    pick.type = "button";
    pick.addEventListener("click", () => {
      this.close();
      this.ports.pick(at.color);
    });
    const foot = element("div", "foot");
    foot.append(copyButton(() => this.ports.linkTo(at.x, at.y)), pick);
    return foot;
  }

  private dot(color: number): HTMLElement {
    const dot = element("i", "dot");
    dot.style.setProperty("--color", hex(this.ports.rgbOf(color)));
    return dot;
  }

  private moveTo(px: number, py: number): void {
    const { offsetWidth: width, offsetHeight: height } = this.root;
    const gap = 16;
    const left = px + gap + width < innerWidth - gap ? px + gap : px - gap - width;
    this.root.style.left = `${Math.max(gap, Math.min(innerWidth - width - gap, left))}px`;
    this.root.style.top = `${Math.max(64, Math.min(innerHeight - height - 140, py - height / 2))}px`;
  }
}
