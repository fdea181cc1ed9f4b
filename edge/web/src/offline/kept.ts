// The canvas of last time, kept for when there is no network: what the server
// answered to GET /api/v1/canvas/info and /api/v1/canvas, brought up to date by the
// page's worker and answered again by the service worker. One canvas an origin.

export const infoPath = "/api/v1/canvas/info";
export const canvasPath = "/api/v1/canvas";

/** Says in a kept answer when it was true, in ms of this computer's clock. */
export const keptHeader = "Pixelwall-Kept";

const cacheName = "pixelwall-canvas";

/** The largest canvas that is kept: 4096 × 4096 with 16 colours, 2048 × 4096 with more. */
const bytesMax = 9 << 20;

/** Keeps a canvas file and its facts in place of what was kept before. */
export async function keep(info: object, canvas: Uint8Array<ArrayBuffer>, nowMS: number): Promise<void> {
  if (!("caches" in globalThis) || canvas.length > bytesMax) return; // no secure context, or too much to ask for
  const headers = { [keptHeader]: String(nowMS) };
  try {
    const cache = await caches.open(cacheName);
    await cache.put(canvasPath, new Response(canvas, { headers: { ...headers, "Content-Type": "application/octet-stream" } }));
    await cache.put(infoPath, new Response(JSON.stringify(info), { headers: { ...headers, "Content-Type": "application/json" } }));
  } catch (err) {
    console.info("pixelwall: the canvas cannot be kept for later", err); // a private window, or a full disk
  }
}

/** What is kept for a path, if anything. */
export async function kept(path: string): Promise<Response | undefined> {
  return (await caches.open(cacheName)).match(path);
}

/** Whether a cache of this origin is the kept canvas. */
export function isKept(name: string): boolean {
  return name === cacheName;
}
