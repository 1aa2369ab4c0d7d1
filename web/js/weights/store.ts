/** Where downloaded weights are kept: the origin's private file system, else the Cache API, else nowhere. */

export type StorageKind = 'opfs' | 'cache' | 'none';

/** Small values under names; each is there whole or not at all. */
export interface Store {
  readonly kind: StorageKind;
  get(key: string): Promise<Uint8Array | undefined>;
  /** Fails with `QuotaExceededError` where there is no room. */
  put(key: string, value: Uint8Array<ArrayBuffer>): Promise<void>;
  remove(key: string): Promise<void>;
  /** Removes everything. */
  clear(): Promise<void>;
}

/** Name of the folder, and of the cache. What is laid out in another way gets another number. */
const NAME = 'clinicalbert-weights-1';

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
  return {
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
    async remove(key) {
      await folder.removeEntry(key).catch(() => undefined);
    },
    async clear() {
      await root.removeEntry(NAME, { recursive: true });
      folder = await root.getDirectoryHandle(NAME, { create: true });
    },
  };
}

async function cacheStore(): Promise<Store | undefined> {
  if (globalThis.caches === undefined) return undefined;
  const address = (key: string): string => `/${NAME}/${key}`;
  const cache = (): Promise<Cache> => caches.open(NAME);
  return {
    kind: 'cache',
    async get(key) {
      const response = await (await cache()).match(address(key));
      return response && new Uint8Array(await response.arrayBuffer());
    },
    put: async (key, value) => (await cache()).put(address(key), new Response(value)),
    async remove(key) {
      await (await cache()).delete(address(key));
    },
    async clear() {
      await caches.delete(NAME);
    },
  };
}

export const noStore: Store = {
  kind: 'none',
  get: async () => undefined,
  put: async () => undefined,
  remove: async () => undefined,
  clear: async () => undefined,
};

/** Removes all models that were kept. Models that are loaded stay. */
export async function clearStorage(): Promise<void> {
  await (await openStore()).clear();
}
