/** The shards of a model on their way into the engine. */
import type { Loading } from './plain.js';
import { chunks, open, type FileBody, type ModelSource } from './source.js';

/** What loading needs of `manifest.json`. */
export interface Manifest {
  readonly shards: readonly { readonly name: string; readonly bytes: number }[];
  readonly tokenizer: { readonly vocabulary: { readonly name: string } };
  readonly bytes: number;
  readonly encoding: 'f32' | 'f16' | 'int8';
}

export interface Push {
  source: ModelSource;
  subtle: SubtleCrypto | undefined;
  signal: AbortSignal | undefined;
  onProgress: ((progress: { readonly loaded: number; readonly total: number }) => void) | undefined;
}

/** Pushes all shards; while one arrives the next is asked for, and the one before is hashed, of which a copy is kept until then. */
export async function push(loading: Loading, { shards, bytes: total }: Manifest, { source, subtle, signal, onProgress }: Push): Promise<void> {
  const ask = (number: number): Promise<FileBody> | undefined => {
    const shard = shards[number];
    const body = shard && open(source, shard.name, signal);
    // If an earlier shard fails, nobody waits for this one.
    body?.catch(() => {});
    return body;
  };
  let next = ask(0);
  let hashed: Promise<void> = Promise.resolve();
  for (const [number, { name, bytes }] of shards.entries()) {
    const body = await next;
    next = ask(number + 1);
    if (body === undefined) continue;
    const copy = subtle && new Uint8Array(bytes);
    let at = 0;
    for await (const chunk of chunks(body, name, signal)) {
      loading.push(number, chunk);
      // It is no longer than its manifest says: `push` would have failed.
      copy?.set(chunk, at);
      at += chunk.length;
      onProgress?.({ loaded: loading.loadedBytes, total });
    }
    await hashed;
    // Of one that broke off `push` or `finish` tells.
    if (subtle && copy && at === bytes) hashed = hash(loading, number, copy, subtle);
    // Whoever fails first, the other is not left without anybody who waits.
    hashed.catch(() => {});
  }
  await hashed;
}

async function hash(loading: Loading, number: number, bytes: Uint8Array<ArrayBuffer>, subtle: SubtleCrypto): Promise<void> {
  const sum = new Uint8Array(await subtle.digest('SHA-256', bytes));
  loading.verify(number, sum);
}
