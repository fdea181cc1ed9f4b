// Light, dark, or what the system says.

import { byID, settings } from "./dom";

const order = ["auto", "light", "dark"] as const;
type Theme = (typeof order)[number];

export function bindTheme(): void {
  const button = byID<HTMLButtonElement>("theme");
  let theme: Theme = order.find((t) => t === settings.get("theme")) ?? "auto";
  const show = () => {
    document.documentElement.dataset.theme = theme;
    button.title = `Theme: ${theme === "auto" ? "as the system" : theme}`;
    button.setAttribute("aria-label", button.title);
  };
  button.addEventListener("click", () => {
    theme = order[(order.indexOf(theme) + 1) % order.length];
    settings.set("theme", theme);
    show();
  });
  show();
}
