// The page's entry.

import { App } from "./app";
import { expose } from "./debug";
import { speak, translate } from "./i18n/i18n";
import { Placements } from "./net/placements";
import { byID } from "./ui/dom";
import { bindSettings } from "./ui/settings";
import { bindTheme } from "./ui/theme";

/** The hashed name of the worker's bundle; the build puts it in. */
declare const workerURL: string;

async function main(): Promise<void> {
  await speak();
  translate(document);
  bindTheme();
  bindSettings();
  const query = new URLSearchParams(location.search);
  if (query.has("kiosk")) {
    document.documentElement.toggleAttribute("data-kiosk", true);
    byID("address").textContent = location.host;
  }
  const worker = new Worker(workerURL, { type: "module" });
  const app = new App(worker, await Placements.open(), query);
  if (query.has("debug")) expose(app, worker);
}

void main();
