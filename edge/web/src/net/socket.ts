// One WebSocket connection from opening to closing.

import { subprotocol } from "../wire/requests";

export interface Ending {
  opened: boolean;
  code: number;
}

export class Socket {
  private readonly ws: WebSocket;
  /** Resolves when the connection has ended, for whatever reason. */
  readonly ended: Promise<Ending>;

  constructor(url: string, onOpen: () => void, onMessage: (bytes: Uint8Array) => void) {
    this.ws = new WebSocket(url, subprotocol);
    this.ws.binaryType = "arraybuffer";
    let opened = false;
    this.ended = new Promise((resolve) => {
      this.ws.onclose = (e) => resolve({ opened, code: e.code });
      this.abandon = () => resolve({ opened, code: 0 });
    });
    this.ws.onopen = () => {
      opened = true;
      onOpen();
    };
    this.ws.onmessage = (e) => onMessage(new Uint8Array(e.data as ArrayBuffer));
  }

  private abandon: () => void = () => {};

  get open(): boolean {
    return this.ws.readyState === WebSocket.OPEN;
  }

  send(message: Uint8Array<ArrayBuffer>): void {
    if (this.open) this.ws.send(message);
  }

  /** Ends at once: over a dead network the closing handshake would last for minutes. */
  close(): void {
    this.ws.onmessage = null;
    this.ws.close();
    this.abandon();
  }
}
