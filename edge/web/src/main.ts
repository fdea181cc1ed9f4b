// The page's entry.

import { App } from "./app";
import { unshare } from "./camera/link";
import { expose } from "./debug";
import { onLanguage, speak, translate } from "./i18n/i18n";
import { Placements } from "./net/placements";
import { registerServiceWorker } from "./offline/register";
import { bindLanguage } from "./ui/language";
import { byID } from "./ui/dom";
import { bindSettings } from "./ui/settings";
import { bindTheme } from "./ui/theme";

/** The hashed name of the worker's bundle; the build puts it in. */
declare const workerURL: string;

async function main(): Promise<void> {
  const here = unshare(location.search, location.hash);
  if (here) history.replaceState(null, "", here);
  onLanguage(() => translate(document));
  await speak();
  bindTheme();
  bindLanguage(byID<HTMLSelectElement>("language"));
  bindSettings();
  const query = new URLSearchParams(location.search);
  if (query.has("kiosk")) {
    document.documentElement.toggleAttribute("data-kiosk", true);
    byID("address").textContent = location.host;
  }
  const spawn = () => new Worker(workerURL, { type: "module" });
  const worker = spawn();
  const app = new App(worker, await Placements.open(), query, spawn);
  if (query.has("debug")) expose(app, worker);
  registerServiceWorker();
}

void main();
