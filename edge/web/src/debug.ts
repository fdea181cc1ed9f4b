// With ?debug the page shows its insides to tests, for reading only:
//
//	pixelwall.report()      the worker's seqs, CRCs and state
//	pixelwall.drawn(x, y)   the colour "#rrggbb" read back from the drawn canvas
//	pixelwall.cell(x, y)    where the middle of a cell is in the window
//	pixelwall.ask(message)  the worker's answer to "parse" and "decode"
//	pixelwall.templates()   where each template is, and its counts

import type { App } from "./app";
import type { FromWorker, Report } from "./net/link";
import { countOf } from "./templates/entry";
import { hex } from "./ui/dom";

export function expose(app: App, worker: Worker): void {
  let last = 0;
  const ask = (message: Record<string, unknown>): Promise<FromWorker> =>
    new Promise((resolve) => {
      const id = ++last;
      const hear = ({ data }: MessageEvent<FromWorker>) => {
        if (!("id" in data) || data.id !== id) return;
        worker.removeEventListener("message", hear);
        resolve(data);
      };
      worker.addEventListener("message", hear);
      worker.postMessage({ ...message, id });
    });
  const insides = {
    ask,
    report: async (): Promise<Report | null> => {
      const answer = await ask({ kind: "report" });
      return answer.kind === "report" ? answer.report : null;
    },
    drawn: (x: number, y: number) => hex(app.stage.readCell(x, y)),
    cell: (x: number, y: number) => {
      const { left, top, side } = app.stage.squareOf(x, y);
      return { x: left + side / 2, y: top + side / 2 };
    },
    templates: () => app.templates.entries.map((entry) => ({
      name: entry.template.name, x: entry.template.x, y: entry.template.y, width: entry.shape?.width ?? 0, height: entry.shape?.height ?? 0,
      counted: entry.progress !== null && entry.progress.known === entry.progress.total, ...countOf(entry), damaged: entry.progress?.damaged ?? 0,
    })),
    state: () => ({
      renderer: app.stage.renderer.kind,
      scale: app.stage.camera.scale,
      moving: app.stage.camera.moving,
      cursor: app.painter.cursor,
      color: app.palette.selected,
      colors: app.palette.count,
      available: app.cooldown.available(Date.now()),
      remainingMS: app.cooldown.remainingMS(Date.now()),
      hopes: app.stage.picture?.hopes ?? 0,
      size: app.stage.picture?.size ?? null,
    }),
  };
  Object.assign(globalThis, { pixelwall: insides });
}
