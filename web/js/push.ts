/** The shards of a model on their way into the engine. */
import type { Loading } from './plain.js';
import { chunks, open, throwIfAborted, whole, type FileBody, type ModelSource } from './source.js';

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

/** Shards that arrive while one is laid down. More of them make no load faster, and each takes up to 16 MiB. */
const AHEAD = 2;

/** Pushes all shards. */
export async function push(loading: Loading, { shards, bytes: total }: Manifest, { source, subtle, signal, onProgress }: Push): Promise<void> {
  const ask = (number: number): Promise<FileBody> | undefined => {
    const shard = shards[number];
    const body = shard && open(source, shard.name, signal).then((body) => whole(body, shard.name, signal));
    // If an earlier shard fails, nobody waits for this one.
    body?.catch(() => {});
    return body;
  };
  // A digest begins by copying its input, so one buffer serves all shards.
  const buffer = new Uint8Array(subtle ? Math.max(0, ...shards.map(({ bytes }) => bytes)) : 0);
  const asked = shards.slice(0, AHEAD).map((_, number) => ask(number));
  let hashed: Promise<void> = Promise.resolve();
  for (const [number, { name, bytes }] of shards.entries()) {
    const body = await asked.shift();
    asked.push(ask(number + AHEAD));
    if (body === undefined) continue;
    let at = 0;
    for await (const chunk of chunks(body, name, signal)) {
      try {
        loading.push(number, chunk);
      } catch (error) {
        // If the shard before was damaged, that is what is wrong.
        await hashed;
        throw error;
      }
      // It is no longer than its manifest says: `push` would have failed.
      if (subtle) buffer.set(chunk, at);
      at += chunk.length;
      onProgress?.({ loaded: loading.loadedBytes, total });
      throwIfAborted(signal);
    }
    await hashed;
    // Of one that broke off `push` or `finish` tells.
    if (subtle && at === bytes) hashed = hash(loading, number, buffer.subarray(0, bytes), subtle);
    // Whoever fails first, the other is not left without anybody who waits.
    hashed.catch(() => {});
  }
  await hashed;
}

async function hash(loading: Loading, number: number, bytes: Uint8Array<ArrayBuffer>, subtle: SubtleCrypto): Promise<void> {
  const sum = new Uint8Array(await subtle.digest('SHA-256', bytes));
  loading.verify(number, sum);
}
