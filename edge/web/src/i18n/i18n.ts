// What the page says, in the language of whoever reads it. English is part of the
// bundle and stands in for what a language lacks; every other language is a file
// of its own that is fetched when the page is loaded.
//
//	en.json, de.json ...  key -> text, or key -> one text for each plural form
//
// {n} and other names in braces are filled in. Numbers have the digits of the
// address bar in every language, because coordinates go there.

import en from "./en.json";
import { preference } from "../preferences";

export type Key = keyof typeof en;
type Text = string | Partial<Record<Intl.LDMLPluralRule, string>>;
export type Texts = Partial<Record<Key, Text>>;

/** language -> URL of its file; the build puts it in. */
declare const localeURLs: Record<string, string>;

let texts: Texts = en;
let tag = "en";
let plural = new Intl.PluralRules(tag);
let numbers = new Intl.NumberFormat(tag);
let places = new Intl.NumberFormat(tag, { useGrouping: false });
let brief = new Intl.NumberFormat(tag, { style: "unit", unit: "second", unitDisplay: "narrow" });
let relative = new Intl.RelativeTimeFormat(tag, { numeric: "auto" });
const listeners: (() => void)[] = [];
let turns = 0;

/** The languages that there are, by their tags. */
export function languages(): string[] {
  return ["en", ...Object.keys(localeURLs)].sort();
}

/** The tag of the language that is spoken now. */
export function language(): string {
  return tag;
}

/** The same with Latin digits, for Intl: those of the address bar. */
export function locale(): string {
  return `${tag}-u-nu-latn`;
}

/** The best of available for somebody who wants these, the dearest first. */
export function bestOf(wanted: readonly string[], available: readonly string[]): string {
  for (const want of wanted) {
    const base = want.toLowerCase().split("-")[0];
    const found = available.find((a) => a === want.toLowerCase()) ?? available.find((a) => a === base);
    if (found) return found;
  }
  return "en";
}

/** Fetches and speaks the language that was chosen, or that the browser asks for. */
export async function speak(): Promise<void> {
  const turn = ++turns;
  const best = bestOf([preference("language"), ...navigator.languages], languages());
  let found: Texts = en;
  if (best !== "en") {
    try {
      const answer = await fetch(localeURLs[best]);
      if (!answer.ok) throw new Error(String(answer.status));
      found = (await answer.json()) as Texts;
    } catch (err) {
      console.info("pixelwall: the language cannot be had, English instead", err);
      return use("en", en);
    }
  }
  if (turn === turns) use(best, found); // the last choice counts, not the slowest answer
}

/** Speaks texts from now on; for speak and tests. */
export function use(newTag: string, newTexts: Texts): void {
  tag = newTag;
  texts = newTexts;
  const latin = locale();
  plural = new Intl.PluralRules(tag);
  numbers = new Intl.NumberFormat(latin);
  places = new Intl.NumberFormat(latin, { useGrouping: false });
  brief = new Intl.NumberFormat(latin, { style: "unit", unit: "second", unitDisplay: "narrow" });
  relative = new Intl.RelativeTimeFormat(latin, { numeric: "auto" });
  for (const heard of listeners) heard();
}

/** Calls heard after each change of the language. */
export function onLanguage(heard: () => void): void {
  listeners.push(heard);
}

/** Whether the language runs from right to left. */
export function isRightToLeft(): boolean {
  return tag === "ar";
}

/** The text of key. With plural forms, n chooses. */
export function t(key: Key, filled: Record<string, string | number> = {}): string {
  const found: Text = texts[key] ?? en[key];
  const text = typeof found === "string" ? found : (found[plural.select(Number(filled.n))] ?? found.other ?? "");
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = filled[name];
    if (value === undefined) return whole;
    if (typeof value === "string") return isolate(value);
    return (name === "x" || name === "y" ? places : numbers).format(value); // a place is no amount
  });
}

/** A name of another script must not reorder the sentence around it. */
function isolate(text: string): string {
  return isRightToLeft() ? `\u2068${text}\u2069` : text;
}

/** "120, 80", x first in every language. */
export function coordinates(x: number, y: number): string {
  return isRightToLeft() ? `\u2066${x}, ${y}\u2069` : `${x}, ${y}`;
}

/** The name of a colour: translated where it is one of the palettes that everybody knows. */
export function colorName(name: string): string {
  const key = `color.${name.toLowerCase()}`;
  return key in en ? t(key as Key) : name;
}

/** A number as the language writes it. */
export function number(n: number): string {
  return numbers.format(n);
}

/** Writes the texts that index.html names: data-t, data-t-label and data-t-title. */
export function translate(root: Document): void {
  root.documentElement.lang = tag;
  root.documentElement.dir = isRightToLeft() ? "rtl" : "ltr";
  for (const node of root.querySelectorAll<HTMLElement>("[data-t]")) node.textContent = t(node.dataset.t as Key);
  for (const node of root.querySelectorAll<HTMLElement>("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel as Key));
  for (const node of root.querySelectorAll<HTMLElement>("[data-t-title]")) node.title = t(node.dataset.tTitle as Key);
}

/** "4s", for where there is little room. */
export function shortSeconds(seconds: number): string {
  return brief.format(seconds);
}

/** "in 4 seconds", "in 3 hours", from milliseconds; never less than there are. */
export function soon(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  if (seconds <= 120) return relative.format(seconds, "second");
  if (seconds <= 7200) return relative.format(Math.ceil(seconds / 60), "minute");
  return relative.format(Math.ceil(seconds / 3600), "hour");
}

/** "Nov 26, 2026, 4:31 PM", from the milliseconds of a clock. */
export function moment(timeMS: number): string {
  return new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "short" }).format(timeMS);
}

/** "3 minutes ago", from milliseconds. */
export function ago(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 5) return t("ago.now");
  if (seconds < 60) return relative.format(-seconds, "second");
  if (seconds < 3600) return relative.format(-Math.round(seconds / 60), "minute");
  if (seconds < 86_400) return relative.format(-Math.round(seconds / 3600), "hour");
  return relative.format(-Math.round(seconds / 86_400), "day");
}
