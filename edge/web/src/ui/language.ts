// The choice of the language: each one under the name that its speakers know.

import { languages, onLanguage, speak, t } from "../i18n/i18n";
import { onPreference, prefer, preference } from "../preferences";

export function bindLanguage(select: HTMLSelectElement): void {
  const auto = new Option("", "auto");
  const others = languages().map((tag) => {
    const option = new Option(nameOf(tag), tag);
    option.lang = tag;
    return option;
  });
  select.replaceChildren(auto, ...others);
  const show = () => {
    auto.text = t("language.auto");
    select.value = preference("language");
  };
  select.addEventListener("change", () => prefer("language", select.value));
  onPreference((name) => {
    if (name === "language") void speak();
  });
  onLanguage(show);
  show();
}

/** "Deutsch", "Français". */
function nameOf(tag: string): string {
  const name = new Intl.DisplayNames([tag], { type: "language" }).of(tag) ?? tag;
  return name.charAt(0).toLocaleUpperCase(tag) + name.slice(1);
}
