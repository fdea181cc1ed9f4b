// Light, dark, or what the system says.

import { onPreference, preference } from "../preferences";

export function bindTheme(): void {
  const show = () => (document.documentElement.dataset.theme = preference("theme"));
  onPreference(show);
  show();
}
