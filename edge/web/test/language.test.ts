import ar from "../src/i18n/ar.json";
import de from "../src/i18n/de.json";
import en from "../src/i18n/en.json";
import es from "../src/i18n/es.json";
import fr from "../src/i18n/fr.json";
import ja from "../src/i18n/ja.json";
import pt from "../src/i18n/pt.json";
import tr from "../src/i18n/tr.json";
import { bestOf, colorName, coordinates, soon, t, use, type Key, type Texts } from "../src/i18n/i18n";
import { clock } from "../src/ui/dock";
import { equal, test } from "./harness";

const all: Record<string, Texts> = { ar, de, es, fr, ja, pt, tr };

const names = (text: string) => [...new Set(text.match(/\{\w+\}/g) ?? [])].sort();
const formsOf = (text: unknown) => (typeof text === "string" ? { other: text } : (text as Record<string, string>));

/** What is wrong with one text of a language, next to the English one. */
function faultsOf(tag: string, key: string, own: unknown, english: unknown): string[] {
  if (own === undefined) return [`${key} is missing`];
  if ((typeof own === "string") !== (typeof english === "string")) return [`${key} has plural forms in one language only`];
  const forms = formsOf(own);
  const wanted = names(formsOf(english).other);
  const filled = names(Object.values(formsOf(english)).join(" "));
  const counted = wanted.filter((name) => name !== "{n}");
  const faults: string[] = [];
  if (typeof own !== "string") {
    const categories = new Intl.PluralRules(tag).resolvedOptions().pluralCategories;
    for (const form of categories) if (!forms[form]) faults.push(`${key} lacks the plural form ${form}`);
    for (const form of Object.keys(forms)) if (!categories.includes(form as Intl.LDMLPluralRule)) faults.push(`${key} has the form ${form}, which the language has not`);
  }
  for (const [form, text] of Object.entries(forms)) {
    const found = names(text);
    // "One second" and "two seconds" need no number in some languages.
    const needed = ["zero", "one", "two"].includes(form) ? counted : wanted;
    for (const name of needed) if (!found.includes(name)) faults.push(`${key} (${form}) lacks ${name}`);
    for (const name of found) if (!filled.includes(name)) faults.push(`${key} (${form}) has ${name}, which is never filled in`);
    if (text.trim() === "") faults.push(`${key} (${form}) is empty`);
  }
  return faults;
}

for (const [tag, texts] of Object.entries(all)) {
  test(`${tag}.json says all that en.json says`, () => {
    const faults = Object.entries(en).flatMap(([key, english]) => faultsOf(tag, key, texts[key as Key], english));
    const unknown = Object.keys(texts).filter((key) => !(key in en)).map((key) => `${key} is not in en.json`);
    equal([...faults, ...unknown], [], `what is wrong with src/i18n/${tag}.json`);
  });
}

/** Runs body in a language and comes back to English. */
function speaking(tag: string, body: () => void): void {
  use(tag, all[tag]);
  try {
    body();
  } finally {
    use("en", en);
  }
}

test("the check of languages finds what is missing", () => {
  equal(faultsOf("ar", "k", { other: "{n}" }, { one: "{n}", other: "{n}" }).length, 5);
  equal(faultsOf("de", "k", "bei {x}", "at {x}, {y}"), ["k (other) lacks {y}"]);
  equal(faultsOf("de", "k", undefined, "text"), ["k is missing"]);
});

test("the browser's first language that there is wins, whatever its region", () => {
  const there = ["ar", "de", "en", "pt"];
  equal(bestOf(["auto", "nl-NL", "pt-BR", "de"], there), "pt");
  equal(bestOf(["de", "ar"], there), "de");
  equal(bestOf(["nl"], there), "en");
});

test("a number chooses the plural form", () => {
  equal(t("banner.waiting", { n: 1 }), "Connection lost. Trying again in 1 second");
  speaking("ar", () => {
    equal(t("banner.waiting", { n: 2 }).includes("ثانيتين"), true);
    equal(t("banner.waiting", { n: 5 }).includes("5 ثوانٍ"), true);
    equal(t("banner.waiting", { n: 11 }).includes("11 ثانية"), true);
  });
});

test("coordinates have no separators of thousands, and x comes first from right to left too", () => {
  equal(t("painter.back", { x: 1234, y: 5 }), "The pixel at 1234, 5 was taken back.");
  equal(coordinates(12, 34), "12, 34");
  speaking("de", () => equal(t("painter.cell", { x: 1234, y: 5, color: "Rot" }), "1234, 5, Rot"));
  speaking("ar", () => {
    equal(coordinates(12, 34), "\u206612, 34\u2069");
    equal(t("painter.cell", { x: 1234, y: 5, color: "x" }), "\u20661234, 5\u2069، \u2068x\u2069");
  });
});

test("well-known colours have names in every language, others keep theirs", () => {
  speaking("fr", () => equal([colorName("dark blue"), colorName("Gold of 1871")], ["bleu foncé", "Gold of 1871"]));
  equal(colorName("dark blue"), "dark blue");
});

test("times are written as the language does", () => {
  equal([soon(1), soon(4000), soon(300_000), soon(3 * 3_600_000)], ["in 1 second", "in 4 seconds", "in 5 minutes", "in 3 hours"]);
  equal([clock(4), clock(65)], ["4s", "1:05"]);
  speaking("tr", () => equal(soon(4000), "4 saniye sonra"));
  speaking("de", () => equal(clock(4), "4 Sek."));
});
