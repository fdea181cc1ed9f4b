// The state of the connection, said only while there is something to say.

import type { LinkState } from "../net/link";
import { moment, t } from "../i18n/i18n";
import { byID } from "./dom";

export interface BannerFacts {
  state: LinkState;
  readOnly: boolean;
  newBuild: boolean;
  signedIn: boolean;
  slow: boolean; // a connect takes so long that another one is better
  keptMS: number | null; // the canvas that is shown is of this time, without a server
  nowMS: number;
}

interface Notice {
  tone: "busy" | "bad" | "news";
  text: string;
  /** What screen readers say instead: a text that counts would never be silent. */
  spoken?: string;
  button?: "try" | "reload";
}

/** What to tell, the gravest first; null when all is well. */
export function noticeFor(f: BannerFacts): Notice | null {
  if (f.keptMS !== null) return { tone: "busy", text: t("banner.offline", { when: moment(f.keptMS) }), button: "try" };
  switch (f.state.kind) {
    case "outdated": return { tone: "bad", text: t("banner.outdated"), button: "reload" };
    case "polling": return { tone: "bad", text: t("banner.polling"), button: "try" };
    case "waiting": {
      const seconds = Math.max(1, Math.ceil((f.state.retryAtMS - f.nowMS) / 1000));
      return { tone: "busy", text: t("banner.waiting", { n: seconds }), spoken: t("banner.lost"), button: "try" };
    }
    case "silent": return { tone: "busy", text: t("banner.silent"), button: "try" };
    case "connecting": return { tone: "busy", text: t("banner.connecting"), ...(f.slow && { button: "try" }) };
  }
  if (f.readOnly) return { tone: "bad", text: t("banner.readonly") };
  if (!f.signedIn) return { tone: "bad", text: t("banner.watching") };
  if (f.newBuild) return { tone: "news", text: t("banner.build"), button: "reload" };
  return null;
}

export class Banner {
  private readonly root = byID("banner");
  private readonly text = this.root.querySelector("span") as HTMLElement;
  private readonly button = this.root.querySelector("button") as HTMLButtonElement;
  private readonly news = byID("news");
  private broken = false;
  private away = false; // the last that was said is that the connection is lost
  private action: "try" | "reload" = "try";

  constructor(onTry: () => void) {
    this.button.addEventListener("click", () => (this.action === "reload" ? location.reload() : onTry()));
  }

  show(f: BannerFacts): void {
    if (this.broken) return;
    const notice = noticeFor(f);
    this.root.dataset.state = f.state.kind;
    // A try to connect is no news: how it ends will be.
    if (f.state.kind !== "connecting") this.speak(notice);
    this.write(notice);
  }

  /** The page does not work, whatever else there is to tell. */
  fail(): void {
    this.broken = true;
    const notice: Notice = { tone: "bad", text: t("banner.broken"), button: "reload" };
    this.speak(notice);
    this.write(notice);
  }

  private write(notice: Notice | null): void {
    this.root.hidden = notice === null;
    if (!notice) return;
    this.root.dataset.tone = notice.tone;
    if (this.text.textContent !== notice.text) this.text.textContent = notice.text;
    this.button.hidden = notice.button === undefined;
    this.action = notice.button ?? "try";
    this.button.textContent = t(this.action === "reload" ? "banner.reload" : "banner.try");
  }

  private speak(notice: Notice | null): void {
    if (notice) this.away = notice.tone === "busy";
    const text = notice ? (notice.spoken ?? notice.text) : this.away ? t("banner.again") : "";
    if (this.news.textContent !== text) this.news.textContent = text;
  }
}
