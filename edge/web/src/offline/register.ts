// Starts the service worker, once the page is there: a first visit waits for
// nothing that only a second one needs.

export function registerServiceWorker(): void {
  if (!("serviceWorker" in navigator)) return; // no secure context
  const register = () =>
    navigator.serviceWorker
      .register("/sw.js", { updateViaCache: "none" })
      .catch((err: unknown) => console.info("pixelwall: not usable without a network", err));
  if (document.readyState === "complete") void register();
  else addEventListener("load", () => void register());
}
