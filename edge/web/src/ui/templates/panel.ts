// The panel of templates: beside the canvas, so that painting goes on.

import { onLanguage, t } from "../../i18n/i18n";
import { fromFile, fromLink, fromText, type Found } from "../../templates/intake";
import { parseTemplateLink } from "../../templates/link";
import { shareLink } from "../../templates/share";
import { canRefresh, type Entry } from "../../templates/entry";
import type { Templates } from "../../templates/templates";
import { wordsFor } from "../../templates/trouble";
import { prefer, preference } from "../../preferences";
import { copied } from "../copy";
import { byID } from "../dom";
import { toast } from "../toasts";
import { Card } from "./card";
import type { Palette } from "./chips";
import { bindIntake } from "./intake";
import { wordsOf } from "./words";

export class TemplatesPanel {
  private readonly root = byID("templates");
  private readonly opener = byID<HTMLButtonElement>("templates-open");
  private readonly list = byID("template-list");
  private readonly line = byID("template-unfold");
  private readonly cards = new Map<Entry, Card>();
  private pending = 0; // attempts under way
  private folded: Entry | null = null; // on a phone the panel is a line about this one

  constructor(private readonly templates: Templates, private readonly palette: Palette, private readonly stage: { cover(): void }) {
    this.opener.addEventListener("click", () => this.toggle(this.root.hidden !== false));
    byID("templates-close").addEventListener("click", () => this.toggle(false));
    for (const id of ["template-next", "template-again"]) byID(id).addEventListener("click", () => this.templates.nextWrong());
    byID("template-refresh-all").addEventListener("click", () => void this.refreshAll());
    this.line.addEventListener("click", () => this.unfold());
    this.root.addEventListener("keydown", (e) => {
      if (e.key !== "Escape") return;
      e.stopPropagation();
      this.toggle(false);
    });
    this.bindChoice("pickWrong");
    this.bindChoice("damageAlert");
    bindIntake({
      file: (file) => void this.take(() => fromFile(file)),
      text: (text) => this.take(() => fromText(text)),
    });
    this.follow(location.hash);
    addEventListener("hashchange", (e) => this.follow(new URL(e.newURL).hash));
    onLanguage(() => {
      for (const entry of [...this.cards.keys()]) this.drop(entry);
      this.show();
    });
    setInterval(() => this.show(), 1_000); // a pace changes although nothing happens
  }

  /** Brings the list up to date. */
  show(): void {
    if (this.root.hidden) return;
    const { entries } = this.templates;
    for (const entry of this.cards.keys()) if (!entries.includes(entry)) this.drop(entry);
    entries.forEach((entry, i) => {
      let card = this.cards.get(entry);
      if (!card) {
        const ports = { templates: this.templates, palette: this.palette, goTo: (e: Entry) => this.goTo(e), share: (e: Entry) => void this.share(e), refresh: (e: Entry) => void this.refresh(e) };
        this.cards.set(entry, (card = new Card(entry, ports)));
      }
      if (this.list.children[i] !== card.root) this.list.insertBefore(card.root, this.list.children[i] ?? null);
      card.show(Date.now());
    });
    byID("template-none").hidden = entries.length > 0;
    byID("template-next").hidden = entries.length === 0;
    byID("template-refresh-all").hidden = entries.filter(canRefresh).length < 2;
    if (this.folded && entries.includes(this.folded)) this.showLine(this.folded);
    else if (this.folded) this.unfold();
  }

  /** Makes room for what is shown of a template: on a phone the panel would cover it. */
  fold(entry: Entry): void {
    if (this.root.hidden) return;
    this.folded = entry;
    this.root.toggleAttribute("data-folded", true);
    this.showLine(entry);
    const focused = document.activeElement;
    if (this.root.contains(focused) && !focused?.checkVisibility()) byID("template-again").focus();
    this.stage.cover();
  }

  private unfold(): void {
    const focused = this.root.contains(document.activeElement);
    this.folded = null;
    this.root.toggleAttribute("data-folded", false);
    if (focused) byID("templates-close").focus();
    this.stage.cover();
  }

  private showLine(entry: Entry): void {
    const [name, count] = this.line.children;
    name.textContent = entry.template.name;
    count.textContent = wordsOf(entry, Date.now()).count;
  }

  private goTo(entry: Entry): void {
    this.fold(entry);
    this.templates.goTo(entry);
  }

  private bindChoice(name: "pickWrong" | "damageAlert"): void {
    const box = byID<HTMLInputElement>(`template-${name}`);
    box.checked = preference(name);
    box.addEventListener("change", () => prefer(name, box.checked));
  }

  private toggle(open: boolean): void {
    this.root.hidden = !open;
    this.unfold();
    this.opener.setAttribute("aria-expanded", String(open));
    this.show();
    (open ? byID("templates-close") : this.opener).focus();
  }

  private drop(entry: Entry): void {
    const card = this.cards.get(entry)?.root;
    // Whoever deletes by keyboard does not lose their place.
    if (card?.contains(document.activeElement)) byID("templates-close").focus();
    card?.remove();
    this.cards.delete(entry);
  }

  /** A template in the address is taken in; where the link names no view, the page goes to it. */
  private follow(hash: string): void {
    const link = parseTemplateLink(hash);
    if (link) void this.take(() => fromLink(link), !/^#(\d|.*\bx=)/.test(hash));
  }

  /** Reports whether anything was taken in. */
  private take(find: () => Promise<Found>, goThere = false): Promise<boolean> {
    return this.attempt(async () => {
      const { added, failed } = await this.templates.add(await find());
      toast(t("template.added", { n: added.length, name: added[0].template.name }));
      if (failed > 0) toast(t("template.failed", { n: failed }), "bad", 8_000);
      if (goThere) this.goTo(added[0]);
    });
  }

  private refresh(entry: Entry): Promise<boolean> {
    return this.attempt(async () => {
      await this.templates.refresh(entry);
      toast(t("template.refreshed"));
    });
  }

  private refreshAll(): Promise<boolean> {
    return this.attempt(async () => {
      const failed = await this.templates.refreshAll();
      if (failed > 0) toast(t("template.failed", { n: failed }), "bad", 8_000);
      else toast(t("template.refreshedAll"));
    });
  }

  /** Does what takes its time, with a sign of it, and says why it failed. */
  private async attempt(work: () => Promise<void>): Promise<boolean> {
    this.wait(1);
    try {
      await work();
      return true;
    } catch (err) {
      toast(wordsFor(err), "bad", 10_000);
      return false;
    } finally {
      this.wait(-1);
    }
  }

  private wait(more: 1 | -1): void {
    this.pending += more;
    byID("template-pending").hidden = this.pending === 0;
  }

  private async share(entry: Entry): Promise<void> {
    try {
      const link = await shareLink(entry, this.templates, this.templates.scaleFor.bind(this.templates));
      if (await copied(link)) toast(t("template.copied"));
      else this.cards.get(entry)?.offer(link);
    } catch (err) {
      toast(wordsFor(err), "bad", 10_000);
    }
  }
}
