/** Brings a file of a model: from the store as far as it is there, the rest from its source, storing what comes. */
import type { HttpOptions } from './http.js';
import type { NamedFile } from './manifest.js';
import type { Progress } from './progress.js';
import type { Source } from './source.js';
import type { Store } from './store.js';
import type { StoredFile } from './stored-file.js';

export interface Delivery {
  source: Source;
  store: Store;
  progress: Progress;
  options: HttpOptions;
}

/**
 * The bytes of `file`, in order; a piece is there until the next one is asked for. They are not checked: whoever takes them compares
 * checksums.
 */
export async function* deliver(delivery: Delivery, file: NamedFile): AsyncGenerator<Uint8Array> {
  const { source, store, progress, options } = delivery;
  progress.initiate(file.name);
  const isKept = source.address !== undefined && store.kind !== 'none';
  if (source.address !== undefined && !isKept) progress.download(file.name);
  const pieces = isKept ? throughStore(delivery, file) : source.read(file.name, 0, file.bytes, options);
  for await (const piece of pieces) {
    options.signal?.throwIfAborted();
    progress.add(file.name, piece.length);
    yield piece;
  }
  progress.done(file.name);
}

async function* throughStore({ source, store, progress, options }: Delivery, file: NamedFile): AsyncGenerator<Uint8Array> {
  let isFull = false;
  const keep = async (work: () => Promise<void>): Promise<void> => {
    if (isFull) return;
    try {
      await work();
    } catch (error) {
      isFull = true;
      const reason = error instanceof Error && error.name === 'QuotaExceededError' ? 'there is no room left' : 'the store refused';
      progress.warn('not-stored', `${file.name} is used but not kept for next time: ${reason}`);
    }
  };
  // One tab downloads; another that wants the same file waits, and then finds it in the store.
  const release = await locked(`clinicalbert ${file.sha256}`, options.signal);
  try {
    let stored: StoredFile | undefined;
    let at = 0;
    try {
      await keep(async () => void (stored = await store.open(file.sha256)));
      for await (const piece of stored?.read() ?? []) {
        at += piece.length;
        yield piece;
      }
      if (at === file.bytes) return;
      progress.download(file.name);
      // The browser's own cache would only keep it twice.
      for await (const piece of source.read(file.name, at, file.bytes, { ...options, isKept: true })) {
        await keep(async () => stored?.append(piece));
        yield piece;
      }
    } finally {
      await keep(async () => stored?.close());
    }
  } finally {
    release();
  }
}

/** Forgets what is stored of a file. */
export function forget(store: Store, file: NamedFile): Promise<void> {
  return store.remove(file.sha256);
}

/** Waits for its turn; what it returns ends it. */
function locked(name: string, signal: AbortSignal | undefined): Promise<() => void> {
  const locks = globalThis.navigator?.locks as LockManager | undefined;
  if (locks === undefined) return Promise.resolve(() => undefined);
  return new Promise((resolve, reject) => {
    const hold = (): Promise<void> => new Promise((release) => resolve(release));
    locks.request(name, signal === undefined ? {} : { signal }, hold).catch(reject);
  });
}
