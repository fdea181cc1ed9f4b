// The page's entry.

import { App } from "./app";
import { expose } from "./debug";
import { speak, translate } from "./i18n/i18n";
import { Placements } from "./net/placements";
import { bindTheme } from "./ui/theme";

/** The hashed name of the worker's bundle; the build puts it in. */
declare const workerURL: string;

async function main(): Promise<void> {
  await speak();
  translate(document);
  bindTheme();
  const query = new URLSearchParams(location.search);
  const spawn = () => new Worker(workerURL, { type: "module" });
  const worker = spawn();
  const app = new App(worker, await Placements.open(), query, spawn);
  if (query.has("debug")) expose(app, worker);
}

void main();
