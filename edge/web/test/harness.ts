// A test is a sentence and a function that throws. The Go side bundles all of
// them, runs them in Chromium and reads what globalThis.results resolves to.

export interface Result {
  name: string;
  fault: string;
}

const all: { name: string; body: () => void | Promise<void> }[] = [];

export function test(name: string, body: () => void | Promise<void>): void {
  all.push({ name, body });
}

export function equal(have: unknown, want: unknown, what = "value"): void {
  const text = (v: unknown) => JSON.stringify(v, (_, x) => (typeof x === "bigint" ? `${x}n` : ArrayBuffer.isView(x) ? Array.from(x as Uint8Array) : (x as unknown)));
  if (text(have) !== text(want)) throw new Error(`${what} is ${text(have)}, want ${text(want)}`);
}

export function close(have: number, want: number, within: number, what = "value"): void {
  if (!(Math.abs(have - want) <= within)) throw new Error(`${what} is ${have}, want ${want} ± ${within}`);
}

export function throws(body: () => void, fault: string): void {
  try {
    body();
  } catch (err) {
    return equal((err as { fault?: string }).fault, fault, "fault");
  }
  throw new Error(`nothing was thrown, want ${fault}`);
}

export async function run(): Promise<Result[]> {
  const results: Result[] = [];
  for (const { name, body } of all) {
    try {
      await Promise.race([body(), overdue()]);
      results.push({ name, fault: "" });
    } catch (err) {
      results.push({ name, fault: String((err as Error).stack ?? err) });
    }
  }
  return results;
}

/** A test that waits for what never comes ends all the same. */
function overdue(): Promise<never> {
  return new Promise((_, reject) => setTimeout(() => reject(new Error("the test did not end")), 10_000));
}
