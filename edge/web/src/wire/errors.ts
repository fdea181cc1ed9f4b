// The stable names of what can be wrong with some bytes; the golden vectors
// and the server use the same ones.
export type Fault = "truncated" | "varint" | "range" | "type" | "version" | "order" | "utf8" | "padding" | "checksum";

/** Why a parser rejects its input. */
export class WireError extends Error {
  constructor(readonly fault: Fault, readonly field: string) {
    super(`${fault}: ${field}`);
    this.name = "WireError";
  }
}
