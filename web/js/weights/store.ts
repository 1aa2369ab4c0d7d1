/** Keeps downloaded weights for the next visit. */
import { gathered, inPlace, type StoredFile } from './stored-file.js';

/** Where downloaded weights are kept: the origin's private file system, else the Cache API, else nowhere. */
export type StorageKind = 'opfs' | 'cache' | 'none';

/** Values under names. */
export interface Store {
  readonly kind: StorageKind;
  /** A value that was put, or a file. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** Keeps a value whole or not at all. Fails with `QuotaExceededError` where there is no room. */
  put(key: string, value: Uint8Array<ArrayBuffer>): Promise<void>;
  /** A file that is written from its start on, empty at first; open in one place at a time. It is named by its checksum, so no other has its name. */
  open(key: string): Promise<StoredFile>;
  remove(key: string): Promise<void>;
  /** Removes everything. */
  clear(): Promise<void>;
}

/** Name of the folder, and of the cache. What is laid out in another way gets another number. */
const NAME = 'clinicalbert-weights-2';

/** The best store that works here. Private windows may refuse both kinds, and some only when they are written to. */
export async function openStore(): Promise<Store> {
  for (const open of [fileStore, cacheStore]) {
    try {
      const store = await open();
      if (store !== undefined && (await works(store))) return store;
    } catch {
      // Refused here; the next one may not be.
    }
  }
  return noStore;
}

async function works(store: Store): Promise<boolean> {
  const key = `probe-${Math.random()}`;
  await store.put(key, new Uint8Array([1]));
  const value = await store.get(key);
  await store.remove(key);
  return value?.[0] === 1;
}

async function fileStore(): Promise<Store | undefined> {
  // Older Safari has the file system, but writes to it by another way only.
  if (globalThis.FileSystemFileHandle?.prototype.createWritable === undefined) return undefined;
  const root = await navigator.storage.getDirectory();
  let folder = await root.getDirectoryHandle(NAME, { create: true });
  const store: Store = {
    kind: 'opfs',
    async get(key) {
      try {
        const file = await (await folder.getFileHandle(key)).getFile();
        return new Uint8Array(await file.arrayBuffer());
      } catch {
        return undefined;
      }
    },
    async put(key, value) {
      const handle = await folder.getFileHandle(key, { create: true });
      try {
        // Written beside the file and moved there by `close`.
        const writable = await handle.createWritable();
        await writable.write(value);
        await writable.close();
      } catch (error) {
        await folder.removeEntry(key).catch(() => undefined);
        throw error;
      }
    },
    open: async (key) => (await inPlace(folder, key)) ?? gathered(store, key),
    async remove(key) {
      await folder.removeEntry(key).catch(() => undefined);
    },
    async clear() {
      await root.removeEntry(NAME, { recursive: true });
      folder = await root.getDirectoryHandle(NAME, { create: true });
    },
  };
  return store;
}

async function cacheStore(): Promise<Store | undefined> {
  if (globalThis.caches === undefined) return undefined;
  const address = (key: string): string => `/${NAME}/${key}`;
  const cache = (): Promise<Cache> => caches.open(NAME);
  const store: Store = {
    kind: 'cache',
    async get(key) {
      const response = await (await cache()).match(address(key));
      return response && new Uint8Array(await response.arrayBuffer());
    },
    put: async (key, value) => (await cache()).put(address(key), new Response(value)),
    open: (key) => gathered(store, key),
    async remove(key) {
      await (await cache()).delete(address(key));
    },
    async clear() {
      await caches.delete(NAME);
    },
  };
  return store;
}

export const noStore: Store = {
  kind: 'none',
  get: async () => undefined,
  put: async () => undefined,
  open: (key) => gathered(noStore, key),
  remove: async () => undefined,
  clear: async () => undefined,
};

/** Removes all models that were kept. Models that are loaded stay. */
export async function clearStorage(): Promise<void> {
  await (await openStore()).clear();
}
