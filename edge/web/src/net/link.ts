// What the page and its worker say to each other. Arrays of pixels are
// transferred: after posting, the sender has them no longer.

import type { Fault, Job } from "../templates/convert";
import type { Placed, Progress, Shape, Stack, WrongPixel, WrongQuery } from "../templates/template";
import type { Allowance, Config } from "../wire/messages";

/** A placement that this page asked for. number rises by one, in order. */
export interface Place {
  number: number;
  x: number;
  y: number;
  color: number;
  atMS: number; // when, by this computer's clock
}

/** Who the server takes this browser for. */
export interface Session {
  token: string;
  name: string;
  expires: number; // unix ms
}

export type LinkState =
  | { kind: "connecting" }
  | { kind: "live" }
  | { kind: "silent" } // open by its looks, but the server does not answer
  | { kind: "waiting"; retryAtMS: number } // of this computer's clock
  | { kind: "polling" } // WebSockets are blocked, HTTP is not
  | { kind: "outdated" }; // the server does not speak this page's protocol

/** What ?debug and the tests look at. */
export interface Report {
  canvas: string;
  state: LinkState["kind"];
  shards: { shard: number; seq: number; crc: number; watched: boolean }[];
  unanswered: number;
  decodeMS: number; // the slowest batch so far
}

/** A refusal that is no error of the server's: its codes begin with 0. */
export const canvasReplaced = -1;

/** Error codes of the server that the page gives as a reason, too. */
export const tokenExpired = 7;
export const expired = 11;

export type ToWorker =
  | { kind: "start"; origin: string; instance: bigint; session: Session | null; unanswered: Place[] }
  | { kind: "view"; shards: number[] }
  | { kind: "hidden"; hidden: boolean }
  | { kind: "alarm"; inMS: number } // to be told then; timers of a hidden page are late
  | { kind: "wake"; why: "person" | "network" | "shown" } // somebody asked to try now, the network came or went, the page is looked at again
  | { kind: "place"; place: Place }
  | { kind: "template"; placed: Placed } // to be counted from now on
  | { kind: "templateGone"; id: string }
  | { kind: "templateStack"; stack: Stack }
  | { kind: "wrongAsked"; query: WrongQuery }
  | { kind: "convert"; job: Job } // to a worker that has no other work
  | { kind: "report"; id: number }
  | { kind: "parse"; id: number; message: Uint8Array }
  | { kind: "decode"; id: number; rounds: number; coding: number; param: number; payload: Uint8Array; packed: Uint8Array; width: number; height: number; bits: number };

export type FromWorker =
  | { kind: "config"; config: Config }
  | { kind: "shards"; shards: { shard: number; pixels: Uint8Array<ArrayBuffer> }[] } // whole, all of one canvas file
  | { kind: "loading"; share: number } // of the first canvas, 0 to 1
  | { kind: "pixels"; shard: number; changes: Uint32Array<ArrayBuffer>; fresh: boolean } // fresh: painted just now, not caught up
  | { kind: "state"; state: LinkState }
  | { kind: "session"; session: Session }
  | { kind: "user"; user: bigint; name: string }
  | { kind: "clock"; aheadMS: number } // the server's clock minus this computer's
  | { kind: "allowance"; allowance: Allowance }
  | { kind: "online"; online: number }
  | { kind: "placed"; number: number }
  | { kind: "settled"; number: number } // the reference canvas holds it, or something later
  | { kind: "refused"; number: number; code: number; allowance: Allowance | null }
  | { kind: "kept"; timeMS: number } // there is no server: the canvas is that of this time
  | { kind: "alarm" }
  | { kind: "build" } // the server runs another build than at the start
  | { kind: "progress"; progress: Progress[] } // of all templates that are counted
  | { kind: "wrong"; pixel: WrongPixel | null }
  | { kind: "converted"; shape: Shape }
  | { kind: "notConverted"; fault: Fault }
  | { kind: "fault"; text: string } // the worker met a mistake of its own
  | { kind: "report"; id: number; report: Report }
  | { kind: "parsed"; id: number; message: unknown; fault: string | null }
  | { kind: "decoded"; id: number; changes: Uint32Array; fault: string | null; millis: number[] };
