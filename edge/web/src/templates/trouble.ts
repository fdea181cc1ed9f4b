// What can be wrong with somebody's template, in words for that person.

import { t, type Key } from "../i18n/i18n";

export class Trouble extends Error {
  constructor(readonly key: Key, readonly values: Record<string, string | number> = {}) {
    super(key);
  }
}

/** The words for err; what is no Trouble is a mistake of this page and goes on. */
export function wordsFor(err: unknown): string {
  if (!(err instanceof Trouble)) throw err;
  return t(err.key, err.values);
}
