// The page's entry.

import { App } from "./app";
import { unshare } from "./camera/link";
import { expose } from "./debug";
import { onLanguage, speak, translate } from "./i18n/i18n";
import { Placements } from "./net/placements";
import { registerServiceWorker } from "./offline/register";
import { Banner } from "./ui/banner";
import { bindLanguage } from "./ui/language";
import { byID } from "./ui/dom";
import { bindSettings } from "./ui/settings";
import { bindTheme } from "./ui/theme";

/** The hashed name of the worker's bundle; the build puts it in. */
declare const workerURL: string;

const languageMS = 3_000; // that a page without words waits for them

async function main(): Promise<void> {
  const here = unshare(location.search, location.hash);
  if (here) history.replaceState(null, "", here);
  const spawn = () => new Worker(workerURL, { type: "module" });
  const worker = spawn(); // first, as it comes over the network too
  const banner = new Banner(() => worker.postMessage({ kind: "wake", why: "person" }));
  worker.addEventListener("error", () => banner.fail());
  // English until the language is there.
  const late = new Promise((resolve) => setTimeout(resolve, languageMS));
  const [placements] = await Promise.all([Placements.open(), Promise.race([speak(), late])]);
  translate(document);
  onLanguage(() => translate(document));
  bindTheme();
  bindLanguage(byID<HTMLSelectElement>("language"));
  bindSettings();
  const query = new URLSearchParams(location.search);
  if (query.has("kiosk")) {
    document.documentElement.toggleAttribute("data-kiosk", true);
    byID("address").textContent = location.host;
  }
  const app = new App(worker, banner, placements, query, spawn);
  if (query.has("debug")) expose(app, worker);
  registerServiceWorker();
}

main().catch((err: unknown) => {
  byID("loading").hidden = true;
  new Banner(() => {}).fail();
  throw err;
});
