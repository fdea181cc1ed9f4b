// Keys in, commands out. Arrows and Enter always work on the canvas, and with them
// everything can be done; the single
// letters and digits can be switched off, as people who steer by voice need.

export type Command =
  | { kind: "cursor"; dx: number; dy: number }
  | { kind: "pan"; dx: number; dy: number }
  | { kind: "zoom"; direction: 1 | -1 }
  | { kind: "color"; index: number }
  | { kind: "step"; by: 1 | -1 }
  | { kind: "place" | "inspect" | "fit" | "actual" | "goto" | "full" | "help" | "escape" | "pick" | "wrong" };

const digitsMS = 700;

/** Characters that are commands, and that some layouts have where others have a digit. */
const bound = /^[-+=?]$/;

/** The key as the shortcuts name it: by its place where the layout has no Latin letters, or digits only with Shift. */
export function keyOf({ key, code, shiftKey }: { key: string; code: string; shiftKey: boolean }): string {
  const place = /^(?:Key([A-Z])|Digit([0-9]))$/.exec(code);
  if (place?.[2] && !shiftKey && !bound.test(key)) return place[2];
  return place?.[1] && key.length === 1 && key > "~" ? place[1].toLowerCase() : key;
}

export interface KeyPress {
  key: string;
  shift: boolean;
  timeMS: number;
}

export class Keys {
  /** Letters and digits work alone. */
  single = true;
  private digits = "";
  private digitAtMS = 0;

  /** colors: how many there are, so that 1 7 can be the seventeenth. */
  read(press: KeyPress, colors: number): Command | null {
    const far = press.shift ? 10 : 1;
    switch (press.key) {
      case "ArrowLeft": return { kind: "cursor", dx: -far, dy: 0 };
      case "ArrowRight": return { kind: "cursor", dx: far, dy: 0 };
      case "ArrowUp": return { kind: "cursor", dx: 0, dy: -far };
      case "ArrowDown": return { kind: "cursor", dx: 0, dy: far };
      case "Enter": return { kind: press.shift ? "inspect" : "place" };
      case " ": return { kind: "place" };
      case "Escape": return { kind: "escape" };
      case "Home": return { kind: "fit" };
    }
    if (!this.single) return null;
    if (/^[0-9]$/.test(press.key)) return this.digit(press, colors);
    switch (press.key.toLowerCase()) {
      case "w": return { kind: "pan", dx: 0, dy: -1 };
      case "a": return { kind: "pan", dx: -1, dy: 0 };
      case "s": return { kind: "pan", dx: 0, dy: 1 };
      case "d": return { kind: "pan", dx: 1, dy: 0 };
      case "e":
      case "+":
      case "=": return { kind: "zoom", direction: 1 };
      case "q":
      case "-": return { kind: "zoom", direction: -1 };
      case "j": return { kind: "step", by: -1 };
      case "k": return { kind: "step", by: 1 };
      case "i": return { kind: "inspect" };
      case "p": return { kind: "pick" };
      case "n": return { kind: "wrong" };
      case "r": return { kind: "fit" };
      case "o": return { kind: "actual" };
      case "g":
      case "l": return { kind: "goto" };
      case "f": return { kind: "full" };
      case "h":
      case "?": return { kind: "help" };
    }
    return null;
  }

  private digit(press: KeyPress, colors: number): Command | null {
    const together = press.timeMS - this.digitAtMS < digitsMS ? this.digits + press.key : press.key;
    const number = (digits: string) => (digits === "0" ? 10 : Number(digits));
    this.digits = number(together) <= colors ? together : press.key;
    this.digitAtMS = press.timeMS;
    const index = number(this.digits) - 1;
    return index >= 0 && index < colors ? { kind: "color", index } : null;
  }
}
