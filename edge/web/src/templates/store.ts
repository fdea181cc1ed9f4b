// Keeps templates in IndexedDB. Where that is forbidden (private windows) or
// full, they live as long as the page does, and the person is told once.

import type { Template } from "./template";

const database = "pixelwall-templates";
const table = "templates";

export class Store {
  private opened: Promise<IDBDatabase> | null = null;
  private told = false;

  /** onLoss: what was to be kept is not. */
  constructor(private readonly onLoss: (why: "forbidden" | "full") => void) {}

  /** All that was kept; nothing where there is no storage. */
  async all(): Promise<Template[]> {
    return this.run("readonly", (t) => t.getAll() as IDBRequest<Template[]>).catch(() => []);
  }

  async put(template: Template): Promise<void> {
    try {
      await this.run("readwrite", (t) => t.put(template));
    } catch (err) {
      if (!this.told) this.onLoss((err as DOMException | null)?.name === "QuotaExceededError" ? "full" : "forbidden");
      this.told = true;
    }
  }

  /** Where this fails there was nothing kept either. */
  async remove(id: string): Promise<void> {
    await this.run("readwrite", (t) => t.delete(id)).catch(() => {});
  }

  private async run<T>(mode: IDBTransactionMode, ask: (t: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    try {
      return await this.once(mode, ask);
    } catch (err) {
      if ((err as DOMException | null)?.name === "QuotaExceededError") throw err;
      this.opened = null; // Safari drops what was opened before the page lay in the background
      return this.once(mode, ask);
    }
  }

  private async once<T>(mode: IDBTransactionMode, ask: (t: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    const db = await (this.opened ??= open());
    const transaction = db.transaction(table, mode);
    const request = ask(transaction.objectStore(table));
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = transaction.onerror = () => reject(transaction.error ?? request.error);
    });
    return request.result;
  }
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(database, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(table, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(request.error);
  });
}
