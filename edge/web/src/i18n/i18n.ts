// What the page says, in the language of whoever reads it. English is part of the
// bundle and stands in for what a language lacks; every other language is a file
// of its own that is fetched before the page is shown.
//
//	en.json, de.json ...  key -> text, or key -> one text for each plural form
//
// {n} and other names in braces are filled in; numbers are written as the language
// writes them.

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
let relative = new Intl.RelativeTimeFormat(tag, { numeric: "auto" });

/** The languages that there are, by their tags. */
export function languages(): string[] {
  return ["en", ...Object.keys(localeURLs)].sort();
}

/** The tag of the language that is spoken now. */
export function language(): string {
  return tag;
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
  use(best, found);
}

/** Speaks texts from now on; for speak and tests. */
export function use(newTag: string, newTexts: Texts): void {
  tag = newTag;
  texts = newTexts;
  plural = new Intl.PluralRules(tag);
  numbers = new Intl.NumberFormat(tag);
  relative = new Intl.RelativeTimeFormat(tag, { numeric: "auto" });
}

/** The text of key. With plural forms, n chooses. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  const found: Text = texts[key] ?? en[key];
  const text = typeof found === "string" ? found : (found[plural.select(Number(values.n))] ?? found.other ?? "");
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? numbers.format(value) : value;
  });
}

/** A number as the language writes it. */
export function number(n: number): string {
  return numbers.format(n);
}

/** Writes the texts that index.html names: data-t, data-t-label and data-t-title. */
export function translate(root: Document): void {
  root.documentElement.lang = tag;
  root.documentElement.dir = tag === "ar" ? "rtl" : "ltr";
  for (const node of root.querySelectorAll<HTMLElement>("[data-t]")) node.textContent = t(node.dataset.t as Key);
  for (const node of root.querySelectorAll<HTMLElement>("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel as Key));
  for (const node of root.querySelectorAll<HTMLElement>("[data-t-title]")) node.title = t(node.dataset.tTitle as Key);
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
