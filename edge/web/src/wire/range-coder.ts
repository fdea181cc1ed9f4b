// The arithmetic of the range coder: CODEC.md section 3.1.

const rangeMin = 1 << 24;
const directBits = 12;

export class Coder {
  /** Something was read that no encoder writes; what follows means nothing. */
  bad = false;
  private payload: Uint8Array = new Uint8Array(0);
  private taken = 0;
  // Unsigned words in an array: as plain fields they would be boxed numbers.
  private readonly word = new Uint32Array(2);

  /** p: the probabilities of a one, which bit reads and moves. */
  constructor(private readonly p: Uint16Array) {}

  start(payload: Uint8Array): void {
    this.payload = payload;
    this.taken = 0;
    this.word[0] = 0xffffffff; // the range
    this.word[1] = 0; // the code
    for (let i = 0; i < 4; i++) this.shiftIn();
    this.bad = this.word[1] === 0xffffffff;
  }

  bit(at: number, shift: number): number {
    const { p, word } = this;
    const range = word[0];
    const probability = p[at];
    const bound = Math.imul(range >>> 12, probability >> 4) >>> 0;
    if (word[1] < bound) {
      word[0] = bound;
      p[at] = probability + ((65535 - probability) >> shift);
      if (bound < rangeMin) this.widen();
      return 1;
    }
    word[1] -= bound;
    word[0] = range - bound;
    p[at] = probability - (probability >> shift);
    if (word[0] < rangeMin) this.widen();
    return 0;
  }

  direct(n: number): number {
    const { word } = this;
    let v = 0;
    while (n > 0) {
      const chunk = Math.min(n, directBits);
      n -= chunk;
      word[0] >>>= chunk;
      const digit = Math.floor(word[1] / word[0]);
      if (digit >= 1 << chunk) {
        this.bad = true;
        return 0;
      }
      word[1] -= digit * word[0];
      v = (v << chunk) + digit;
      this.widen();
    }
    return v;
  }

  /** More was taken than any encoder leaves away. */
  get short(): boolean {
    return this.taken > this.payload.length + 4;
  }

  /** The payload ends as its encoder would have ended it. */
  ended(): boolean {
    const [range, code] = this.word;
    const { length } = this.payload;
    if (length === this.taken - 4) return true;
    if (length !== this.taken - 3) return false;
    const top = this.payload[length - 1] * rangeMin;
    // (top - code) wraps in 32 bits before the sum is made.
    return top !== 0 && code < rangeMin && ((top - code) >>> 0) + range <= 2 ** 32;
  }

  private widen(): void {
    const { word } = this;
    while (word[0] < rangeMin) {
      word[0] <<= 8;
      this.shiftIn();
    }
  }

  private shiftIn(): void {
    const byte = this.taken < this.payload.length ? this.payload[this.taken] : 0;
    this.word[1] = (this.word[1] << 8) | byte;
    this.taken++;
  }
}
