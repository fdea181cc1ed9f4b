// How fast a pointer was when it let go, from where it has just been. A jump of
// one or two events is no speed, and neither is a rest before letting go.

const windowMS = 100;
const leastMoves = 3;
const leastMS = 16;

interface Sample {
  x: number;
  y: number;
  timeMS: number;
}

export class Velocity {
  private samples: Sample[] = [];

  clear(): void {
    this.samples = [];
  }

  add({ x, y, timeMS }: Sample): void {
    this.samples = [...this.samples.filter((s) => timeMS - s.timeMS <= windowMS), { x, y, timeMS }];
  }

  /** Pixels a millisecond at that time. */
  at(timeMS: number): { vx: number; vy: number } {
    const recent = this.samples.filter((s) => timeMS - s.timeMS <= windowMS);
    const first = recent[0];
    const last = recent[recent.length - 1];
    if (recent.length < leastMoves || last.timeMS - first.timeMS < leastMS) return { vx: 0, vy: 0 };
    const ms = last.timeMS - first.timeMS;
    return { vx: (last.x - first.x) / ms, vy: (last.y - first.y) / ms };
  }
}
