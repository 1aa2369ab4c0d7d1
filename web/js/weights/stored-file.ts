/** A file of weights in a store, there from its start on as far as it has come. */
import { joined } from '../pieces.js';
import type { Store } from './store.js';

export interface StoredFile {
  /** What is there, in pieces; a piece is there until the next one is asked for. */
  read(): AsyncIterable<Uint8Array>;
  /** Adds what comes next, and does not keep the memory that it is given in. Fails with `QuotaExceededError` where there is no room. */
  append(bytes: Uint8Array): Promise<void>;
  /** Keeps what is there and lets others in. */
  close(): Promise<void>;
}

/** Bytes that are read at once: fewer would cost more calls, more would not be in the processor's cache. */
const PIECE = 1 << 18;

/** What TypeScript's library has for workers only. */
interface Access {
  getSize(): number;
  read(buffer: Uint8Array, options: { at: number }): number;
  write(buffer: Uint8Array, options: { at: number }): number;
  close(): void;
}
type Handle = FileSystemFileHandle & { createSyncAccessHandle?(): Promise<Access> };

/**
 * A file of the origin's file system that is written where it lies, so that a tab that is closed loses nothing; several times faster than
 * any other store. Only workers may; elsewhere there is none.
 */
export async function inPlace(folder: FileSystemDirectoryHandle, key: string): Promise<StoredFile | undefined> {
  const handle: Handle = await folder.getFileHandle(key, { create: true });
  const access = await handle.createSyncAccessHandle?.();
  if (access === undefined) return undefined;
  let size = access.getSize();
  return {
    async *read() {
      const piece = new Uint8Array(PIECE);
      for (let at = 0; at < size; ) {
        const count = access.read(piece, { at });
        if (count === 0) return;
        at += count;
        yield piece.subarray(0, count);
      }
    },
    async append(bytes) {
      const count = access.write(bytes, { at: size });
      size += count;
      if (count < bytes.length) throw new DOMException('there is no room for all of it', 'QuotaExceededError');
    },
    close: async () => access.close(),
  };
}

/** A file that is kept as one value, when it is closed: for stores that cannot add to a value. */
export async function gathered(store: Pick<Store, 'get' | 'put'>, key: string): Promise<StoredFile> {
  const there = await store.get(key);
  const parts: Uint8Array[] = there === undefined ? [] : [there];
  let isChanged = false;
  return {
    async *read() {
      yield* parts;
    },
    async append(bytes) {
      parts.push(bytes.slice());
      isChanged = true;
    },
    async close() {
      if (!isChanged) return;
      await store.put(key, joined(parts, parts.reduce((sum, { length }) => sum + length, 0)));
    },
  };
}
