// When to try again. Chance is an argument, so that the rule is arithmetic.

export const ceilingMS = 30_000;
export const firstMS = 500;

/** Full jitter before a try, the first of which is 1: anywhere from nothing to a bound that doubles with each one in vain. */
export function fullJitter(tries: number, random: () => number): number {
  return random() * Math.min(ceilingMS, firstMS * 2 ** Math.min(tries, 16));
}

/** Anywhere in the range that the server gave with its bye. */
export function spread(minMS: number, maxMS: number, random: () => number): number {
  return minMS + random() * (maxMS - minMS);
}
