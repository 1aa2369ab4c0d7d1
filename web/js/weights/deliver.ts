/** Brings a file of a model: from the store as far as it is there, the rest from its source, storing what comes. */
import type { HttpOptions } from './http.js';
import { joined } from './http.js';
import type { NamedFile } from './manifest.js';
import type { Progress } from './progress.js';
import type { Source } from './source.js';
import type { Store } from './store.js';

/** Bytes of a stored piece. A cut loses less than this, even if the tab is closed. */
export const PIECE = 1 << 20;

export interface Delivery {
  source: Source;
  store: Store;
  progress: Progress;
  options: HttpOptions;
}

/** Hands the bytes of `file` to `take`, in order. They are not checked: whoever takes them compares checksums. */
export async function deliver(delivery: Delivery, file: NamedFile, take: (bytes: Uint8Array) => void | Promise<void>): Promise<void> {
  const { source, store, progress, options } = delivery;
  progress.initiate(file.name);
  const pass = async (bytes: Uint8Array): Promise<void> => {
    options.signal?.throwIfAborted();
    await take(bytes);
    progress.add(file.name, bytes.length);
  };
  if (source.address === undefined || store.kind === 'none') {
    if (source.address !== undefined) progress.download(file.name);
    for await (const bytes of source.read(file.name, 0, file.bytes, options)) await pass(bytes);
  } else {
    // One tab downloads; another that wants the same file waits, and then finds it in the store.
    await locked(`clinicalbert ${file.sha256}`, options.signal, () => throughStore(delivery, file, pass));
  }
  progress.done(file.name);
}

async function throughStore(delivery: Delivery, file: NamedFile, pass: (bytes: Uint8Array) => Promise<void>): Promise<void> {
  const { source, store, progress, options } = delivery;
  let at = 0;
  while (at < file.bytes) {
    const piece = await store.get(key(file, at / PIECE));
    if (piece?.length !== Math.min(PIECE, file.bytes - at)) break;
    await pass(piece);
    at += piece.length;
  }
  if (at === file.bytes) return;
  progress.download(file.name);
  const keeper = new Keeper(delivery, file, at / PIECE);
  for await (const bytes of source.read(file.name, at, file.bytes, options)) {
    await keeper.keep(bytes);
    await pass(bytes);
  }
}

/** Stores a file piece by piece as its bytes arrive. */
class Keeper {
  #parts: Uint8Array[] = [];
  #held = 0;
  #isFull = false;

  constructor(
    readonly delivery: Delivery,
    readonly file: NamedFile,
    private number: number,
  ) {}

  async keep(bytes: Uint8Array): Promise<void> {
    let rest = bytes;
    while (rest.length > 0 && !this.#isFull) {
      const wanted = Math.min(PIECE, this.file.bytes - this.number * PIECE) - this.#held;
      const part = rest.subarray(0, wanted);
      rest = rest.subarray(wanted);
      this.#parts.push(part);
      this.#held += part.length;
      if (part.length === wanted) await this.#store();
    }
  }

  async #store(): Promise<void> {
    const piece = joined(this.#parts, this.#held);
    [this.#parts, this.#held] = [[], 0];
    try {
      await this.delivery.store.put(key(this.file, this.number), piece);
      this.number += 1;
    } catch (error) {
      this.#isFull = true;
      const reason = error instanceof Error && error.name === 'QuotaExceededError' ? 'there is no room left' : 'the store refused';
      this.delivery.progress.warn('not-stored', `${this.file.name} is used but not kept for next time: ${reason}`);
    }
  }
}

/** Forgets what is stored of a file. */
export async function forget(store: Store, file: NamedFile): Promise<void> {
  for (let number = 0; number * PIECE < file.bytes; number += 1) await store.remove(key(file, number));
}

/** Pieces are named by what they should be, so that equal files of different folders are stored once, and old ones never mistaken for new. */
function key(file: NamedFile, number: number): string {
  return `${file.sha256}-${number}`;
}

async function locked(name: string, signal: AbortSignal | undefined, work: () => Promise<void>): Promise<void> {
  if (globalThis.navigator?.locks === undefined) return work();
  await navigator.locks.request(name, signal === undefined ? {} : { signal }, work);
}
