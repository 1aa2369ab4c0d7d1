/** The shards of a model on their way into the engine. */
import type { Loading } from './plain.js';
import { failure } from './errors.js';
import { chunks, open, throwIfAborted, type ModelSource } from './source.js';

/** What loading needs of `manifest.json`. */
export interface Manifest {
  readonly shards: readonly Shard[];
  readonly tokenizer: { readonly vocabulary: { readonly name: string } };
  readonly bytes: number;
  readonly encoding: 'f32' | 'f16' | 'int8';
}

interface Shard {
  readonly name: string;
  readonly bytes: number;
}

export interface Push {
  source: ModelSource;
  subtle: SubtleCrypto | undefined;
  signal: AbortSignal | undefined;
  onProgress: ((progress: { readonly loaded: number; readonly total: number }) => void) | undefined;
}

/** Shards in memory, each up to 16 MiB: one that is laid down, and two that arrive meanwhile, so that no server is ever waited for twice. */
const AT_ONCE = 3;

/** Pushes all shards. */
export async function push(loading: Loading, { shards, bytes: total }: Manifest, { source, subtle, signal, onProgress }: Push): Promise<void> {
  const largest = Math.max(0, ...shards.map(({ bytes }) => bytes));
  // The same memory for all shards: it neither grows nor has to be zeroed anew.
  const buffers: Uint8Array<ArrayBuffer>[] = [];
  let loaded = 0;
  const told = (bytes: number): void => onProgress?.({ loaded: (loaded += bytes), total });
  const ask = (number: number): Promise<Uint8Array<ArrayBuffer>> | undefined => {
    const shard = shards[number];
    const buffer = (): Uint8Array<ArrayBuffer> => (buffers[number % AT_ONCE] ??= new Uint8Array(largest));
    const bytes = shard && receive(source, shard, buffer, signal, told);
    // If an earlier shard fails, nobody waits for this one.
    bytes?.catch(() => {});
    return bytes;
  };
  const asked = shards.slice(0, AT_ONCE).map((_, number) => ask(number));
  let hashed: Promise<void> = Promise.resolve();
  for (const [number, shard] of shards.entries()) {
    const bytes = await asked.shift();
    if (bytes === undefined) continue;
    const before = hashed;
    // A digest begins by copying its input. Of a shard that broke off `push` or `finish` tells.
    if (subtle && bytes.length === shard.bytes) hashed = hash(loading, number, bytes, subtle);
    // Whoever fails first, the other is not left without anybody who waits.
    hashed.catch(() => {});
    try {
      loading.push(number, bytes);
    } catch (error) {
      // If the shard before was damaged, that is what is wrong.
      await before;
      throw error;
    }
    asked.push(ask(number + AT_ONCE));
    await before;
    throwIfAborted(signal);
  }
  await hashed;
}

/** The bytes of a shard, in the buffer unless they come in one piece; fewer than there should be if it broke off. */
async function receive(
  source: ModelSource,
  { name, bytes }: Shard,
  buffer: () => Uint8Array<ArrayBuffer>,
  signal: AbortSignal | undefined,
  told: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const body = await open(source, name, signal);
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) {
    told(body.byteLength);
    return body instanceof ArrayBuffer ? new Uint8Array(body) : new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  }
  const whole = buffer();
  let at = 0;
  for await (const chunk of chunks(body, name, signal)) {
    if (at + chunk.length > bytes) throw failure('file-size', `${name}: expected ${bytes} bytes, found more`);
    whole.set(chunk, at);
    at += chunk.length;
    told(chunk.length);
  }
  return whole.subarray(0, at);
}

async function hash(loading: Loading, number: number, bytes: Uint8Array<ArrayBuffer>, subtle: SubtleCrypto): Promise<void> {
  const sum = new Uint8Array(await subtle.digest('SHA-256', bytes));
  loading.verify(number, sum);
}
