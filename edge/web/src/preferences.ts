// What a person has chosen, in one place: kept in localStorage where there is one,
// and told to whoever draws by it.

import { settings } from "./ui/dom";

export interface Preferences {
  theme: "auto" | "light" | "dark";
  language: string; // a tag, or "auto": what the browser asks for
  confirm: "auto" | "always" | "never"; // a second tap before painting; auto: on touch
  sound: boolean; // when the next pixel is ready
  notify: boolean; // the same, as a notification of the system
  singleKeys: boolean; // letters and digits work alone
  vision: "all" | "protan" | "deutan" | "tritan" | "grey"; // for whom colours are shown
  glyphs: boolean; // a sign on every colour
  grid: boolean;
  minimap: boolean;
  pad: boolean; // buttons that pan
  heat: boolean; // where people painted in the last minutes
  pickWrong: boolean; // the way to the next wrong pixel of a template takes its colour as well
  damageAlert: boolean; // a word when right pixels of a template were painted over
}

const defaults: Preferences = {
  theme: "auto", language: "auto", confirm: "auto", sound: false, notify: false, singleKeys: true, vision: "all", glyphs: false, grid: true,
  minimap: true, pad: false, heat: false, pickWrong: false, damageAlert: true,
};

/** Where not every text makes sense. */
const choices: Partial<Record<keyof Preferences, readonly unknown[]>> = {
  theme: ["auto", "light", "dark"], confirm: ["auto", "always", "never"], vision: ["all", "protan", "deutan", "tritan", "grey"],
};

type Listener = (name: keyof Preferences) => void;

const listeners: Listener[] = [];
const present: Preferences = { ...defaults, ...kept() };

export function preference<K extends keyof Preferences>(name: K): Preferences[K] {
  return present[name];
}

export function prefer<K extends keyof Preferences>(name: K, value: Preferences[K]): void {
  if (present[name] === value) return;
  present[name] = value;
  // What another tab kept meanwhile stays.
  const chosen = Object.fromEntries(Object.entries({ ...kept(), [name]: value }).filter(([k, v]) => v !== defaults[k as keyof Preferences]));
  settings.set("preferences", JSON.stringify(chosen));
  for (const heard of listeners) heard(name);
}

/** Calls heard after each change. */
export function onPreference(heard: Listener): void {
  listeners.push(heard);
}

/** What was kept, as far as it makes sense. */
function kept(): Partial<Preferences> {
  try {
    const found = JSON.parse(settings.get("preferences") ?? "{}") as Record<string, unknown>;
    return Object.fromEntries(Object.entries(found).filter(([k, v]) => makesSense(k as keyof Preferences, v)));
  } catch {
    return {};
  }
}

function makesSense(name: keyof Preferences, value: unknown): boolean {
  return name in defaults && typeof value === typeof defaults[name] && (choices[name]?.includes(value) ?? true);
}
