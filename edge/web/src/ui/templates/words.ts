// How far a template is, in words.

import { locale, t } from "../../i18n/i18n";
import { countOf, type Entry } from "../../templates/entry";

export interface Words {
  count: string; // "12 wrong of 400 · 97 %"
  pace: string; // "14 pixels a minute · about 3 minutes left"
  share: number; // 0 … 1, for the bar
}

export function wordsOf(entry: Entry, nowMS: number): Words {
  const quiet = (count: string): Words => ({ count, pace: "", share: 0 });
  if (entry.trouble) return quiet(t(entry.trouble.key, entry.trouble.values));
  if (!entry.template.visible) return quiet(t("template.off"));
  if (!entry.shape || !entry.progress || entry.progress.known < entry.progress.total) return quiet(t("template.counting"));
  const { total, wrong } = countOf(entry);
  if (total === 0) return quiet(t("template.nothing"));
  const share = (total - wrong) / total;
  if (wrong === 0) return { count: t("template.done"), pace: "", share };
  return { count: `${t("template.wrong", { n: wrong, total })} · ${percent(share)}`, pace: paceOf(entry, nowMS), share };
}

function paceOf({ pace }: Entry, nowMS: number): string {
  const rate = pace.perMinute(nowMS);
  if (rate === null) return "";
  const left = pace.remainingMS(nowMS);
  const speed = t(rate < 0 ? "template.losing" : "template.rate", { n: Math.round(Math.abs(rate) * 10) / 10 });
  return left === null ? speed : `${speed} · ${t("template.left", { time: duration(left) })}`;
}

/** Rounded down: all but one pixel is not 100 %. */
export function percent(share: number): string {
  return new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: 1 }).format(Math.floor(share * 1000) / 1000);
}

function duration(ms: number): string {
  const minutes = Math.max(1, Math.round(ms / 60_000));
  const [n, unit] = minutes < 120 ? [minutes, "minute"] : minutes < 2880 ? [Math.round(minutes / 60), "hour"] : [Math.round(minutes / 1440), "day"];
  return new Intl.NumberFormat(locale(), { style: "unit", unit: unit as string, unitDisplay: "long" }).format(n as number);
}
