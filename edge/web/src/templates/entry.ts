// A template as it stands on this page: with its shape, its counts and its pace.

import { Pace } from "./pace";
import type { Progress, Shape, Template } from "./template";
import type { Trouble } from "./trouble";

export interface Entry {
  template: Template;
  shape: Shape | null; // until it is converted
  trouble: Trouble | null; // why it cannot be
  frame: number;
  turn: number; // rises with each conversion that is asked for
  version: number; // and with each placing
  progress: Progress | null;
  pace: Pace;
  damageTold: number;
}

export function entryFor(template: Template): Entry {
  return { template, shape: null, trouble: null, frame: 0, turn: 0, version: 0, progress: null, pace: new Pace(), damageTold: 0 };
}

/** The counts of a template without the colours that are left out. */
export function countOf({ progress, template }: Entry): { total: number; wrong: number } {
  let [total, wrong] = [0, 0];
  progress?.totals.forEach((n, color) => {
    if (template.hidden.includes(color)) return;
    total += n;
    wrong += progress.wrongs[color];
  });
  return { total, wrong };
}

/** Whether there is an address that may have another image by now. */
export function canRefresh({ template }: Entry): boolean {
  return template.sources.some((source) => !source.startsWith("data:"));
}
