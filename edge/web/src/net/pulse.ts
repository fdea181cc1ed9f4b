// Whether a connection that looks open still lives. A network that goes away
// closes nothing: only silence tells, and only after a question.

export const quietMS = 8_000; // of silence, then the server is asked
export const answerMS = 4_000; // for an answer
export const deadMS = 30_000; // of silence
const clockEveryMS = 20_000; // asked for the server's clock, however much it says

export type Finding = "well" | "ask" | "doubtful" | "dead";

/** Times are milliseconds of one clock that nobody sets. */
export class Pulse {
  private askedMS = -Infinity;
  /** There is a reason to believe that the server does not hear. */
  urgent = false;

  constructor(private heardMS: number) {}

  hear(nowMS: number): void {
    this.heardMS = nowMS;
    this.urgent = false;
  }

  /** The server was asked for a sign of life. */
  asked(nowMS: number, urgent = false): void {
    this.askedMS = nowMS;
    this.urgent ||= urgent;
  }

  look(nowMS: number): Finding {
    if (nowMS - this.heardMS > deadMS) return "dead";
    if (this.askedMS > this.heardMS) {
      return nowMS - this.askedMS <= answerMS ? "well" : "doubtful";
    }
    return nowMS - this.heardMS > quietMS || nowMS - this.askedMS > clockEveryMS ? "ask" : "well";
  }
}
