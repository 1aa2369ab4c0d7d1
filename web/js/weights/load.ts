/** A model from its files: manifest, vocabulary, shards. */
import type { Device, Engine, Memory, Model } from '../session/engine.js';
import { failure, isCoded } from '../errors.js';
import { deliver, forget } from './deliver.js';
import type { HttpOptions } from './http.js';
import { MAX_MANIFEST, readManifest, type NamedFile } from './manifest.js';
import { Progress, type ProgressCallback } from './progress.js';
import type { Source } from './source.js';
import type { Store } from './store.js';

export interface LoadSettings {
  device: Device | 'auto';
  /** The encoding that the weights must have; any if absent. */
  encoding?: string | undefined;
  /** Ask nothing of any server: only what is stored. */
  isOffline: boolean;
  /** Compare a GPU's answers with the processor's. */
  isVerified?: boolean;
}

export interface LoadContext extends HttpOptions {
  engine: Engine;
  source: Source;
  store: Store;
  tell: ProgressCallback;
}

/**
 * Loads a model. A file that arrives damaged is fetched once more, past all caches; damaged again, it is an error with code `file-hash`.
 * A load that was cut off or cancelled goes on where it ended when it is asked for again.
 */
export async function loadModel(settings: LoadSettings, { engine, tell, ...context }: LoadContext): Promise<Model> {
  const source = settings.isOffline && context.source.address !== undefined ? onlyStored(context.source) : context.source;
  const { store, signal, backoff } = context;
  const progress = new Progress(source.name, tell);
  const json = await manifestOf(source, store, progress, { signal, backoff });
  const manifest = readManifest(json, source.name);
  if (settings.encoding !== undefined && settings.encoding !== manifest.encoding) {
    const found = `the weights of ${source.name} are ${String(manifest.encoding)}`;
    throw failure('invalid-options', `options: dtype ${settings.encoding} was asked for, ${found}`);
  }
  progress.expect(manifest.files);
  for (let attempt = 0; ; attempt += 1) {
    // Ends what was opened and not read to its end: engines open a file before they have read the last.
    const attemptEnd = new AbortController();
    const end = (): void => attemptEnd.abort(signal?.reason);
    signal?.addEventListener('abort', end);
    const options: HttpOptions = { signal: attemptEnd.signal, backoff, isFresh: attempt > 0 };
    const open = async (name: string): Promise<Uint8Array<ArrayBuffer> | AsyncIterable<Uint8Array>> => {
      if (name === 'manifest.json') return json;
      const file = manifest.files.find((one) => one.name === name);
      if (file === undefined) throw failure('file-missing', `${name} is not in the manifest of ${source.name}`);
      return deliver({ source, store, progress, options }, file);
    };
    try {
      return await engine.load(open, { device: settings.device, storage: memoryIn(store), ...(signal && { signal }) });
    } catch (error) {
      signal?.throwIfAborted();
      if (!isCoded(error) || (error.code !== 'file-hash' && error.code !== 'file-size')) throw error;
      const damaged = manifest.files.find(({ name }) => error.message.includes(name));
      if (damaged === undefined) throw error;
      await forget(store, damaged);
      if (source.address === undefined || settings.isOffline || attempt > 0) throw error;
      progress.warn('fetched-again', `${damaged.name} arrived damaged and is fetched once more`);
    } finally {
      signal?.removeEventListener('abort', end);
      end();
    }
  }
}

/** From its server, so that a new version is seen; without a connection the one that was stored last. */
async function manifestOf(source: Source, store: Store, progress: Progress, options: HttpOptions): Promise<Uint8Array<ArrayBuffer>> {
  const file = 'manifest.json';
  progress.initiate(file);
  const key = source.address === undefined || store.kind === 'none' ? undefined : await keyOf('manifest', source.address.href);
  let json: Uint8Array<ArrayBuffer>;
  try {
    if (source.address !== undefined) progress.download(file);
    json = new Uint8Array(await source.small(file, MAX_MANIFEST, options));
    if (key !== undefined) await store.put(key, json).catch(() => undefined);
  } catch (error) {
    const isUnreachable = isCoded(error) && error.code === 'fetch';
    const stored = isUnreachable && key !== undefined ? await store.get(key) : undefined;
    if (stored === undefined) throw error;
    json = new Uint8Array(stored);
  }
  progress.done(file);
  return json;
}

/** A source that never answers, so that only what is stored is used. */
function onlyStored(source: Source): Source {
  const refuse = (file: string): Error => failure('fetch', `${file} of ${source.name} is not stored, and local_files_only forbids to fetch it`);
  return {
    ...source,
    small: async (file) => {
      throw refuse(file);
    },
    async *read(file) {
      throw refuse(file);
    },
  };
}

/** Short notes beside the weights: what was measured about this machine. */
function memoryIn(store: Store): Memory {
  return {
    async getItem(key) {
      const value = await store.get(await keyOf('measured', key));
      return value === undefined ? null : new TextDecoder().decode(value);
    },
    async setItem(key, value) {
      await store.put(await keyOf('measured', key), new TextEncoder().encode(value));
    },
  };
}

/** A name that any store can keep. */
async function keyOf(kind: string, text: string): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
  return `${kind}-${[...hash].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
