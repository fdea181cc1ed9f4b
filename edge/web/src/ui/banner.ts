// The state of the connection, said only while there is something to say.

import type { LinkState } from "../net/link";
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
    case "outdated": return { tone: "bad", text: "This page is too old for the server.", button: "reload" };
    case "polling":
      return { tone: "bad", text: "This network blocks live connections (WebSocket). You see the canvas a few seconds late, and cannot paint.", button: "try" };
    case "waiting": {
      const seconds = Math.max(1, Math.ceil((f.state.retryAtMS - f.nowMS) / 1000));
      return { tone: "busy", text: `Connection lost. Trying again in ${seconds} s`, button: "try" };
    }
    case "connecting": return { tone: "busy", text: "Connecting …" };
  }
  if (f.readOnly) return { tone: "bad", text: "Read-only for the moment: the canvas moves on, painting waits." };
  if (!f.signedIn) return { tone: "bad", text: "You are watching. There is no session to paint with yet." };
  if (f.newBuild) return { tone: "news", text: "A new version of Pixelwall is here.", button: "reload" };
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
    this.button.textContent = this.action === "reload" ? "Reload" : "Try now";
  }
}
