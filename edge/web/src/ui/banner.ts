// The state of the connection, said only while there is something to say.

import type { LinkState } from "../net/link";
import { t } from "../i18n/i18n";
import { byID } from "./dom";

export interface BannerFacts {
  state: LinkState;
  readOnly: boolean;
  newBuild: boolean;
  signedIn: boolean;
  nowMS: number;
}

interface Notice {
  tone: "busy" | "bad" | "news";
  text: string;
  button?: "try" | "reload";
}

/** What to tell, the gravest first; null when all is well. */
export function noticeFor(f: BannerFacts): Notice | null {
  switch (f.state.kind) {
    case "outdated": return { tone: "bad", text: t("banner.outdated"), button: "reload" };
    case "polling": return { tone: "bad", text: t("banner.polling"), button: "try" };
    case "waiting": {
      const seconds = Math.max(1, Math.ceil((f.state.retryAtMS - f.nowMS) / 1000));
      return { tone: "busy", text: t("banner.waiting", { n: seconds }), button: "try" };
    }
    case "connecting": return { tone: "busy", text: t("banner.connecting") };
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
  private action: "try" | "reload" = "try";

  constructor(onTry: () => void) {
    this.button.addEventListener("click", () => (this.action === "reload" ? location.reload() : onTry()));
  }

  show(f: BannerFacts): void {
    const notice = noticeFor(f);
    this.root.hidden = notice === null;
    this.root.dataset.state = f.state.kind;
    if (!notice) return;
    this.root.dataset.tone = notice.tone;
    if (this.text.textContent !== notice.text) this.text.textContent = notice.text;
    this.button.hidden = notice.button === undefined;
    this.action = notice.button ?? "try";
    this.button.textContent = t(this.action === "reload" ? "banner.reload" : "banner.try");
  }
}
