// The worker's entry: hands what the page says to the client, and answers the
// questions of tests about this very bundle's decoder.

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
const post = (message: FromWorker, transfer: Transferable[] = []) => scope.postMessage(message, transfer);

// Nobody hears a promise that a worker broke, so the page is told.
scope.onunhandledrejection = (e) => post({ kind: "fault", text: String((e.reason as Error)?.stack ?? e.reason) });

let client: Client | null = null;
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
    case "wake": return client?.wake();
    case "place": return client?.place(data.place);
    case "report":
      if (client) post({ kind: "report", id: data.id, report: client.report() });
      return;
    case "parse": return answerParse(data);
    case "decode": return answerDecode(data);
  }
};

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
