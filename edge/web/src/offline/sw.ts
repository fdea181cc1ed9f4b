// The service worker: shows the page and the last canvas while the network is
// away. Where there is a network, page and API are the server's; only files whose
// names are their content come from here. It knows one build, its own, as a whole:
// a page never meets the files of another one.

import { canvasPath, infoPath, isKept, kept } from "./kept";

/** What the build says of itself: its name, its files, and the one that tells its page from others. */
declare const buildName: string;
declare const assetURLs: string[];
declare const mainURL: string;

// The part of a service worker's global scope that is used; lib.dom describes a page's.
interface Waiting extends Event {
  waitUntil(done: Promise<unknown>): void;
}
interface Asked extends Waiting {
  request: Request;
  respondWith(answer: Promise<Response>): void;
}
interface Clicked extends Waiting {
  notification: Notification;
}
interface Scope {
  addEventListener(type: "install" | "activate", hear: (e: Waiting) => void): void;
  addEventListener(type: "fetch", hear: (e: Asked) => void): void;
  addEventListener(type: "notificationclick", hear: (e: Clicked) => void): void;
  skipWaiting(): Promise<void>;
  clients: { matchAll(which: { type: "window"; includeUncontrolled: boolean }): Promise<{ focus(): Promise<unknown> }[]>; openWindow(url: string): Promise<unknown> };
}

const scope = globalThis as unknown as Scope;
const cacheName = `pixelwall-page-${buildName}`;

/** A signal without data answers nothing and fails nothing: this long the server is waited for where something is kept. */
const patienceMS = 4_000;

scope.addEventListener("install", (e) => e.waitUntil(install()));
scope.addEventListener("activate", (e) => e.waitUntil(forgetOthers()));
scope.addEventListener("fetch", (e) => {
  const answer = answerTo(e.request);
  if (answer) e.respondWith(answer);
});

// "Your next pixel is ready": back to the page, also to one of the first visit, which no service worker controls.
scope.addEventListener("notificationclick", (e) => {
  e.notification.close();
  e.waitUntil(scope.clients.matchAll({ type: "window", includeUncontrolled: true }).then(([page]) => (page ? page.focus() : scope.clients.openWindow("/"))));
});

/** Takes the whole build, or fails and is tried again with the next visit. */
async function install(): Promise<void> {
  const page = await fetch("/", { cache: "no-cache" });
  const text = await page.clone().text();
  // While a fleet changes its build, another edge may have answered.
  if (!page.ok || page.redirected || !text.includes(mainURL)) throw new Error("/ is not the page of this build");
  const cache = await caches.open(cacheName);
  await cache.put("/", page);
  await cache.addAll(assetURLs);
  await scope.skipWaiting();
}

async function forgetOthers(): Promise<void> {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name !== cacheName && !isKept(name)).map((name) => caches.delete(name)));
}

function answerTo(request: Request): Promise<Response> | null {
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return null;
  if (pathname === "/" && request.mode === "navigate") return fromServer(request, () => ours("/"));
  if (pathname === infoPath || pathname === canvasPath) return fromServer(request, () => kept(pathname));
  if (assetURLs.includes(pathname)) return ours(pathname).then((found) => found ?? fetch(request));
  return null;
}

async function ours(path: string): Promise<Response | undefined> {
  return (await caches.open(cacheName)).match(path);
}

/** The server's answer; another one only where none comes in time, or a proxy tells that its server is away. */
async function fromServer(request: Request, otherwise: () => Promise<Response | undefined>): Promise<Response> {
  const server = fetch(request);
  const late = new Promise((resolve) => setTimeout(resolve, patienceMS)).then(otherwise);
  let answer: Response;
  try {
    answer = (await Promise.race([server, late])) ?? (await server);
  } catch (err) {
    const found = await otherwise();
    if (found) return found;
    throw err;
  }
  const away = answer.status >= 502 && answer.status <= 504;
  return (away && (await otherwise())) || answer;
}
