// The settings dialog. Each control names its preference by data-preference;
// a change is kept at once, there is nothing to save.

import { t } from "../i18n/i18n";
import { onPreference, prefer, preference, type Preferences } from "../preferences";
import { byID } from "./dom";
import { mayNotify, ring } from "./ready";

type Control = HTMLInputElement | HTMLSelectElement;

export function bindSettings(): void {
  const dialog = byID<HTMLDialogElement>("settings");
  byID("settings-open").addEventListener("click", () => dialog.showModal());
  const controls = [...document.querySelectorAll<Control>("[data-preference]")];
  const showAll = () => controls.forEach(show);
  for (const control of controls) control.addEventListener("change", () => void take(control));
  // On an iPhone only an installed page may notify.
  for (const c of controls) if (nameOf(c) === "notify") (c.closest(".row") as HTMLElement).hidden = !("Notification" in globalThis);
  onPreference(showAll);
  showAll();
}

function nameOf(control: Control): keyof Preferences {
  return control.dataset.preference as keyof Preferences;
}

function show(control: Control): void {
  const value = preference(nameOf(control));
  if (!(control instanceof HTMLInputElement)) control.value = String(value);
  else control.checked = control.type === "radio" ? control.value === value : value === true;
}

async function take(control: Control): Promise<void> {
  const name = nameOf(control);
  const value = control instanceof HTMLInputElement && control.type === "checkbox" ? control.checked : control.value;
  if (name === "notify" && value === true && !(await allowed())) return show(control);
  if (name === "sound" && value === true) ring();
  prefer(name, value as never);
}

async function allowed(): Promise<boolean> {
  const may = await mayNotify();
  byID("notify-said").textContent = may ? "" : t("settings.notify.denied");
  return may;
}
