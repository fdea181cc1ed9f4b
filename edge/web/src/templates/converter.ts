// Gives images to a worker and its shapes back, one after the other. The worker
// lives only while there is something to do.

import type { FromWorker, ToWorker } from "../net/link";
import type { Fault, Job } from "./convert";
import type { Shape } from "./template";
import { Trouble } from "./trouble";

const faults = { image: "template.trouble.image", size: "template.trouble.size" } as const satisfies Record<Fault, string>;

export class Converter {
  private worker: Worker | null = null;
  private last: Promise<unknown> = Promise.resolve();
  private waiting = 0;

  constructor(private readonly spawn: () => Worker) {}

  /** Throws a Trouble where the image is none. */
  convert(job: Job): Promise<Shape> {
    this.waiting++;
    const done = this.last.then(() => this.ask(job)).finally(() => {
      if (--this.waiting > 0) return;
      this.worker?.terminate();
      this.worker = null;
    });
    this.last = done.catch(() => {});
    return done;
  }

  private ask(job: Job): Promise<Shape> {
    const worker = (this.worker ??= this.spawn());
    return new Promise((resolve, reject) => {
      // Too little memory, or a page whose server has another build's worker by now.
      const fail = (text: string) => {
        console.warn("pixelwall: the worker that converts failed", text);
        reject(new Trouble("template.trouble.failed"));
      };
      worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
        if (data.kind === "converted") resolve(data.shape);
        else if (data.kind === "notConverted") reject(new Trouble(faults[data.fault]));
        else if (data.kind === "fault") fail(data.text);
      };
      worker.onerror = (e) => fail(e.message);
      worker.postMessage({ kind: "convert", job } satisfies ToWorker);
    });
  }
}
