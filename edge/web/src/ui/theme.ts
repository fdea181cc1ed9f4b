// Light, dark, or what the system says.

import { onLanguage, t } from "../i18n/i18n";
import { onPreference, prefer, preference, type Preferences } from "../preferences";
import { byID } from "./dom";

const order: Preferences["theme"][] = ["auto", "light", "dark"];

export function bindTheme(): void {
  const button = byID<HTMLButtonElement>("theme");
  const show = () => {
    const theme = preference("theme");
    document.documentElement.dataset.theme = theme;
    button.title = t(`theme.${theme}`);
    button.setAttribute("aria-label", button.title);
  };
  button.addEventListener("click", () => prefer("theme", order[(order.indexOf(preference("theme")) + 1) % order.length]));
  onPreference(show);
  onLanguage(show);
  show();
}
