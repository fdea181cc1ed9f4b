// The worker's entry: hands what the page says to the client and to the count of
// templates, converts images where it was started for that, and answers the
// questions of tests about this very bundle's decoder.

import { convert, ConvertError, type Job } from "../templates/convert";
import { Tally } from "../templates/tally";
import { Changes, decode } from "../wire/codec";
import { WireError } from "../wire/errors";
import { parse } from "../wire/messages";
import { unpack } from "../wire/packed";
import { Client } from "./client";
import type { FromWorker, ToWorker } from "./link";

// The part of a worker's global scope that is used; lib.dom describes a page's.
interface Scope {
  onmessage: ((e: MessageEvent<ToWorker>) => void) | null;
  onunhandledrejection: ((e: PromiseRejectionEvent) => void) | null;
  postMessage(message: FromWorker, transfer: Transferable[]): void;
}

const scope = globalThis as unknown as Scope;
const tell = (message: FromWorker) => scope.postMessage(message, []);
// The count hears what the page hears, before its arrays are gone.
const post = (message: FromWorker, transfer: Transferable[] = []) => {
  tally.hear(message);
  scope.postMessage(message, transfer);
};

// Nobody hears a promise that a worker broke, so the page is told.
scope.onunhandledrejection = (e) => tell({ kind: "fault", text: String((e.reason as Error)?.stack ?? e.reason) });

let client: Client | null = null;
const tally = new Tally({ copyOf: (shard) => client?.copyOf(shard), post: tell, later: (ms, f) => void setTimeout(f, ms) });
let alarm = 0;

scope.onmessage = ({ data }) => {
  switch (data.kind) {
    case "start":
      client = new Client(data, post);
      void client.run();
      return;
    case "view": return client?.view(data.shards);
    case "hidden": return client?.hide(data.hidden);
    case "alarm":
      clearTimeout(alarm);
      alarm = setTimeout(() => post({ kind: "alarm" }), data.inMS) as unknown as number;
      return;
    case "wake": return client?.wake(data.why);
    case "place": return client?.place(data.place);
    case "template":
      tally.set(data.placed);
      return client?.pin(tally.shards());
    case "templateGone":
      tally.drop(data.id);
      return client?.pin(tally.shards());
    case "templateStack": return tally.arrange(data.stack);
    case "wrongAsked": return tell({ kind: "wrong", pixel: tally.nearest(data.query) });
    case "convert": return void answerConvert(data.job);
    case "report":
      if (client) post({ kind: "report", id: data.id, report: client.report() });
      return;
    case "parse": return answerParse(data);
    case "decode": return answerDecode(data);
  }
};

async function answerConvert(job: Job): Promise<void> {
  try {
    const shape = await convert(job);
    scope.postMessage({ kind: "converted", shape }, [shape.cells.buffer]);
  } catch (err) {
    if (!(err instanceof ConvertError)) throw err;
    tell({ kind: "notConverted", fault: err.fault });
  }
}

function answerParse({ id, message }: Extract<ToWorker, { kind: "parse" }>): void {
  try {
    post({ kind: "parsed", id, message: parse(message), fault: null });
  } catch (err) {
    post({ kind: "parsed", id, message: null, fault: faultOf(err) });
  }
}

function answerDecode(d: Extract<ToWorker, { kind: "decode" }>): void {
  const changes = new Changes();
  const millis: number[] = [];
  let fault: string | null = null;
  try {
    const area = { pixels: unpack(d.packed, d.width * d.height, d.bits), width: d.width, height: d.height, bits: d.bits };
    for (let round = 0; round < d.rounds; round++) {
      const before = performance.now();
      decode(changes, d.coding, d.param, d.payload, area);
      millis.push(performance.now() - before);
    }
  } catch (err) {
    fault = faultOf(err);
  }
  post({ kind: "decoded", id: d.id, changes: changes.copy(), fault, millis });
}

function faultOf(err: unknown): string {
  if (err instanceof WireError) return err.fault;
  throw err;
}
